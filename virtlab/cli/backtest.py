"""``virtlab backtest``."""

from __future__ import annotations

from pathlib import Path

import click

from virtlab.cli.output import as_json_option, emit, quiet_option
from virtlab.cli.progress import showing

_whole = click.IntRange(1, 10**6)


@click.command()
@click.argument("params", type=click.Path(path_type=Path))
@click.argument("experiment", type=click.Path(path_type=Path))
@click.option(
    "--start",
    type=click.IntRange(3, 10**6),
    default=20,
    show_default=True,
    help="Settings known at the beginning, drawn at random.",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 500),
    default=10,
    show_default=True,
    help="Settings chosen at a time.",
)
@click.option("--rounds", type=_whole, default=5, show_default=True, help="Batches.")
@click.option("--seeds", type=_whole, default=5, show_default=True, help="Different starts.")
@click.option(
    "--first-seed", type=click.IntRange(0, 2**31), default=0, show_default=True, help="First seed."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write every step to a .csv, as soon as it was played.",
)
@click.option(
    "--picture", type=click.Path(path_type=Path), help="Draw the result as an .svg or .png."
)
@click.option("--resume", is_flag=True, help="Go on with the output of a run that was stopped.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@as_json_option
@quiet_option
def backtest(
    params: Path,
    experiment: Path,
    start: int,
    batch: int,
    rounds: int,
    seeds: int,
    first_seed: int,
    output: Path | None,
    picture: Path | None,
    resume: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Play the screen of PARAMS on the trials of EXPERIMENT, against baselines.

    Would it have found the winner sooner? Most settings of the lab are hidden. From a random
    start, virtlab's screen (trained anew each time on what is known), a Gaussian process with
    expected improvement and chance choose batches among the hidden ones; what the lab measured
    there is then known. The objective (one goal) is that of PARAMS, whose model and design are
    not used.

    A round of virtlab takes a training: half a minute or so.
    """
    with showing(f"playing {experiment}", quiet=quiet) as report:
        from virtlab.config import read_experiment, read_params
        from virtlab.report import check_picture, draw_course
        from virtlab.screening import Game
        from virtlab.screening import backtest as play

        if picture is not None:
            check_picture(picture, force=force or resume)
        game = Game(start, batch, rounds, tuple(range(first_seed, first_seed + seeds)))
        found = play(
            read_experiment(experiment),
            read_params(params),
            game,
            output=output,
            resume=resume,
            force=force,
            report=report,
        )
        if picture is not None:
            draw_course(found, picture)
    written = [f"written to {path}" for path in (output, picture) if path is not None]
    emit(found.to_dict(), [*found.lines(), *written], as_json=as_json)
