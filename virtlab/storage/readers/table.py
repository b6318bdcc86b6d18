"""The reader ``table``: datasets, attributes and columns, one trial per row."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from virtlab.config import Experiment
from virtlab.plugins import RawArray, RawTrials, Reader

if TYPE_CHECKING:
    import h5py


def _read(path: Path, experiment: Experiment) -> RawTrials:
    return read_rows(path, experiment, one_trial=False)


def _parts(path: Path, experiment: Experiment, most_bytes: int) -> Iterator[RawTrials]:
    return read_parts(path, experiment, most_bytes, one_trial=False)


def read_rows(path: Path, experiment: Experiment, *, one_trial: bool) -> RawTrials:
    """Read a file whose measurements have a trial axis.

    Parameters
    ----------
    path, experiment
        As of every reader.
    one_trial
        Whether a measurement without that axis is one trial.
    """
    # Imported here: `virtlab plugins` loads every reader and must not pay for h5py.
    from virtlab.storage.hdf5 import open_lab_file

    with open_lab_file(path) as file:
        return _trials(file, path, experiment, one_trial)


def read_parts(
    path: Path, experiment: Experiment, most_bytes: int, *, one_trial: bool
) -> Iterator[RawTrials]:
    """Read such a file some rows at a time; whole, where it is no plain table."""
    from virtlab.storage.hdf5 import open_lab_file

    with open_lab_file(path) as file:
        axes = _trial_axes(file, experiment)
        lengths = {shape[axis] for shape, axis in axes.values()}
        if len(lengths) != 1:  # if they differ, that is for reading it whole to complain of
            yield _trials(file, path, experiment, one_trial)
            return
        (count,) = lengths
        each = sum(8 * math.prod(shape) for shape, _ in axes.values()) // max(count, 1)
        step = max(1, most_bytes // max(each, 1))
        along = {where: axis for where, (_, axis) in axes.items()}
        for start in range(0, max(count, 1), step):
            rows = slice(start, start + step)
            part = _trials(file, path, experiment, one_trial, rows, along)
            yield replace(part, start=start)


def _trials(
    file: h5py.File,
    path: Path,
    experiment: Experiment,
    one_trial: bool,
    rows: slice | None = None,
    along: Mapping[str, int] | None = None,
) -> RawTrials:
    """Read trials: all, or some rows along the axis that counts them in each path."""
    from virtlab.storage.arrays import read_array
    from virtlab.storage.layout import arrange_measurement, arrange_parameter

    along = along or {}

    def read(where: str) -> RawArray:
        return read_array(
            file, where, rows=rows if where in along else None, axis=along.get(where, 0)
        )

    gridded = bool(experiment.data.grid)
    parameters, measurements, coords = {}, {}, {}
    for name, parameter in experiment.parameters.items():
        if parameter.path is not None:
            parameters[name] = arrange_parameter(read(parameter.path))
    for name, table in experiment.measurements.items():
        raw = read(table.path)
        measurements[name] = (
            raw
            if gridded
            else arrange_measurement(raw, name, table, str(path), one_trial=one_trial)
        )
        for coord, where in table.coords.items():
            if coord not in coords:
                coords[coord] = read_array(file, where.path)
    given = experiment.data.weights
    weights = None if given is None else arrange_parameter(read(given))
    return RawTrials(parameters, measurements, coords, weights=weights)


def _trial_axes(file: h5py.File, experiment: Experiment) -> dict[str, tuple[tuple[int, ...], int]]:
    """Shape of each path that has a value per trial, and the axis that counts them.

    Empty where the file is no plain table: a grid, or a measurement without trials.
    """
    from virtlab.storage.arrays import shape_of

    axes = {}
    for table in experiment.measurements.values():
        shape = shape_of(file, table.path)
        axis = table.trial_dim + (len(shape) if table.trial_dim < 0 else 0)
        if experiment.data.grid or len(shape) <= len(table.dims) or not 0 <= axis < len(shape):
            return {}
        axes[table.path] = shape, axis
    paths = [parameter.path for parameter in experiment.parameters.values()]
    for path in (*paths, experiment.data.weights):
        shape = shape_of(file, path) if path is not None else ()
        if path is None or math.prod(shape) == 1 or path in axes:
            continue
        if max(shape) != math.prod(shape):
            return {}
        axes[path] = shape, shape.index(max(shape))
    return axes


reader = Reader(
    "table", "datasets whose first axis is the trial, columns, attributes", _read, _parts
)
