"""``virtlab train``."""

from __future__ import annotations

from pathlib import Path

import click

from virtlab.cli.output import as_json_option, emit, quiet_option
from virtlab.cli.progress import showing


@click.command()
@click.argument("experiment", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The model file.  [default: NAME.virtlab beside EXPERIMENT]",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Wins over [training] seed.")
@click.option("--resume", is_flag=True, help="Go on where an interrupted training stopped.")
@click.option("--force", is_flag=True, help="Replace a model file that is there.")
@click.option(
    "--from",
    "start",
    type=click.Path(path_type=Path),
    help="A trained model of the same measurements to start from.",
)
@click.option(
    "--leave-out",
    metavar="COMPARISON",
    help='Learn nothing from such settings, e.g. "temperature > 80", to test extrapolation.',
)
@as_json_option
@quiet_option
def train(
    experiment: Path,
    output: Path | None,
    seed: int | None,
    resume: bool,
    force: bool,
    start: Path | None,
    leave_out: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Learn a model from the trials that EXPERIMENT (an experiment.toml) names.

    Ctrl-C stops early and keeps the best model so far. The held-out score that is shown is
    the energy score on settings the model has not seen, relative to ignoring the parameters:
    1 has learned nothing, lower is better.

    With --from, networks are trained from that model and anew, and those are kept that do
    better on settings held out. Parameters are matched by name; new ones are allowed.
    """
    with showing(f"reading {experiment}", quiet=quiet) as report:
        from virtlab.evaluation import examine
        from virtlab.training import train as train_model

        model = train_model(
            experiment,
            output=output,
            seed=seed,
            resume=resume,
            force=force,
            start=start,
            leave_out=leave_out,
            examine=examine,
            report=report,
        )
    path = model.file.path
    data = {"model": path, "scores": model.scores, "verdict": model.manifest["verdict"]}
    lines = [model.summary()]
    if audited := model.manifest.get("audit"):
        data["audit"] = audited
        lines.append(audited["words"])
    emit(data, [*lines, f"written to {path}"], as_json=as_json)
