"""Trials to float32 columns and back: exact for zeros, counts, limits and categories.

Scalars that pile up on single values (failed runs at exactly zero, a saturated detector, a
limit of their support) get a *code*: level 0 means "not on an atom", level i its i-th atom.
Categories are codes too. What is left is warped so that no virtual trial can leave the
support, then standardised. Signals and images are standardised entry by entry; where many entries
sit on a floor (dark pixels), it becomes 0 and all entries share one scale. Values that sum to a
total are scaled as shares of it, or as logarithms of their ratios where all are well above zero;
coming back, a constraint is enforced (see `virtlab.conditioning.constraints`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning.constraints import Monotone, Sum
from virtlab.trials import Measurement

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

MOST_COUNTS = 2.0**62


@dataclass(frozen=True)
class Column:
    """How one measurement becomes columns.

    Parameters
    ----------
    measurement
        What it is.
    warp
        ``none``, ``above``, ``below``, ``between``, ``log``, or ``nearest`` (nothing lies
        between the atoms); see `warped_by`.
    limits
        What the warp cannot leave; for signals, what values are clipped to.
    bend
        Distance from a limit at which the warp turns from linear to logarithmic.
    center, scale
        Of the warped values: one number each for a scalar, one per entry for a signal.
    atoms
        Values with a level of their own.
    floor
        Many of a signal's entries are on its lower limit, which is 0 when scaled.
    double
        Single precision would round what varies away: virtual values are float64.
    constraint
        What binds its values to each other.
    ratios
        What is scaled are logarithms of ratios, not shares of a total.
    least
        Smallest rise of any trial along the dim of a `Monotone`, accumulated, one per entry.
    """

    measurement: Measurement
    warp: str = "none"
    limits: tuple[float, float] = (-math.inf, math.inf)
    bend: float = 1.0
    center: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    atoms: tuple[float, ...] = ()
    floor: bool = False
    double: bool = False
    constraint: Sum | Monotone | None = None
    ratios: bool = False
    least: tuple[float, ...] = ()

    @property
    def values(self) -> int:
        """Columns of numbers."""
        return 0 if self.measurement.kind == "categorical" else self.measurement.size

    @property
    def levels(self) -> int:
        """Levels of its code; 0: it has none."""
        if self.measurement.kind == "categorical":
            return len(self.measurement.categories)
        return len(self.atoms) + 1 if self.atoms else 0

    @property
    def step(self) -> Floats:
        """Width of one count in scaled units, ``(value,)``; 0 unless it counts, linearly."""
        counts = self.measurement.kind == "count" and self.warp == "none"
        return np.array([counts / scale for scale in self.scale[: self.values]], np.float32)

    @property
    def scaled_atoms(self) -> Floats:
        """Where its atoms sit in scaled units: what the critic sees of them."""
        warped = warped_by(np.array(self.atoms), self)
        return ((warped - self.center[0]) / self.scale[0]).astype(np.float32)

    def totals(self, settings: Mapping[str, NDArray[Any]], count: int) -> Doubles | None:
        """What each of `count` trials at these settings sums to; None unless they sum up."""
        if not isinstance(self.constraint, Sum):
            return None
        return self.constraint.totals(settings, count)

    def scale_down(
        self, values: NDArray[Any], totals: Doubles | None = None
    ) -> tuple[Floats, Floats, NDArray[np.int32]]:
        """Scale ``(trial, *shape)`` to numbers, observed mask, and codes ``(trial,)``.

        `totals` are those of `Column.totals`. The mask is 0 where a value is missing; numbers
        there are 0, codes -1.
        """
        n = len(values)
        if self.measurement.kind == "categorical":
            index = {name: i for i, name in enumerate(self.measurement.categories)}
            codes = np.array([index.get(str(v), -1) for v in values.ravel()], np.int32)
            empty = np.zeros((n, 0), np.float32)
            return empty, empty, codes
        flat = _released(values.reshape(n, -1).astype(np.float64), self, totals)
        seen = np.isfinite(flat)
        codes = np.where(seen[:, 0], 0, -1).astype(np.int32)
        for level, atom in enumerate(self.atoms, start=1):
            codes[flat[:, 0] == atom] = level
        scaled = (warped_by(np.where(seen, flat, 0.0), self) - np.array(self.center)) / self.scale
        for level, atom in enumerate(self.scaled_atoms, start=1):
            scaled[codes == level] = atom
        return np.where(seen, scaled, 0).astype(np.float32), seen.astype(np.float32), codes

    def scale_up(
        self, scaled: Floats, codes: NDArray[np.int64] | None, totals: Doubles | None = None
    ) -> NDArray[Any]:
        """Inverse of `scale_down`: ``(trial, *shape)`` of floats, int64 counts or strings.

        Whatever `scaled` holds, limits and constraint hold for what comes back.
        """
        if self.measurement.kind == "categorical":
            assert codes is not None
            return np.array(self.measurement.categories, dtype=object)[codes]
        values: NDArray[Any]
        if self._single:
            values = scaled * np.array(self.scale, np.float32)
            values += np.array(self.center, np.float32)
            _clip(values, self.limits)
        else:
            warped = scaled.astype(np.float64) * self.scale + np.array(self.center)
            values = _enforced(_unwarp(warped, self), self, totals)
        if self.atoms and codes is not None:
            table = np.array([0.0, *self.atoms], values.dtype)
            values = np.where(codes[:, None] > 0, table[codes][:, None], values)
        shaped = values.reshape(len(scaled), *self.measurement.shape)
        if self.measurement.kind == "count":
            least, most = self.measurement.support
            whole = np.clip(np.round(shaped), max(least, 0), min(most, MOST_COUNTS))
            counts: NDArray[np.int64] = whole.astype(np.int64)
            return counts
        if self.double:
            return np.clip(shaped, *self.measurement.support)
        found: Floats = shaped.astype(np.float32, copy=False)
        _clip(found, self.measurement.support)
        return found

    @property
    def _single(self) -> bool:
        """Whether single precision does for scaling back, as it does for the result."""
        free = self.warp == "none" and self.constraint is None
        return free and not self.double and self.measurement.kind != "count"


def column_to_dict(column: Column) -> dict[str, Any]:
    """For the manifest; limits as text, since JSON knows no infinity."""
    found = asdict(column) | {"limits": [repr(limit) for limit in column.limits]}
    found["measurement"]["support"] = [repr(limit) for limit in column.measurement.support]
    if column.constraint is not None:
        found["constraint"]["kind"] = type(column.constraint).__name__.lower()
    return found


def column_from_dict(found: Mapping[str, Any]) -> Column:
    """From the manifest."""
    raw = _with_tuples(found["measurement"])
    raw["support"] = tuple(float(limit) for limit in raw["support"])
    fields = _with_tuples(found) | {"measurement": Measurement(**raw)}
    fields["limits"] = tuple(float(limit) for limit in fields["limits"])
    if fields.get("constraint") is not None:
        constraint = dict(fields["constraint"])
        fields["constraint"] = {"sum": Sum, "monotone": Monotone}[constraint.pop("kind")](
            **constraint
        )
    return Column(**fields)


def _with_tuples(found: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows lists only."""
    return {key: tuple(v) if isinstance(v, list) else v for key, v in found.items()}


