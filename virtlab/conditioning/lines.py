"""A measurement's values along one of its dims, and the nearest that never fall."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from virtlab.trials import Measurement

Array = NDArray[np.float64]


def to_lines(values: Array, measurement: Measurement, dim: str | None) -> Array:
    """Values ``(trial, value)`` as ``(trial, line, entry along dim)``; None: one line of all."""
    if dim is None:
        return values[:, None, :]
    axis = measurement.dims.index(dim) + 1
    moved = np.moveaxis(values.reshape(len(values), *measurement.shape), axis, -1)
    return moved.reshape(len(values), -1, measurement.shape[axis - 1])


def from_lines(lines: Array, measurement: Measurement, dim: str | None) -> Array:
    """Inverse of `to_lines`."""
    if dim is None:
        return lines[:, 0, :]
    axis = measurement.dims.index(dim) + 1
    others = [n for i, n in enumerate(measurement.shape, start=1) if i != axis]
    moved = np.moveaxis(lines.reshape(len(lines), *others, lines.shape[-1]), -1, axis)
    return moved.reshape(len(lines), -1)


def isotonic(rows: Array) -> Array:
    """The nearest rows, in squares, that never fall along their last axis; ``(row, entry)``.

    Pools adjacent violators (Barlow et al. 1972), in all rows at once.
    """
    found = rows.copy()
    falling = np.flatnonzero((np.diff(rows, axis=1) < 0).any(axis=1))
    if not falling.size:
        return found
    values = rows[falling]
    every = np.arange(len(values))
    mean, size = np.zeros(values.shape), np.zeros(values.shape, np.int64)
    last = np.full(len(values), -1)  # each row's last block so far
    for entry in values.T:
        last += 1
        mean[every, last], size[every, last] = entry, 1
        while True:
            rows_back = every[(last > 0) & (mean[every, last - 1] > mean[every, last])]
            if not rows_back.size:
                break
            at = last[rows_back]
            left, right = size[rows_back, at - 1], size[rows_back, at]
            total = left * mean[rows_back, at - 1] + right * mean[rows_back, at]
            mean[rows_back, at - 1], size[rows_back, at - 1] = total / (left + right), left + right
            last[rows_back] -= 1
    real = np.arange(values.shape[1]) <= last[:, None]
    found[falling] = np.repeat(mean[real], size[real]).reshape(values.shape)
    return found
