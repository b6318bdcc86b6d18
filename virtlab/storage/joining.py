"""The trials of many files joined into one Dataset, once each file's part is sound."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from virtlab.config import Experiment
from virtlab.errors import DataError
from virtlab.plugins import RawArray, RawTrials
from virtlab.storage.coordinates import coordinate
from virtlab.storage.layout import flatten_grid
from virtlab.storage.quantities import Quantity, Role, coerce, settle
from virtlab.trials import MISSING_CATEGORY, TRIAL, WEIGHT

FEWEST_TRIALS = 10

Key = tuple[Role, str]


@dataclass
class Joined:
    """The trials of the files so far.

    Parameters
    ----------
    quantities
        What the experiment says of each; the first file settles what it leaves open.
    pieces
        Trials added and not yet given out.
    shapes
        Shape of one trial's values.
    coords
        Of the measurements' own dims.
    first
        The first file.
    files, rows
        The files by number, and of each trial added and not yet given out its file and row.
    missing, with_gaps
        Values that are missing, and trials that lack some, by name.
    dropped, reasons
        Trials left out, and how many for which reason.
    """

    quantities: dict[Key, Quantity]
    pieces: dict[Key, list[NDArray[Any]]] = field(default_factory=dict)
    shapes: dict[Key, tuple[int, ...]] = field(default_factory=dict)
    coords: dict[str, RawArray] = field(default_factory=dict)
    first: str = ""
    files: dict[str, int] = field(default_factory=dict)
    rows: list[NDArray[np.int64]] = field(default_factory=list)
    missing: Counter[str] = field(default_factory=Counter)
    with_gaps: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def nbytes(self) -> int:
        """Bytes of the trials added and not yet given out."""
        return sum(piece.nbytes for pieces in self.pieces.values() for piece in pieces)

    def add(self, raw: RawTrials, experiment: Experiment, file: str) -> None:
        """Convert and check one file's trials."""
        if experiment.data.grid:
            raw = flatten_grid(raw, experiment, file)
        count = _trial_count(raw, file)
        for name in experiment.measurements:
            self._add(("measurement", name), raw.measurements[name], file)
        for name, table in experiment.parameters.items():
            if table.path is None:
                modulo = 2 if table.modulo is None else table.modulo
                rows = np.arange(raw.start, raw.start + count) % modulo
                parameter = RawArray(rows, path="row")
            else:
                label = f"parameter {name!r}"
                parameter = _per_trial(raw.parameters[name], label, count, file)
            self._add(("parameter", name), parameter, file)
        if raw.weights is not None and ("weight", WEIGHT) in self.quantities:
            weights = _per_trial(raw.weights, "[data] weights", count, file)
            self._add(("weight", WEIGHT), weights, file)
            given = self.pieces["weight", WEIGHT][-1]
            _check_weights(given, raw.start, f"{file}: {weights.path!r}")
        for role, name in list(self.quantities):
            if role == "coordinate":
                self._add_coordinate(name, raw.coords[name], file)
        self.first = self.first or file
        self._count_rows(file, raw.start, count)

    def _count_rows(self, file: str, start: int, count: int) -> None:
        number = self.files.setdefault(file, len(self.files))
        rows = np.arange(start, start + count)
        self.rows.append(np.stack([np.full(count, number), rows], axis=1))

    def _add(self, key: Key, raw: RawArray, file: str) -> None:
        quantity = self.quantities[key] = settle(self.quantities[key], raw)
        values = coerce(quantity, raw, file)
        expected = self.shapes.setdefault(key, values.shape[1:])
        if expected != values.shape[1:]:
            raise DataError(
                f"{file}: {raw.path!r}: {quantity.label}: found shape {values.shape[1:]} per "
                f"trial, expected {expected} as in {self.first}"
            )
        self.pieces.setdefault(key, []).append(values)

    def _add_coordinate(self, name: str, raw: RawArray, file: str) -> None:
        key: Key = ("coordinate", name)
        quantity = self.quantities[key] = settle(self.quantities[key], raw)
        values = coerce(quantity, raw, file)
        known = self.coords.setdefault(name, replace(raw, values=values))
        if known.values.shape != values.shape or not _equal(known.values, values):
            raise DataError(
                f"{file}: {raw.path!r}: {quantity.label} differs from the one in {self.first}; "
                "all files need the same"
            )

    def dataset(self, experiment: Experiment) -> xr.Dataset:
        """All trials joined, without those that cannot be learned from; empties this.

        Raises
        ------
        DataError
            Too few trials are left, or nothing of a measurement.
        """
        trials = self._assembled(experiment, whole=True)
        check_trials(trials, experiment, self.first)
        return trials

    def part(self, experiment: Experiment) -> xr.Dataset:
        """The trials added since the last call, as `dataset` gives them; it may be none.

        What is missing and what was left out is counted over all calls. See `check_trials` for
        what is not checked.
        """
        return self._assembled(experiment, whole=False)

    def _assembled(self, experiment: Experiment, *, whole: bool) -> xr.Dataset:
        variables = {}
        origin = np.concatenate(self.rows)
        self.rows.clear()
        for key in list(self.pieces):
            pieces = self.pieces.pop(key)
            variables[key] = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
            pieces.clear()
        if whole and ("weight", WEIGHT) in variables and not variables["weight", WEIGHT].any():
            raise DataError(
                f"{experiment.path.name}: [data] weights = {experiment.data.weights!r}: all "
                f"{len(variables['weight', WEIGHT]):,} weights are 0; expected some above 0"
            )
        keep, reasons = _usable(variables, self.quantities, whole=whole)
        self.reasons.update(reasons)
        self.dropped += int((~keep).sum())
        data, coords = {}, {}
        for key in list(variables):
            values = variables.pop(key)
            values = values if keep.all() else values[keep]
            attrs = self._attrs(key, values)
            if key[0] != "measurement":
                coords[key[1]] = (TRIAL, values, attrs)
            else:
                dims = (TRIAL, *experiment.measurements[key[1]].dims)
                data[key[1]] = (dims, values, attrs)
        _check_sizes(data, experiment)
        made = self._coordinates(experiment, {n: v[1].shape[1:] for n, v in data.items()})
        order = {name: coords[name] for name in (*experiment.parameters, WEIGHT) if name in coords}
        return xr.Dataset(
            data,
            {**order, **made},
            {
                "experiment": experiment.experiment.name,
                "origin": origin[keep],
                "missing": sum(attrs["missing"] for _, _, attrs in data.values()),
                "dropped_trials": self.dropped,
                "dropped_reasons": [f"{count} {why}" for why, count in self.reasons.items()],
            },
        )

    def _attrs(self, key: Key, values: NDArray[Any]) -> dict[str, Any]:
        quantity = self.quantities[key]
        missing = values == MISSING_CATEGORY if quantity.categorical else np.isnan(values)
        self.missing[key[1]] += int(missing.sum())
        attrs: dict[str, Any] = {
            "units": quantity.units,
            "kind": quantity.kind,
            "missing": self.missing[key[1]],
        }
        if key[0] == "measurement":
            own = tuple(range(1, missing.ndim))
            self.with_gaps[key[1]] += int(missing.any(axis=own).sum())
            attrs["missing_trials"] = self.with_gaps[key[1]]
            attrs["support"] = quantity.limits
        return attrs

    def _coordinates(
        self, experiment: Experiment, shapes: Mapping[str, tuple[int, ...]]
    ) -> dict[Hashable, Any]:
        made: dict[Hashable, Any] = {}
        for name, table in experiment.measurements.items():
            sizes = dict(zip(table.dims, shapes[name], strict=True))
            for coord in table.coords:
                units = self.quantities["coordinate", coord].units
                dims, values = coordinate(coord, self.coords[coord], sizes, self.first)
                made[coord] = (dims, values, {"units": units})
        return made


