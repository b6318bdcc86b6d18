"""``virtlab power``."""

from __future__ import annotations

from pathlib import Path

import click

from virtlab.cli.output import as_json_option, emit, quiet_option
from virtlab.cli.progress import showing


@click.command()
@click.argument("params", type=click.Path(path_type=Path))
@click.option(
    "--statistic",
    type=click.Choice(["mean", "median", "sd"]),
    default="mean",
    show_default=True,
    help="What is compared of the goal, over trials.",
)
@click.option(
    "--alpha",
    type=click.FloatRange(0.005, 0.5),
    default=0.05,
    show_default=True,
    help="How often a difference may be claimed where there is none.",
)
@click.option(
    "--power",
    "wanted",
    type=click.FloatRange(0.1, 0.99),
    help="How often one that is there should be found.  [default: the objective's, 0.8]",
)
@click.option(
    "--most",
    type=click.IntRange(3, 10_000),
    default=200,
    show_default=True,
    help="Trials per arm that are tried.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Wins over PARAMS.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write the curve to a .csv, .json, .nc or .zarr.",
)
@click.option("--force", is_flag=True, help="Replace an output that is there.")
@as_json_option
@quiet_option
def power(
    params: Path,
    statistic: str,
    alpha: float,
    wanted: float | None,
    most: int,
    seed: int | None,
    output: Path | None,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Tell how many trials per arm detect the difference between two settings.

    PARAMS (a params.toml) has a design of two settings and an [objective], whose goal is compared;
    without a goal, the share of trials that meet the requirements. Studies are played through on
    virtual trials and tested by permutation, each member of the ensemble being the truth in turn,
    moved by what all members may miss together: how far they differ on the difference itself is
    told apart.
    """
    with showing(f"planning {params}", quiet=quiet) as report:
        from virtlab.config import read_params
        from virtlab.screening import plan_power

        found = plan_power(
            read_params(params),
            statistic=statistic,
            alpha=alpha,
            power=wanted,
            most=most,
            seed=seed,
            output=output,
            force=force,
            report=report,
        )
    written = [] if output is None else [f"written to {output}"]
    emit(found.to_dict(), [*found.lines(), *written], as_json=as_json)
