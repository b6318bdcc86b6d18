"""``virtlab screen``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from virtlab.cli.backtest import backtest_options, check_options, play
from virtlab.cli.output import as_json_option, emit, quiet_option, terminal_width
from virtlab.cli.progress import showing

if TYPE_CHECKING:
    from virtlab.screening import Screen


@click.command()
@click.argument("params", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Write every setting to a .csv, .json, .nc or .zarr, or a page with figures, .html. "
    "May be repeated.  [default: print the best only]",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="An experiment.toml whose trials say what the best so far has reached.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Wins over PARAMS.")
@click.option(
    "--trials", type=click.IntRange(1, 10**9), help="Trials per setting; wins over PARAMS."
)
@click.option(
    "--candidates",
    type=click.Path(path_type=Path),
    help="CSV of the settings that are possible (a column per parameter), instead of a design.",
)
@click.option(
    "--suggest", type=click.IntRange(1, 500), metavar="K", help="Name K settings to run next."
)
@click.option("--explore", is_flag=True, help="Suggest those where least is known.")
@click.option(
    "--pending",
    type=click.Path(path_type=Path),
    help="CSV of settings that run already: not suggested again, and taken into account.",
)
@click.option("--outside", is_flag=True, help="Suggest settings outside the data, too.")
@backtest_options
@click.option("--force", is_flag=True, help="Replace an output that is there.")
@as_json_option
@quiet_option
def screen(
    params: Path,
    output: tuple[Path, ...],
    data: Path | None,
    seed: int | None,
    trials: int | None,
    candidates: Path | None,
    suggest: int | None,
    explore: bool,
    pending: Path | None,
    outside: bool,
    backtest: Path | None,
    force: bool,
    as_json: bool,
    quiet: bool,
    **game: Any,
) -> None:
    """Rank the settings of PARAMS (a params.toml) by its [objective].

    Each setting gets its expected objective with a 90 % interval, noise (between trials) and
    ignorance (between the model's members), the probability that a trial meets every
    requirement and that it beats the best measured one, the replicates that tell it from
    rank 1, and whether it lies inside the data. Settings outside are listed apart, never
    ranked.

    With --backtest: would such a screen have found the winner sooner? Most settings of the lab
    are hidden. From a random start virtlab (trained anew each time on what is known, which takes
    half a minute or so), a Gaussian process with expected improvement and chance choose batches
    among the hidden ones; what the lab measured there is then known. Of PARAMS it takes the
    objective (one goal); there need be no model. -o then takes .csv (every step, as soon as it
    was played), .json, .html, .svg and .png.
    """
    check_options(click.get_current_context())
    if backtest is not None:
        game |= {"seed": seed, "trials": trials, "force": force}
        play(params, backtest, output, as_json=as_json, quiet=quiet, **game)
        return
    if suggest is None and (explore or outside or pending is not None):
        raise click.UsageError("--explore, --pending and --outside need --suggest K")
    with showing(f"screening {params}", quiet=quiet) as report:
        from virtlab.config import read_params
        from virtlab.screening import Asked

        asked = None if suggest is None else Asked(suggest, explore, outside, pending)
        found = _screening(output)(
            read_params(params),
            output=output,
            data=data,
            seed=seed,
            trials=trials,
            force=force,
            candidates=candidates,
            asked=asked,
            report=report,
        )
    emit(found.to_dict(), found.lines(terminal_width()), as_json=as_json)


def _screening(outputs: tuple[Path, ...]) -> Callable[..., Screen]:
    """Only a page needs what draws it, which takes its time to import."""
    if any(path.suffix.lower() in (".html", ".htm") for path in outputs):
        from virtlab.report import screen_to_files

        return screen_to_files
    from virtlab.screening import screen as screen_settings

    return screen_settings