def _released(values: Doubles, column: Column, totals: Doubles | None) -> Doubles:
    """Values ``(trial, value)`` as numbers that are free of the constraint."""
    constraint = column.constraint
    if not isinstance(constraint, Sum):
        return values
    assert totals is not None
    shares = constraint.shares(values, column.measurement, totals)
    return constraint.ratios(shares, column.measurement) if column.ratios else shares


def _enforced(free: Doubles, column: Column, totals: Doubles | None) -> Doubles:
    """Inverse of `_released`: the constraint holds."""
    constraint, measurement = column.constraint, column.measurement
    if isinstance(constraint, Monotone):
        return constraint.enforce(free, measurement, np.array(column.least))
    if isinstance(constraint, Sum):
        assert totals is not None
        parts = constraint.parts(free, measurement) if column.ratios else free
        return constraint.enforce(parts, measurement, totals)
    return free


def warped_by(values: NDArray[np.float64], column: Column) -> NDArray[np.float64]:
    """Map the inside of the limits onto the whole line."""
    low, high = column.limits
    if column.warp == "log":
        return np.log(np.maximum(values - low, 1e-300))
    if column.warp == "above":
        return _inverse_softplus(values - low, column.bend)
    if column.warp == "below":
        return -_inverse_softplus(high - values, column.bend)
    if column.warp == "between":
        share = np.clip((values - low) / (high - low), 1e-9, 1 - 1e-9)
        return np.log(share) - np.log1p(-share)
    return values


def _unwarp(warped: NDArray[np.float64], column: Column) -> NDArray[np.float64]:
    """Inverse of `warped_by`; ``none`` clips to the limits."""
    low, high = column.limits
    if column.warp == "log":
        return low + np.exp(np.minimum(warped, 700))
    if column.warp == "above":
        return low + column.bend * np.logaddexp(0, warped / column.bend)
    if column.warp == "below":
        return high - column.bend * np.logaddexp(0, -warped / column.bend)
    if column.warp == "between":
        return low + (high - low) / (1 + np.exp(-np.clip(warped, -700, 700)))
    if column.warp == "nearest":
        atoms = np.array(column.atoms)
        nearest: NDArray[np.float64] = atoms[np.abs(warped[..., None] - atoms).argmin(axis=-1)]
        return nearest
    return np.clip(warped, low, high)


def _inverse_softplus(distance: NDArray[np.float64], bend: float) -> NDArray[np.float64]:
    """Linear far from the limit, logarithmic near it."""
    u = np.maximum(distance / bend, 1e-9)
    return bend * (u + np.log(-np.expm1(-u)))


def _clip(values: Floats, limits: tuple[float, float]) -> None:
    """Clip in place to limits rounded inwards: a float32 must not round past one."""
    low, high = np.float32(limits[0]), np.float32(limits[1])
    if float(low) < limits[0]:  # in double precision: numpy would compare in single
        low = np.nextafter(low, np.float32(np.inf))
    if float(high) > limits[1]:
        high = np.nextafter(high, np.float32(-np.inf))
    if np.isfinite([low, high]).any():
        np.clip(values, low, high, out=values)
