"""``virtlab screen --backtest``: options of its own, and how it is played."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from virtlab.cli.output import emit
from virtlab.cli.progress import showing

_whole = click.IntRange(1, 10**6)
_options = (
    click.option(
        "--backtest",
        type=click.Path(path_type=Path),
        metavar="EXPERIMENT",
        help="Play the screen on the trials of this experiment.toml, against baselines.",
    ),
    click.option(
        "--start",
        type=click.IntRange(3, 10**6),
        default=20,
        show_default=True,
        help="Backtest: settings known at the beginning, drawn at random.",
    ),
    click.option(
        "--batch",
        type=click.IntRange(1, 500),
        default=10,
        show_default=True,
        help="Backtest: settings chosen at a time.",
    ),
    click.option("--rounds", type=_whole, default=5, show_default=True, help="Backtest: batches."),
    click.option(
        "--seeds",
        type=_whole,
        default=5,
        show_default=True,
        help="Backtest: different starts, numbered from --seed on, or from 0.",
    ),
    click.option(
        "--resume", is_flag=True, help="Backtest: go on with the .csv of a run that was stopped."
    ),
)
_BOTH = {"params", "output", "seed", "trials", "force", "as_json", "quiet", "backtest"}
_OWN = {"start", "batch", "rounds", "seeds", "resume"}


def backtest_options(command: Any) -> Any:
    """Give a command the options of a backtest."""
    for option in reversed(_options):
        command = option(command)
    return command


def check_options(ctx: click.Context) -> None:
    """Refuse options that would do nothing.

    Raises
    ------
    click.UsageError
        Some are of a backtest where none is asked for, or of the other kind where one is.
    """
    given = {
        name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    asked = ctx.params["backtest"] is not None
    idle = given - _BOTH - _OWN if asked else given & _OWN
    if idle:
        named = " and ".join(f"--{name}" for name in sorted(idle))
        raise click.UsageError(
            f"{named} {'does' if len(idle) == 1 else 'do'} nothing "
            + ("with --backtest" if asked else "without --backtest")
        )


def play(
    params: Path,
    experiment: Path,
    output: tuple[Path, ...],
    *,
    start: int,
    batch: int,
    rounds: int,
    seeds: int,
    seed: int | None,
    trials: int | None,
    resume: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Play the screen of `params` on the trials of `experiment`, and say how it went."""
    with showing(f"playing {experiment}", quiet=quiet) as report:
        from virtlab.config import read_experiment, read_params
        from virtlab.report import backtest_to_files
        from virtlab.screening import Game

        first = seed or 0
        asked = read_params(params)
        found = backtest_to_files(
            read_experiment(experiment),
            asked if trials is None else asked.model_copy(update={"trials": trials}),
            Game(start, batch, rounds, tuple(range(first, first + seeds))),
            output=output,
            resume=resume,
            force=force,
            report=report,
        )
    written = [f"written to {path}" for path in output]
    emit(found.to_dict(), [*found.lines(), *written], as_json=as_json)
