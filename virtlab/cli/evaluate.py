"""``virtlab evaluate``."""

from __future__ import annotations

from pathlib import Path

import click

from virtlab.cli.output import emit, quiet_option, to_json
from virtlab.cli.progress import showing

STDOUT = "-"


class _JsonFirst(click.Command):
    """Takes what follows --json for a file only if it is named like one.

    ``--json MODEL`` prints, as it does everywhere else, and never writes over a model.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        after = [*args[1:], ""]
        taken = [
            f"--json={STDOUT}" if arg == "--json" and not _is_target(follows) else arg
            for arg, follows in zip(args, after, strict=True)
        ]
        return super().parse_args(ctx, taken)


def _is_target(text: str) -> bool:
    return text == STDOUT or text.lower().endswith(".json")


@click.command(cls=_JsonFirst)
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="An experiment.toml with other trials than the model was trained on.",
)
@click.option(
    "--leave-out",
    metavar="COMPARISON",
    help="Judge on such settings of --data alone, e.g. 'temperature > 80 and gas == \"argon\"'.",
)
@click.option(
    "--baselines",
    type=click.Choice(["cheap", "all", "none"]),
    default="cheap",
    show_default=True,
    help="Simpler models to compare with; all: networks, too, which takes a minute or more.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write a report here, .html.")
@click.option(
    "--json",
    "metrics",
    metavar="[FILE]",
    help="Write all metrics here, .json; without a FILE, print them as one JSON object.",
)
@click.option("--force", is_flag=True, help="Replace a report or metrics that are there.")
@quiet_option
def evaluate(
    model: Path,
    data: Path | None,
    leave_out: str | None,
    baselines: str,
    output: Path | None,
    metrics: str | None,
    force: bool,
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
        from virtlab.report import check_metrics, check_report, evaluate_to_report

        if output is not None:
            check_report(output, force=force)
        file = Path(metrics) if metrics not in (None, STDOUT) else None
        if file is not None:
            check_metrics(file, force=force)
        found = evaluate_to_report(
            model,
            data,
            output,
            leave_out=leave_out,
            baselines=baselines,
            force=force,
            report=report,
        )
    told = found.to_dict() | {"report": output}
    if file is not None:
        from virtlab.modelfile import replace_whole

        replace_whole(file, to_json(told).encode())
    lines = found.lines() + [f"written to {each}" for each in (output, file) if each is not None]
    emit(told, lines, as_json=metrics == STDOUT)
