"""Physical laws that a measurement obeys in every trial, real or virtual.

A conditioner plugin or experiment.toml declares them. Real trials that break one are refused;
virtual ones obey by construction: what the networks draw is mapped onto what is possible when it
is scaled back, and no draw is rejected. What obeys already is left as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning.lines import from_lines, isotonic, to_lines
from virtlab.conditioning.parameters import Parameter, suggestion
from virtlab.errors import ConfigError, DataError, SettingError
from virtlab.trials import Measurement

Array = NDArray[np.float64]

TOLERANCE = 1e-6
"""Relative; files in single precision miss a sum by some 1e-7."""

Direction = Literal["increasing", "decreasing"]


@dataclass(frozen=True)
class NonNegative:
    """No value is below zero.

    Parameters
    ----------
    measurement
        Whose values.
    tolerance
        How far below zero real values may be, relative to the largest: rounding.
    """

    measurement: str
    tolerance: float = TOLERANCE

    def __str__(self) -> str:
        return f"{self.measurement} is never below 0"


@dataclass(frozen=True)
class Sum:
    """No value is below zero, and together they are a total.

    Parameters
    ----------
    measurement
        Whose values.
    total
        A number, or the parameter that is the total, in the measurement's units.
    dim
        Values along this dim of the measurement sum up, at each place along its others; None:
        all of a trial's values do.
    tolerance
        How far real sums may be off, relative to the total.
    """

    measurement: str
    total: float | str = 1.0
    dim: str | None = None
    tolerance: float = TOLERANCE

    def __str__(self) -> str:
        total = self.total if isinstance(self.total, str) else f"{self.total:g}"
        along = f" along {self.dim}" if self.dim else ""
        return f"{self.measurement} is never below 0 and sums to {total}{along}"

    def totals(self, settings: Mapping[str, NDArray[Any]], count: int) -> Array:
        """Total of each of `count` trials at these settings, ``(trial,)``.

        Raises
        ------
        SettingError
            A parameter that is the total is below zero.
        """
        if not isinstance(self.total, str):
            return np.full(count, float(self.total))
        totals: Array = np.asarray(settings[self.total], np.float64)
        if (totals < 0).any():
            raise SettingError(
                f"parameter {self.total!r}: {totals.min():g} is below 0, but {self.measurement} "
                "sums to it; give the parameter bounds of 0 or more"
            )
        return totals

    def shares(self, values: Array, measurement: Measurement, totals: Array) -> Array:
        """Values ``(trial, value)`` as shares of their sum; NaN where the total is zero.

        Where values are missing, as shares of the total.
        """
        lines = to_lines(values, measurement, self.dim)
        total = np.broadcast_to(totals[:, None, None], lines.shape)
        complete = ~np.isnan(lines).any(axis=-1, keepdims=True)
        found = lines.sum(axis=-1, keepdims=True)
        total = np.where(complete & (found > 0), found, total)
        shares = np.divide(lines, total, out=np.full(lines.shape, np.nan), where=total > 0)
        return from_lines(shares, measurement, self.dim)

    def ratios(self, shares: Array, measurement: Measurement) -> Array:
        """Logarithms of shares less their mean, ``(trial, value)`` (Aitchison 1982)."""
        logs = np.log(to_lines(shares, measurement, self.dim))
        return from_lines(logs - logs.mean(axis=-1, keepdims=True), measurement, self.dim)

    def parts(self, ratios: Array, measurement: Measurement) -> Array:
        """Parts of some sum that have these `ratios`, the largest of them 1."""
        lines = to_lines(ratios, measurement, self.dim)
        return from_lines(np.exp(lines - lines.max(axis=-1, keepdims=True)), measurement, self.dim)

    def enforce(self, parts: Array, measurement: Measurement, totals: Array) -> Array:
        """Non-negative parts ``(trial, value)`` of any sum, brought to their total."""
        lines = to_lines(parts, measurement, self.dim)
        found = lines.sum(axis=-1, keepdims=True)
        # Parts that are all zero say nothing of how to share.
        shares = np.where(found > 0, lines / np.where(found > 0, found, 1), 1 / lines.shape[-1])
        return from_lines(shares * totals[:, None, None], measurement, self.dim)

    def excess(self, values: Array, measurement: Measurement, totals: Array) -> Array:
        """How far sums are off in units of the total, ``(trial,)``; 0 for what cannot be told."""
        lines = to_lines(values, measurement, self.dim)
        complete = ~np.isnan(lines).any(axis=-1)
        over = np.nansum(lines, axis=-1) - totals[:, None]
        over = np.where(complete, np.abs(over), np.maximum(over, 0))
        off: Array = (over / np.where(totals > 0, totals, 1)[:, None]).max(axis=1)
        return off


@dataclass(frozen=True)
class Monotone:
    """Values never fall (or never rise) along a dim.

    Parameters
    ----------
    measurement
        Whose values.
    dim
        Along which of its dims.
    direction
        ``increasing`` or ``decreasing``; staying level is both.
    tolerance
        How large a step backwards real values may make, relative to their trial's range.
    """

    measurement: str
    dim: str
    direction: Direction = "increasing"
    tolerance: float = TOLERANCE

    def __str__(self) -> str:
        never = "falls" if self.direction == "increasing" else "rises"
        return f"{self.measurement} never {never} along {self.dim}"

    @property
    def sign(self) -> int:
        """1 for increasing, -1 for decreasing."""
        return 1 if self.direction == "increasing" else -1

    def least_rise(self, values: Array, measurement: Measurement) -> Array:
        """Smallest step that any trial makes, accumulated along the dim, ``(value,)``; 0 first."""
        steps = np.diff(self.sign * to_lines(values, measurement, self.dim), axis=-1)
        known = np.where(np.isnan(steps), np.inf, steps).min(axis=0, initial=np.inf)
        least = np.where(np.isfinite(known), np.maximum(known, 0), 0)
        path = np.concatenate([np.zeros((len(least), 1)), np.cumsum(least, axis=-1)], axis=-1)
        rise: Array = from_lines(path[None], measurement, self.dim)[0]
        return rise

    def enforce(self, values: Array, measurement: Measurement, least: Array) -> Array:
        """The nearest values that rise by no less than `least` does, ``(trial, value)``.

        Nearest in squares: the projection onto a convex set, so that a draw comes no farther from
        any possible trial than it was. Trials that made level steps keep them possible, and where
        none did, a virtual one makes none.
        """
        lines = self.sign * to_lines(values, measurement, self.dim)
        path = to_lines(least[None], measurement, self.dim)
        risen = isotonic((lines - path).reshape(-1, lines.shape[-1])).reshape(lines.shape) + path
        return from_lines(self.sign * risen, measurement, self.dim)

    def excess(self, values: Array, measurement: Measurement) -> Array:
        """Largest step backwards in units of the trial's range, ``(trial,)``."""
        lines = self.sign * to_lines(values, measurement, self.dim)
        highest = np.fmax.accumulate(lines, axis=-1)  # gaps are passed over
        back = np.where(np.isnan(lines), 0, highest - lines)
        level = np.isnan(lines)
        span = np.where(level, -np.inf, lines).max(-1) - np.where(level, np.inf, lines).min(-1)
        off: Array = (back.max(axis=-1) / np.where(span > 0, span, 1)).max(axis=1)
        return off