def _trial_count(raw: RawTrials, file: str) -> int:
    """Count the trials: the number that everything in a file agrees on."""
    counts = {f"measurement {n!r} ({m.path})": len(m.values) for n, m in raw.measurements.items()}
    for name, parameter in raw.parameters.items():
        if np.size(parameter.values) > 1:
            counts[f"parameter {name!r} ({parameter.path})"] = len(parameter.values)
    if raw.weights is not None and np.size(raw.weights.values) > 1:
        counts[f"[data] weights ({raw.weights.path})"] = len(raw.weights.values)
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{what} has {count}" for what, count in counts.items())
        raise DataError(
            f"{file}: numbers of trials differ: {told}; if the trials are not the first axis of a "
            "measurement, set trial_dim; if this is a gridded scan, set data.grid"
        )
    return next(iter(counts.values()))


def _per_trial(raw: RawArray, label: str, count: int, file: str) -> RawArray:
    """Bring a parameter to one value per trial, repeated where it is constant in the file."""
    values = np.asarray(raw.values)
    if values.size == 1:
        return replace(raw, values=np.broadcast_to(values.reshape(()), (count,)))
    if values.ndim != 1:
        raise DataError(
            f"{file}: {raw.path!r}: {label}: found shape {values.shape}, expected one "
            "value per trial, or one for the file; for a gridded scan, set data.grid"
        )
    return raw


