"""A random sample of trials that come in parts: what statistics are learned from."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from virtlab.trials import TRIAL

MOST, FEWEST = 20_000, 1_000  # trials
ALWAYS = -1.0  # a key below every random one


class Sample:
    """Trials that each part gives, equally likely whichever part it is.

    Every trial draws a random key, and those with the least keys stay. A trial that has the
    least or greatest value so far of a variable, or a category not met before, always stays:
    no category is lost, and no limit that values reach.

    Parameters
    ----------
    memory
        Bytes that the sample may take; it has `MOST` trials at most, and `FEWEST` whatever they
        take, beside those that always stay.
    rng
        Draws the keys.
    """

    def __init__(self, memory: int, rng: np.random.Generator) -> None:
        self._memory, self._rng = memory, rng
        self._most = MOST
        self._keys = np.zeros(0)
        self._kept: list[xr.Dataset] = []
        self._limit = np.inf
        self._ranges: dict[Hashable, tuple[float, float]] = {}
        self._categories: dict[Hashable, set[str]] = {}

    def add(self, trials: xr.Dataset) -> None:
        """Keep some of a part's trials."""
        count = trials.sizes[TRIAL]
        self._most = max(FEWEST, min(self._most, self._memory * count // max(trials.nbytes, 1)))
        keys = self._rng.random(count)
        keys[self._remarkable(trials)] = ALWAYS
        stay = np.flatnonzero(keys < self._limit)
        self._keys = np.append(self._keys, keys[stay])
        self._kept.append(picked(trials, stay))
        if np.count_nonzero(self._keys >= 0) > 2 * self._most:
            self._thin()

    def dataset(self) -> xr.Dataset:
        """The sample, in the trials' own order."""
        self._thin()
        return self._kept[0]

    def _thin(self) -> None:
        """Drop those with the greatest keys; one Dataset of what is left."""
        random = np.sort(self._keys[self._keys >= 0])
        if len(random) > self._most:
            self._limit = float(random[self._most])
        stay = np.flatnonzero(self._keys < self._limit)
        self._kept = [picked(_joined(self._kept), stay)]
        self._keys = self._keys[stay]

    def _remarkable(self, trials: xr.Dataset) -> list[int]:
        """Trials with a new category, or a value beyond all before."""
        found: list[int] = []
        for name, variable in trials.variables.items():
            if TRIAL not in variable.dims or not variable.size:
                continue
            values = variable.values.reshape(len(variable), -1)
            found += self._new(name, values) if values.dtype == object else self._far(name, values)
        return found

    def _new(self, name: Hashable, values: NDArray[Any]) -> list[int]:
        known = self._categories.setdefault(name, set())
        fresh = set(values.ravel().tolist()) - known
        known |= fresh
        return [int((values == category).any(axis=1).argmax()) for category in sorted(fresh)]

    def _far(self, name: Hashable, values: NDArray[np.float64]) -> list[int]:
        given = ~np.isnan(values)
        if not given.any():
            return []
        width = values.shape[1]
        least = int(np.where(given, values, np.inf).argmin())
        most = int(np.where(given, values, -np.inf).argmax())
        ends = float(values.flat[least]), float(values.flat[most])
        low, high = self._ranges.get(name, (np.inf, -np.inf))
        self._ranges[name] = min(low, ends[0]), max(high, ends[1])
        return [least // width] * (ends[0] < low) + [most // width] * (ends[1] > high)


def picked(trials: xr.Dataset, rows: NDArray[np.intp] | slice) -> xr.Dataset:
    """Some of the trials, and where these come from."""
    found = trials.isel({TRIAL: rows})
    if "origin" in trials.attrs:  # the attrs of both are one dict: never written to
        found.attrs = {**trials.attrs, "origin": trials.attrs["origin"][rows]}
    return found


def _joined(parts: list[xr.Dataset]) -> xr.Dataset:
    """Datasets one after the other along the trials; attrs of the last."""
    last = parts[-1]
    if len(parts) == 1:
        return last
    data: dict[Hashable, Any] = {}
    coords: dict[Hashable, Any] = {}
    for name, variable in last.variables.items():
        values = variable.values
        if TRIAL in variable.dims:
            values = np.concatenate([part[name].values for part in parts])
        kind = data if name in last.data_vars else coords
        kind[name] = (variable.dims, values, variable.attrs)
    joined = xr.Dataset(data, coords, last.attrs)
    if "origin" in last.attrs:
        joined.attrs["origin"] = np.concatenate([part.attrs["origin"] for part in parts])
    return joined
