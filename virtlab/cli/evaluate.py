"""``virtlab evaluate``."""

from __future__ import annotations

from pathlib import Path

import click

from virtlab.cli.output import as_json_option, emit, quiet_option
from virtlab.cli.progress import showing


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="An experiment.toml with other trials than the model was trained on.",
)
@click.option(
    "--leave-out",
    metavar="COMPARISON",
    help='Judge on such settings of --data alone, e.g. "temperature > 80".',
)
@click.option(
    "--baselines",
    type=click.Choice(["cheap", "all", "none"]),
    default="cheap",
    show_default=True,
    help="Simpler models to compare with; all: networks, too, which takes a minute or more.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write a report here, .html.")
@click.option("--force", is_flag=True, help="Replace a report that is there.")
@as_json_option
@quiet_option
def evaluate(
    model: Path,
    data: Path | None,
    leave_out: str | None,
    baselines: str,
    output: Path | None,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Say how far MODEL can be trusted, and write a report.

    Without --data: on the lab's own trials, each judged only by members that never saw its
    setting. With --data: virtual trials are simulated at the settings of new real trials and
    held against them. Simpler models learn from the same trials and stand in the same table.

    How far does it extrapolate? Train with --leave-out "temperature > 80", then evaluate with the
    same experiment.toml as --data and the same --leave-out.
    """
    with showing(f"evaluating {model}", quiet=quiet) as report:
        from virtlab.report import check_report, evaluate_to_report

        if output is not None:
            check_report(output, force=force)
        found = evaluate_to_report(
            model,
            data,
            output,
            leave_out=leave_out,
            baselines=baselines,
            force=force,
            report=report,
        )
    lines = found.lines() + ([f"written to {output}"] if output else [])
    emit(found.to_dict() | {"report": output}, lines, as_json=as_json)