Constraint = NonNegative | Sum | Monotone


def bind(
    constraints: Iterable[Constraint],
    measurements: Sequence[Measurement],
    parameters: Sequence[Parameter],
) -> tuple[tuple[Measurement, ...], dict[str, Sum | Monotone]]:
    """Constraints as measurements with their supports, and what else binds them, by name.

    Raises
    ------
    ConfigError
        One names no measurement, dim or parameter of the experiment, or cannot hold for it.
    """
    known = {measurement.name: measurement for measurement in measurements}
    bonds: dict[str, Sum | Monotone] = {}
    for constraint in constraints:
        name = constraint.measurement
        if name not in known:
            raise ConfigError(
                f"constraint: no measurement is named {name!r}{suggestion(name, list(known))}"
            )
        fault = _fault(constraint, known[name], {p.name: p for p in parameters})
        if fault:
            raise ConfigError(f"constraint '{constraint}': {fault}")
        if not isinstance(constraint, Monotone):
            low, high = known[name].support
            known[name] = replace(known[name], support=(max(low, 0.0), high))
        if isinstance(constraint, NonNegative):
            continue
        if bonds.get(name, constraint) != constraint:
            raise ConfigError(
                f"measurement {name!r} has two constraints, '{bonds[name]}' and '{constraint}'; "
                "keep one of them"
            )
        bonds[name] = constraint
    return tuple(known.values()), bonds


