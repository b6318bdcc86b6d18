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
    from virtlab.storage.inspection import inspect_file

    found = inspect_file(file)
    lines = [_summary(file)] if found.kind == "model" else found.lines()
    emit(found.to_dict(), lines, as_json=as_json)


def _summary(path: Path) -> str:
    """Say what a model was trained on and how good it is; refuse one that was altered."""
    from virtlab.simulation import load

    model = load(path)
    for member in model.manifest["members"]:
        model.file.member(member)  # compares its checksum
    return model.summary()
