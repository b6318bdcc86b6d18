"""``virtlab screen``."""

from __future__ import annotations

from pathlib import Path

import click

from virtlab.cli.output import as_json_option, emit, quiet_option
from virtlab.cli.progress import showing


@click.command()
@click.argument("params", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write every setting to a .csv, .nc or .zarr.  [default: print the best only]",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Wins over PARAMS.")
@click.option(
    "--trials", type=click.IntRange(1, 10**9), help="Trials per setting; wins over PARAMS."
)
@click.option("--force", is_flag=True, help="Replace an output that is there.")
@as_json_option
@quiet_option
def screen(
    params: Path,
    output: Path | None,
    seed: int | None,
    trials: int | None,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Rank the settings of PARAMS (a params.toml) by its [objective].

    Each setting gets its expected objective, noise (between trials) and ignorance (between
    the model's members), the probability that a trial meets every requirement, and whether
    it lies inside the data. Settings outside are listed apart, never ranked.
    """
    with showing(f"screening {params}", quiet=quiet) as report:
        from virtlab.config import read_params
        from virtlab.screening import screen as screen_settings

        found = screen_settings(
            read_params(params),
            output=output,
            seed=seed,
            trials=trials,
            force=force,
            report=report,
        )
    emit(found.to_dict(), found.lines(), as_json=as_json)