def _fault(
    constraint: Constraint, measurement: Measurement, parameters: Mapping[str, Parameter]
) -> str:
    """Why a constraint cannot hold; empty if it can."""
    if not 0 <= constraint.tolerance < 1:
        return f"its tolerance is {constraint.tolerance:g}; expected 0 or more, and less than 1"
    if measurement.kind == "categorical":
        return "the measurement is categorical, expected numbers"
    low, high = measurement.support
    if isinstance(constraint, NonNegative):
        return "" if high > 0 else f"the support [{low:g}, {high:g}] leaves nothing above 0"
    if constraint.dim is not None and constraint.dim not in measurement.dims:
        dims = ", ".join(measurement.dims) or "none"
        return f"the measurement has no dim {constraint.dim!r}; it has {dims}"
    length = measurement.size
    if constraint.dim is not None:
        length = measurement.shape[measurement.dims.index(constraint.dim)]
    if length < 2:
        return "that would be of a single value, expected two or more"
    return _sum_fault(constraint, measurement, parameters) if isinstance(constraint, Sum) else ""


def _sum_fault(
    constraint: Sum, measurement: Measurement, parameters: Mapping[str, Parameter]
) -> str:
    total, (low, high) = constraint.total, measurement.support
    if measurement.kind == "count":
        return "the measurement is a count; rounding would break its sum: use continuous"
    if low > 0:
        return f"the support begins at {low:g}; where values sum up, it begins at 0 or is left away"
    if isinstance(total, str):
        parameter = parameters.get(total)
        if parameter is None:
            return f"no parameter is named {total!r}{suggestion(total, list(parameters))}"
        if parameter.kind not in ("continuous", "integer"):
            return f"the parameter {total!r} is {parameter.kind}, expected numbers"
        if (parameter.units or "1") != (measurement.units or "1"):
            return (
                f"the parameter {total!r} is in {parameter.units!r}, the measurement in "
                f"{measurement.units!r}; give both the same units in experiment.toml"
            )
        if math.isfinite(high):
            return f"the support ends at {high:g}; leave its end away, the total is one"
    elif not (math.isfinite(total) and total > 0):
        return f"the total is {total:g}, expected a number above 0"
    elif high < total:
        return f"the support ends at {high:g}, below the total"
    return ""


def refuse_broken(
    constraint: Constraint,
    measurement: Measurement,
    values: NDArray[Any],
    settings: Mapping[str, NDArray[Any]],
    names: Sequence[str] | None = None,
) -> None:
    """Refuse real trials ``(trial, *shape)`` that break a constraint by more than its tolerance.

    Parameters
    ----------
    settings
        One value per trial, for the total.
    names
        How messages call each trial; None: by number.

    Raises
    ------
    DataError
        It names the trial that is farthest off, and how far that is.
    """
    flat = values.reshape(len(values), -1).astype(np.float64)
    if isinstance(constraint, Monotone):
        off, unit = constraint.excess(flat, measurement), "of its range the wrong way"
        broken = off > constraint.tolerance
    else:
        largest = np.nanmax(np.abs(flat), initial=0) or 1.0
        off = -np.fmin.reduce(flat, axis=1, initial=0) / largest
        unit, broken = "of the largest value below 0", off > constraint.tolerance
        if isinstance(constraint, Sum) and not broken.any():
            totals = constraint.totals(settings, len(flat))
            off, unit = constraint.excess(flat, measurement, totals), "of the total off"
            broken = off > constraint.tolerance
    if broken.any():
        worst = int(np.nanargmax(off))
        name = f"trial {worst}" if names is None else names[worst]
        raise DataError(
            f"measurement {measurement.name!r}: '{constraint}' is declared, but {broken.sum():,} "
            f"of {len(flat):,} trials break it, {name} the most: {off[worst]:.2g} {unit}; correct "
            f"the data or the constraint, or widen its tolerance of {constraint.tolerance:g}"
        )
