"""How to scale each measurement, chosen from its trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning.constraints import Monotone, Sum
from virtlab.errors import DataError
from virtlab.scaling.column import Column, Doubles, warped_by
from virtlab.trials import Measurement, settings_of

if TYPE_CHECKING:
    import xarray as xr

ATOM_SHARE = 0.03  # of the trials, on one value, make it an atom
MAX_ATOMS = 4
FLOOR_SHARE = 0.05  # of a signal's entries on its lowest value make that a floor
LARGEST = 1e100  # squares of larger values are soon no numbers
COARSE = 1e-3  # of the spread: a float32 that rounds by more loses what varies
LEAST_RATIO = 1e-4  # of the total: smaller shares have no place among logarithms
DECADES = 50.0  # 95 % over 5 % quantile above which a positive scalar is seen on a log scale


def fit_columns(
    trials: xr.Dataset,
    measurements: Sequence[Measurement],
    constraints: Mapping[str, Sum | Monotone] | None = None,
) -> tuple[Column, ...]:
    """Choose how to scale every measurement; `constraints` are by measurement."""
    columns = []
    for measurement in measurements:
        values, bond = trials[measurement.name].values, (constraints or {}).get(measurement.name)
        totals = Column(measurement, constraint=bond).totals(settings_of(trials), len(values))
        columns.append(fit_column(measurement, values, bond, totals))
    return tuple(columns)


def fit_column(
    measurement: Measurement,
    values: NDArray[Any],
    constraint: Sum | Monotone | None = None,
    totals: Doubles | None = None,
) -> Column:
    """Choose how to scale one measurement, from its trials ``(trial, *shape)``.

    Parameters
    ----------
    constraint
        What binds its values to each other, see `virtlab.conditioning.bind`.
    totals
        What each trial sums to, for a `Sum`.

    Raises
    ------
    DataError
        Its values are too large to calculate with.
    """
    if measurement.kind == "categorical":
        return Column(measurement)
    flat = values.reshape(len(values), -1).astype(np.float64)
    seen = flat[np.isfinite(flat)]
    _check_magnitude(measurement, seen)
    if isinstance(constraint, Sum):
        column = _fit_shares(measurement, flat, constraint, totals)
    elif measurement.size > 1:
        column = _fit_signal(measurement, flat)
    else:
        column = _fit_scalar(measurement, seen)
    if isinstance(constraint, Monotone):
        least = constraint.least_rise(flat, measurement)
        column = replace(column, constraint=constraint, least=tuple(least.tolist()))
    return replace(column, double=_needs_double(seen))


def _check_magnitude(measurement: Measurement, seen: NDArray[np.float64]) -> None:
    largest = float(np.abs(seen).max(initial=0))
    if largest > LARGEST:
        raise DataError(
            f"measurement {measurement.name!r}: found the value {largest:.3g}, expected at most "
            f"{LARGEST:g}; correct the data, name such values in [data] missing, or give larger "
            "units"
        )


def _needs_double(seen: NDArray[np.float64]) -> bool:
    """Whether float32 is too coarse for the spread, or too narrow for the values."""
    if not seen.size or np.ptp(seen) == 0:
        return False
    largest = float(np.abs(seen).max())
    coarse = np.finfo(np.float32).eps * largest > COARSE * seen.std()
    return bool(coarse or not 1e-30 < largest < 1e37)


def _fit_scalar(measurement: Measurement, seen: NDArray[np.float64]) -> Column:
    """Set atoms apart, choose a warp for the rest, standardise it."""
    if measurement.kind == "count":
        return _standardise(_count_column(measurement, seen), seen)
    atoms = _find_atoms(seen, measurement.support)
    free = seen[~np.isin(seen, atoms)]
    limits = _limits(seen, atoms, measurement.support)
    column = _choose_warp(Column(measurement, limits=limits, atoms=atoms), free)
    return _standardise(column, free)


def _count_column(measurement: Measurement, seen: NDArray[np.float64]) -> Column:
    """Counts on a linear scale, where rounding brings limits back; over decades on a log scale.

    There those up to some 100,000 come back exactly, larger ones to a millionth.
    """
    low, high = max(measurement.support[0], 0.0), measurement.support[1]
    if seen.size:
        # One below the least possible count: the logarithm of what is left starts at 0.
        q5, q95 = np.quantile(seen - (low - 1), (0.05, 0.95))
        if q95 > DECADES * q5:
            return Column(measurement, warp="log", limits=(low - 1, high))
    return Column(measurement, limits=(low, high))


def _find_atoms(seen: NDArray[np.float64], support: tuple[float, float]) -> tuple[float, ...]:
    """Values that many trials share: limits of the support, and unusual pile-ups."""
    if not seen.size:
        return ()
    values, counts = np.unique(seen, return_counts=True)
    usual = np.median(counts)
    often = (counts >= max(5, ATOM_SHARE * len(seen))) & (counts >= 5 * usual)
    if len(values) == 1:
        often[:] = True
    keep = set(values[often][np.argsort(-counts[often], kind="stable")][:MAX_ATOMS].tolist())
    keep |= {limit for limit in support if limit in values}
    return tuple(sorted(float(value) for value in keep))


def _limits(
    seen: NDArray[np.float64], atoms: tuple[float, ...], support: tuple[float, float]
) -> tuple[float, float]:
    """The declared support; where none is declared, an atom that nothing lies beyond."""
    low, high = support
    if math.isinf(low) and atoms and atoms[0] <= seen.min():
        low = atoms[0]
    if math.isinf(high) and atoms and atoms[-1] >= seen.max():
        high = atoms[-1]
    return (low, high) if low < high else support


def _choose_warp(column: Column, free: NDArray[np.float64]) -> Column:
    """A warp that keeps inside the limits, and a log where values span decades."""
    low, high = column.limits
    if free.size == 0:
        return replace(column, warp="nearest") if column.atoms else column
    if math.isfinite(low) and math.isfinite(high):
        return replace(column, warp="between")
    if math.isfinite(low):
        q5, q50, q95 = np.quantile(free - low, (0.05, 0.5, 0.95))
        warp = "log" if q95 > DECADES * max(q5, 1e-300) else "above"
        return replace(column, warp=warp, bend=0.1 * float(q50) or 1.0)
    if math.isfinite(high):
        bend = 0.1 * float(np.median(high - free)) or 1.0
        return replace(column, warp="below", bend=bend)
    return column


def _fit_signal(measurement: Measurement, flat: NDArray[np.float64]) -> Column:
    """Standardise entry by entry; set a floor apart where many entries sit on it."""
    seen = flat[np.isfinite(flat)]
    low, high = measurement.support
    if measurement.kind == "count":
        low = max(low, 0.0)
    if seen.size and (seen == seen.min()).mean() >= FLOOR_SHARE and seen.min() < seen.max():
        low = float(seen.min())
        above = np.where(flat > low, flat - low, np.nan)
        scale = float(np.sqrt(np.nanmean(np.square(above))))
        width = flat.shape[1]
        column = Column(measurement, limits=(low, high), floor=True)
        return replace(column, center=(low,) * width, scale=(scale,) * width)
    count = np.isfinite(flat).sum(axis=0)
    total = np.where(np.isfinite(flat), flat, 0).sum(axis=0)
    center = total / np.maximum(count, 1)
    spread = np.where(np.isfinite(flat), flat - center, 0)
    scales = np.sqrt((spread**2).sum(axis=0) / np.maximum(count, 1))
    # An entry that hardly varies must not count as much as one that carries the signal.
    scales = np.maximum(scales, 0.1 * scales.max()) if scales.max() > 0 else np.ones_like(scales)
    column = Column(measurement, limits=(low, high))
    return replace(column, center=tuple(center.tolist()), scale=tuple(scales.tolist()))


def _fit_shares(
    measurement: Measurement, flat: Doubles, constraint: Sum, totals: Doubles | None
) -> Column:
    """Scale values that sum up as logarithms of their ratios, or as shares with a floor at zero."""
    assert totals is not None
    shares = constraint.shares(flat, measurement, totals)
    gaps = np.isnan(shares).any(axis=1) & ~np.isnan(shares).all(axis=1)
    ratios = bool(np.nanmin(shares, initial=1) >= LEAST_RATIO and not gaps.any())
    inside = (-math.inf, math.inf) if ratios else (0.0, 1.0)
    free = constraint.ratios(shares, measurement) if ratios else shares
    column = _fit_signal(replace(measurement, support=inside), free)
    return replace(column, measurement=measurement, constraint=constraint, ratios=ratios)


def _standardise(column: Column, free: NDArray[np.float64]) -> Column:
    """Set center and scale from the values that are on no atom, if there are any."""
    if free.size == 0 and not column.atoms:
        return column
    warped = warped_by(free if free.size else np.array(column.atoms), column)
    # In units of the farthest: the square of a very small number is 0.
    center = float(warped.mean())
    farthest = float(np.abs(warped - center).max()) or 1.0
    scale = farthest * float(((warped - center) / farthest).std()) or 1.0
    return replace(column, center=(center,), scale=(scale,))
