"""From a signal or image to one number per trial, by what stands along its own dims.

Values of a trial are flattened, ``(setting, trial, value)``, the last dim fastest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

PLAIN: dict[str, Callable[..., Array]] = {
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
    "sum": np.sum,
    "std": np.std,
}
INTEGRAL, PEAK, ABOVE = "integral", "peak_position", "fraction_above"
REDUCTIONS = (*PLAIN, INTEGRAL, PEAK, ABOVE)


@dataclass(frozen=True)
class Axis:
    """Where the entries along a dim stand.

    Parameters
    ----------
    values
        One number per entry; texts where the entries have names only.
    units
        ``""`` for none.
    """

    values: Array
    units: str = ""

    @property
    def named(self) -> bool:
        """Whether its entries have no places, but names."""
        return self.values.dtype.kind not in "iufb"


def numbered(length: int) -> Axis:
    """Entries that stand one apart, having no coordinate."""
    return Axis(np.arange(length, dtype=np.float64))


def integral(values: Array, axes: Sequence[Axis]) -> Array:
    """Integrate by the trapezoidal rule along all axes, whichever way they run."""
    weights = np.ones(1)
    for axis in axes:
        steps = np.abs(np.diff(axis.values.astype(np.float64)))
        along = (np.r_[0, steps] + np.r_[steps, 0]) / 2 if len(steps) else np.ones(1)
        weights = np.multiply.outer(weights, along).ravel()
    found: Array = values @ weights
    return found


def peak_position(values: Array, axes: Sequence[Axis], which: int) -> Array:
    """Where along one axis the largest value stands; the first of several. NaN if one is NaN."""
    shape = tuple(len(axis.values) for axis in axes)
    place = np.unravel_index(np.argmax(values, axis=-1), shape)[which]
    found = axes[which].values.astype(np.float64)[place]
    return np.where(np.isnan(values).any(axis=-1), np.nan, found)


def fraction_above(values: Array, level: Array) -> Array:
    """Share of the values above a level of each trial, ``(setting, trial)``."""
    level = level[..., None]
    unknown = np.isnan(values).any(axis=-1) | np.isnan(level[..., 0])
    return np.where(unknown, np.nan, (values > level).mean(axis=-1))
