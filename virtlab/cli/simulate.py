"""``virtlab simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from virtlab.cli.output import as_json_option, emit, fields, quiet_option, size
from virtlab.cli.progress import showing

if TYPE_CHECKING:
    from virtlab.simulation import Plan


@click.command()
@click.argument("params", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    help="Where to write: .nc, .zarr, .h5 or .parquet; wins over PARAMS.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Wins over PARAMS.")
@click.option(
    "--trials", type=click.IntRange(1, 10**9), help="Trials per setting; wins over PARAMS."
)
@click.option("--dry-run", is_flag=True, help="Only say how much would be simulated.")
@click.option("--force", is_flag=True, help="Replace an output that is there.")
@click.option("--strict", is_flag=True, help="Refuse settings outside the training data.")
@click.option(
    "--resume", is_flag=True, help="Zarr: go on where a run was interrupted, and be interruptible."
)
@click.option(
    "--workers", type=click.IntRange(1, 1024), help="Zarr: share the work among so many processes."
)
@click.option("--cluster", metavar="ADDRESS", help="Zarr: a Dask scheduler, tcp://host:8786.")
@click.option(
    "--to",
    type=click.Choice(["inference-data"]),
    help="What kind of NetCDF: for ArviZ, with groups.",
)
@as_json_option
@quiet_option
def simulate(
    params: Path,
    output: str | None,
    seed: int | None,
    trials: int | None,
    dry_run: bool,
    force: bool,
    strict: bool,
    resume: bool,
    workers: int | None,
    cluster: str | None,
    to: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Simulate the virtual trials that PARAMS (a params.toml) describes.

    Prints a short summary per measurement. The same model, PARAMS and seed give the same
    bytes, on any number of cores.
    """
    with showing(f"simulating {params}", quiet=quiet or dry_run) as report:
        from virtlab.config import read_params
        from virtlab.simulation import plan, simulate_to_file
        from virtlab.simulation.allocator import keep_memory

        keep_memory()  # here and not in the library: it is for the whole process
        asked = read_params(params)
        if dry_run:
            planned = plan(asked, output=output, seed=seed, trials=trials, strict=strict)
            _emit_plan(planned, as_json=as_json)
            return
        summary = simulate_to_file(
            asked,
            output=output,
            seed=seed,
            trials=trials,
            force=force,
            strict=strict,
            resume=resume,
            workers=workers,
            cluster=cluster,
            inference=to == "inference-data",
            report=report,
        )
    emit(summary.to_dict(), summary.lines(), as_json=as_json)


def _emit_plan(planned: Plan, *, as_json: bool) -> None:
    from dataclasses import asdict

    data = asdict(planned)
    free = planned.free_bytes
    shown = {
        "bytes": size(planned.bytes),
        "file_bytes": f"about {size(planned.file_bytes)}",
        "free_bytes": "unknown" if free is None else size(free),
    }
    emit(data, fields(data | shown), as_json=as_json)
