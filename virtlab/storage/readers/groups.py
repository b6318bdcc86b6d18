"""The reader ``groups``: one group per trial.

Paths are relative to each trial's group (``@power`` is an attribute of the group itself); a
path with a leading slash starts at the file's root and is the same for all trials.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.config import Experiment
from virtlab.errors import DataError
from virtlab.plugins import RawArray, RawTrials, Reader

if TYPE_CHECKING:
    import h5py


def _read(path: Path, experiment: Experiment) -> RawTrials:
    (trials,) = _parts(path, experiment, None)
    return trials


def _parts(path: Path, experiment: Experiment, most_bytes: int | None) -> Iterator[RawTrials]:
    # Imported here: `virtlab plugins` loads every reader and must not pay for h5py.
    from virtlab.storage.hdf5 import match_groups, open_lab_file

    if experiment.data.groups is None or experiment.data.grid:
        raise DataError(
            f"{experiment.path}: [data]: the reader 'groups' needs groups, e.g. "
            'groups = "/shots/*", and knows no grid'
        )
    with open_lab_file(path) as file:
        groups = match_groups(file, experiment.data.groups)
        step = len(groups)
        if most_bytes is not None:
            one = _trials(groups[0], groups[:1], experiment)
            each = sum(8 * np.size(raw.values) for raw in one.measurements.values())
            step = max(1, most_bytes // max(each, 1))
        for start in range(0, len(groups), step):
            part = _trials(groups[0], groups[start : start + step], experiment)
            yield replace(part, start=start)


def _trials(first: h5py.Group, groups: Sequence[h5py.Group], experiment: Experiment) -> RawTrials:
    """Read some groups' trials; all are to be like those of the file's first group."""
    from virtlab.storage.arrays import read_array

    parameters = {
        name: _stack(first, groups, table.path, _one_value)
        for name, table in experiment.parameters.items()
        if table.path is not None
    }
    measurements = {
        name: _stack(first, groups, table.path, _with_dims(len(table.dims)))
        for name, table in experiment.measurements.items()
    }
    coords = {
        coord: read_array(first, where.path)
        for table in experiment.measurements.values()
        for coord, where in table.coords.items()
    }
    given = experiment.data.weights
    weights = None if given is None else _stack(first, groups, given, _one_value)
    return RawTrials(parameters, measurements, coords, weights=weights)


def _stack(
    first_group: h5py.Group, groups: Sequence[h5py.Group], path: str, shaped: Any
) -> RawArray:
    """One value or array per group, along a new first axis; read into place."""
    from virtlab.storage.arrays import read_array
    from virtlab.storage.hdf5 import place

    first = read_array(first_group, path)
    start = shaped(first.values, f"{place(first_group)}: {first.path!r}")
    if path.startswith("/"):
        return replace(first, values=np.broadcast_to(start, (len(groups), *start.shape)))
    dtype = start.dtype
    values = np.empty((len(groups), *start.shape), dtype)
    for number, group in enumerate(groups):
        raw = first if group is first_group else read_array(group, path)
        where = f"{place(group)}: {raw.path!r}"
        row = shaped(raw.values, where)
        if row.shape != start.shape or row.dtype.kind != dtype.kind:
            raise DataError(
                f"{where}: found shape {row.shape} and type {row.dtype}, "
                f"expected {start.shape} and {dtype} as in {first.path!r}"
            )
        if raw.units != first.units:
            raise DataError(
                f"{where}: found units {raw.units!r}, expected {first.units!r} as in {first.path!r}"
            )
        if row.dtype.itemsize > values.dtype.itemsize:
            values = values.astype(row.dtype)
        values[number] = row
    return replace(first, values=values)


def _one_value(values: Any, where: str) -> np.ndarray:
    array = np.asarray(values)
    if array.size != 1:
        raise DataError(
            f"{where}: found shape {array.shape}, expected one value per group for a parameter"
        )
    return array.reshape(())


def _with_dims(own: int) -> Any:
    def shaped(values: Any, where: str) -> np.ndarray:
        array = np.asarray(values)
        if own == 0 and array.size == 1:
            return array.reshape(())
        if array.ndim != own:
            raise DataError(
                f"{where}: found shape {array.shape}, expected {own} axes per group; "
                "list a measurement's own axes in dims"
            )
        return array

    return shaped


reader = Reader("groups", 'one group per trial, e.g. groups = "/shots/*"', _read, _parts)
