"""Axes of what a file holds, brought into one order: trials first, then a measurement's own dims.

Pure array work: nothing here knows HDF5.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from virtlab.config import Experiment, MeasurementTable
from virtlab.errors import DataError
from virtlab.plugins import RawArray, RawTrials


def arrange_measurement(
    raw: RawArray, name: str, table: MeasurementTable, file: str, *, one_trial: bool
) -> RawArray:
    """Bring the trials to the first axis.

    Parameters
    ----------
    raw
        As in the file.
    name, table, file
        The measurement, what experiment.toml says of it, and the file's name for messages.
    one_trial
        Whether a dataset without a trial axis is one trial, and not a mistake.

    Returns
    -------
    raw
        Shape ``(trial, *own dims)``.

    Raises
    ------
    DataError
        The number of axes does not fit the dims.
    """
    values = np.asarray(raw.values)
    own = len(table.dims)
    if one_trial and values.ndim == own:
        return replace(raw, values=values[np.newaxis])
    if -values.ndim <= table.trial_dim < values.ndim:
        values = np.moveaxis(values, table.trial_dim, 0)
    elif values.ndim:
        raise DataError(
            f"{file}: {raw.path!r}: measurement {name!r}: trial_dim = {table.trial_dim}, "
            f"but the shape is {values.shape}"
        )
    values = _without_single_axes(values, own + 1)
    if values.ndim != own + 1:
        raise DataError(_misfit(raw, name, table, file))
    return replace(raw, values=values)


def arrange_parameter(raw: RawArray) -> RawArray:
    """Drop axes of length 1, as programs that know only matrices write them.

    Parameters
    ----------
    raw
        Of any shape; one with several long axes stays as it is, for a grid.
    """
    values = np.asarray(raw.values)
    if values.ndim > 1 and max(values.shape) == values.size:
        values = values.reshape(-1)
    return replace(raw, values=values)


def _without_single_axes(values: np.ndarray, ndim: int) -> np.ndarray:
    """Drop axes of length 1, last first and never the trials', until `ndim` are left."""
    for axis in range(values.ndim - 1, 0, -1):
        if values.ndim > ndim and values.shape[axis] == 1:
            values = values.squeeze(axis)
    return values


def _misfit(raw: RawArray, name: str, table: MeasurementTable, file: str) -> str:
    shape = np.asarray(raw.values).shape
    expected = " and ".join(["trials", *map(repr, table.dims)])
    hint = "list its own axes in dims"
    if len(shape) > 1 and not table.dims:
        hint += ', e.g. dims = ["time"]' if len(shape) == 2 else ', e.g. dims = ["y", "x"]'
    if len(shape) == len(table.dims):
        hint = 'for one trial per file, use reader = "files"'
    return (
        f"{file}: {raw.path!r}: measurement {name!r}: found shape {shape}, expected "
        f"{len(table.dims) + 1} axes ({expected}); {hint}"
    )


def flatten_grid(raw: RawTrials, experiment: Experiment, file: str) -> RawTrials:
    """Make trials of the points of a gridded scan.

    Parameters
    ----------
    raw
        Grid parameters 1-D, one per leading axis of every measurement, or of the grid's shape;
        other parameters constant, or of the grid's shape.
    experiment
        Its ``data.grid`` names the axes in order.
    file
        Its name, for messages.

    Raises
    ------
    DataError
        Shapes that do not span one grid.
    """
    axes = list(experiment.data.grid)
    lengths = []
    for axis, name in enumerate(axes):
        values = np.asarray(raw.parameters[name].values)
        if values.ndim not in (1, len(axes)):
            raise DataError(
                f"{file}: {raw.parameters[name].path!r}: parameter {name!r} of data.grid: found "
                f"shape {values.shape}, expected 1 axis, or {len(axes)} as the grid"
            )
        lengths.append(values.shape[axis if values.ndim > 1 else 0])
    shape = tuple(lengths)
    parameters = {}
    for name, parameter in raw.parameters.items():
        along = axes.index(name) if name in axes else None
        parameters[name] = _flat_parameter(parameter, f"parameter {name!r}", shape, along, file)
    measurements = {
        name: _flat_measurement(measurement, name, shape, axes, file)
        for name, measurement in raw.measurements.items()
    }
    weights = raw.weights
    if weights is not None:
        weights = _flat_parameter(weights, "[data] weights", shape, None, file)
    return replace(raw, parameters=parameters, measurements=measurements, weights=weights)


def _flat_parameter(
    raw: RawArray, label: str, shape: tuple[int, ...], axis: int | None, file: str
) -> RawArray:
    values = np.asarray(raw.values)
    if axis is not None and values.ndim == 1:
        along = [1] * len(shape)
        along[axis] = -1
        values = np.broadcast_to(values.reshape(along), shape)
    if values.shape == shape:
        return replace(raw, values=values.reshape(-1))
    if values.size == 1:
        return raw
    raise DataError(
        f"{file}: {raw.path!r}: {label}: found shape {values.shape}, expected one "
        f"value, or the grid's shape {shape}; or name it in data.grid"
    )


def _flat_measurement(
    raw: RawArray, name: str, shape: tuple[int, ...], axes: list[str], file: str
) -> RawArray:
    values = np.asarray(raw.values)
    if values.shape[: len(shape)] != shape:
        raise DataError(
            f"{file}: {raw.path!r}: measurement {name!r}: found shape {values.shape}, expected "
            f"it to begin with the grid {shape} of {', '.join(axes)}"
        )
    return replace(raw, values=values.reshape(math.prod(shape), *values.shape[len(shape) :]))