def _equal(first: NDArray[Any], second: NDArray[Any]) -> bool:
    if first.dtype == object:
        return bool((first == second).all())
    return bool(np.allclose(first, second, rtol=1e-6, atol=0, equal_nan=True))


def _usable(
    variables: Mapping[Key, NDArray[Any]], quantities: Mapping[Key, Quantity], *, whole: bool
) -> tuple[NDArray[np.bool_], dict[str, int]]:
    """Which trials count, have all parameters and at least one measured value, and why not.

    Where the trials are the `whole` and nothing was measured at all, they stay: that is another
    fault, see `check_trials`.
    """
    count = len(next(iter(variables.values())))
    keep = np.ones(count, dtype=bool)
    measured = np.zeros(count, dtype=bool)
    reasons = {}
    for key, values in variables.items():
        given = values != MISSING_CATEGORY if quantities[key].categorical else ~np.isnan(values)
        if key[0] == "measurement":
            measured |= given.reshape(count, math.prod(given.shape[1:])).any(axis=1)
        elif key[0] == "weight":
            if not values.all():
                reasons["of weight 0"] = int((values == 0).sum())
                keep &= values > 0
        elif not given.all():
            reasons[f"without parameter {key[1]!r}"] = int((~given).sum())
            keep &= given
    if not measured.all() and (measured.any() or not whole):
        reasons["without any measurement"] = int((~measured).sum())
        keep &= measured
    return keep, reasons


def _check_weights(weights: NDArray[np.float64], start: int, where: str) -> None:
    """Refuse weights that are no shares of anything; `start` is the first one's trial."""
    wrong = np.flatnonzero(~(weights >= 0))
    if wrong.size:
        found = weights[wrong[0]]
        what = "missing or not finite" if np.isnan(found) else f"{found:g}"
        more = f", and {wrong.size - 1:,} more are wrong" if wrong.size > 1 else ""
        raise DataError(
            f"{where}: [data] weights: the weight of trial {start + wrong[0]} is {what}{more}; "
            "expected numbers of 0 or more (0 leaves a trial out)"
        )


def check_trials(trials: xr.Dataset, experiment: Experiment, file: str) -> None:
    """Refuse too few trials, and a measurement of which nothing was measured.

    Parameters
    ----------
    trials
        Of all files; or some of them, with attrs that speak of all.
    experiment
        Its names go into messages.
    file
        The first one, for messages.

    Raises
    ------
    DataError
        One of both.
    """
    count = trials.sizes[TRIAL]
    if count < FEWEST_TRIALS:
        reasons = trials.attrs["dropped_reasons"]
        dropped = f"; left out: {', '.join(reasons)}" if reasons else ""
        raise DataError(
            f"{experiment.path.name}: found {count} trials in the files of [data], "
            f"expected at least {FEWEST_TRIALS}{dropped}"
        )
    for name, variable in trials.data_vars.items():
        given = variable != MISSING_CATEGORY if variable.dtype == object else variable.notnull()
        if not given.any():
            raise DataError(
                f"{file}: {experiment.measurements[str(name)].path!r}: measurement {name!r}: "
                f"all {variable.size} values are missing (NaN, infinite, or a fill value); check "
                "the path and [data] missing"
            )


def _check_sizes(data: Mapping[str, Any], experiment: Experiment) -> None:
    """Measurements that share a dim have the same length along it."""
    lengths: dict[str, tuple[str, int]] = {}
    for name, (dims, values, _) in data.items():
        for dim, length in zip(dims[1:], values.shape[1:], strict=True):
            other, expected = lengths.setdefault(dim, (name, length))
            if length != expected:
                raise DataError(
                    f"{experiment.path.name}: dim {dim!r} has length {length} in measurement "
                    f"{name!r} and {expected} in {other!r}; give them dims of different names"
                )
