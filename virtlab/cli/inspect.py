"""``virtlab inspect``."""

from __future__ import annotations

from pathlib import Path

import click

from virtlab.cli.output import as_json_option, emit


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@as_json_option
def inspect(file: Path, as_json: bool) -> None:
    """Show what FILE holds, without loading its data.

    FILE is a lab HDF5 file (objects, shapes, dtypes, units, attributes), a model file (what
    it was trained on, its held-out scores), or virtual trials (.nc, .zarr).
    """
    if file.suffix == ".virtlab":
        from virtlab.simulation import load

        model = load(file)
        emit(model.manifest, [model.summary()], as_json=as_json)
    else:
        from virtlab.storage.inspection import inspect_file

        found = inspect_file(file)
        emit(found.to_dict(), found.lines(), as_json=as_json)
