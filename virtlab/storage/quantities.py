"""Raw arrays to float64 numbers or categories, in the experiment's units, missing as missing."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning import categories_of
from virtlab.config import Experiment, ParameterTable
from virtlab.errors import DataError
from virtlab.plugins import RawArray
from virtlab.storage.packing import mask
from virtlab.storage.units import convert
from virtlab.trials import MISSING_CATEGORY, WEIGHT

Role = Literal["parameter", "measurement", "coordinate", "weight"]

_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?inf)\s*(.*?)\s*")
_ROUNDING = 1e-9
"""Unit conversion leaves 2.9999999999999996 where the lab wrote 3."""
_MISSING_TEXTS = frozenset({"", "nan", "none", "null", "na", "n/a", "missing"})


@dataclass(frozen=True)
class Quantity:
    """What the experiment says of one parameter, measurement or coordinate.

    Parameters
    ----------
    role, name
        Name it in messages.
    kind, units
        As declared; None until the first file settles them.
    missing
        Numbers that mean missing.
    limits
        Lowest and highest allowed value: a parameter's bounds, a measurement's support.
    numeric
        Whether other keys (units, limits, scale) leave only numbers possible.
    """

    role: Role
    name: str
    kind: str | None = None
    units: str | None = None
    missing: tuple[float, ...] = ()
    limits: tuple[float, float] | None = None
    numeric: bool = False

    @property
    def label(self) -> str:
        """Its role and name, for messages."""
        return "[data] weights" if self.role == "weight" else f"{self.role} {self.name!r}"

    @property
    def categorical(self) -> bool:
        """Whether its values are strings."""
        return self.kind == "categorical"


def quantities_of(experiment: Experiment) -> dict[tuple[Role, str], Quantity]:
    """List the experiment's parameters, measurements and coordinates, in its order."""
    missing = tuple(experiment.data.missing)
    found: dict[tuple[Role, str], Quantity] = {}
    for name, parameter in experiment.parameters.items():
        found["parameter", name] = Quantity(
            "parameter",
            name,
            _parameter_kind(parameter),
            parameter.units,
            missing,
            parameter.bounds,
            _is_numeric(parameter),
        )
    for name, measurement in experiment.measurements.items():
        limits = measurement.support
        if measurement.kind == "count":
            limits = (max(0.0, limits[0]), limits[1])
        numeric = bool(measurement.units) or np.isfinite(measurement.support).any()
        found["measurement", name] = Quantity(
            "measurement", name, measurement.kind, measurement.units, missing, limits, bool(numeric)
        )
        for coord, table in measurement.coords.items():
            found["coordinate", coord] = Quantity("coordinate", coord, units=table.units)
    if experiment.data.weights is not None:
        found["weight", WEIGHT] = Quantity("weight", WEIGHT, "continuous", numeric=True)
    return found


def _parameter_kind(table: ParameterTable) -> str | None:
    """Kind as declared; a row's parity or modulo says which of several states was prepared."""
    return "categorical" if table.kind is None and table.path is None else table.kind


def _is_numeric(table: ParameterTable) -> bool:
    return bool(table.units) or table.bounds is not None or table.scale != "linear"


def settle(quantity: Quantity, raw: RawArray) -> Quantity:
    """Decide from the first file what experiment.toml left open: kind and units."""
    kind, units = quantity.kind, quantity.units
    if kind is None:
        is_text = np.asarray(raw.values).dtype.kind in "OSUb"
        kind = "categorical" if is_text and not quantity.numeric else "continuous"
    if units is None:
        units = (raw.units or "") if kind != "categorical" else ""
    return replace(quantity, kind=kind, units=units)


def coerce(quantity: Quantity, raw: RawArray, file: str) -> NDArray[Any]:
    """One file's values as the trials Dataset holds them.

    Parameters
    ----------
    quantity
        Settled.
    raw
        Any shape.
    file
        Its name, for messages.

    Returns
    -------
    values
        A new array of the same shape: float64 with NaN, or strings with ``""``, for missing.

    Raises
    ------
    DataError
        Text where numbers belong, units that cannot be converted, values not whole or
        outside the limits.
    """
    where = f"{file}: {raw.path!r}: {quantity.label}"
    if quantity.categorical:
        return _categories(quantity, raw)
    values, units = _numbers(quantity, raw, where)
    if units and quantity.units is not None:
        try:
            values = convert(values, units, quantity.units)
        except DataError as error:
            raise DataError(f"{where}: {error}") from error
    _check_whole(quantity, values, where)
    _check_limits(quantity, values, where)
    return values


def _fills(quantity: Quantity, raw: RawArray) -> list[Any]:
    fills = [] if raw.fill is None else raw.fill if isinstance(raw.fill, list) else [raw.fill]
    return [np.asarray(fill)[()] for fill in [*fills, *quantity.missing]]


def _categories(quantity: Quantity, raw: RawArray) -> NDArray[Any]:
    """Each value's one text; the distinct ones are few, so only they are converted."""
    values = np.asarray(raw.values)
    missing = {str(categories_of(np.array([fill]))[0]) for fill in _fills(quantity, raw)}
    missing |= {"nan", "inf", "-inf"} if values.dtype.kind == "f" else set()
    names = categories_of(values).astype(str)
    distinct, inverse = np.unique(names, return_inverse=True)
    texts = [MISSING_CATEGORY if name in missing else name.strip() for name in distinct.tolist()]
    return np.array(texts, dtype=object)[inverse.ravel()].reshape(values.shape)


def _numbers(
    quantity: Quantity, raw: RawArray, where: str
) -> tuple[NDArray[np.float64], str | None]:
    """Float64 with NaN for missing, and the file's units."""
    values = np.asarray(raw.values)
    if values.dtype.kind in "OSU":
        numbers, units = _parse(quantity, values, where)
        if units and raw.units and units != raw.units.strip():
            raise DataError(f"{where}: its values say {units!r}, its units say {raw.units!r}")
        units = units or raw.units
    elif values.dtype.kind in "fiub":
        numbers, units = values.astype(np.float64), raw.units
    else:
        raise DataError(f"{where}: expected numbers, found type {values.dtype}")
    mask(numbers, _fills(quantity, raw), values.dtype)
    numbers[~np.isfinite(numbers)] = np.nan
    return numbers, units


def _parse(
    quantity: Quantity, values: NDArray[Any], where: str
) -> tuple[NDArray[np.float64], str | None]:
    """Numbers written as text, all with the same unit behind them or none."""
    distinct, inverse = np.unique(values.astype(str), return_inverse=True)
    numbers, units, bad = np.empty(len(distinct)), set(), []
    for i, written in enumerate(distinct.tolist()):
        found = _NUMBER.fullmatch(written)
        if written.strip().lower() in _MISSING_TEXTS:
            numbers[i] = np.nan
        elif found:
            numbers[i] = float(found[1])
            units.add(found[2])
        else:
            bad.append(i)
    if bad or len(units) > 1:
        count = int(np.isin(inverse, bad).sum()) if bad else values.size
        example = distinct[bad[0]] if bad else f"units {' and '.join(sorted(map(repr, units)))}"
        hint = "" if quantity.role == "coordinate" else '; for text, set kind = "categorical"'
        raise DataError(
            f"{where}: expected numbers ({quantity.kind}), found {str(example)[:60]!r} "
            f"in {count} of {values.size} values{hint}"
        )
    return numbers[inverse.ravel()].reshape(values.shape), (units.pop() if units else None) or None


def _check_whole(quantity: Quantity, values: NDArray[np.float64], where: str) -> None:
    """Make whole what should be and is but for rounding; refuse the rest."""
    if quantity.kind not in ("integer", "count"):
        return
    whole = np.round(values)
    broken = values[np.abs(values - whole) > _ROUNDING * np.maximum(np.abs(whole), 1)]
    if broken.size:
        raise DataError(
            f"{where}: expected whole numbers ({quantity.kind}), found {broken[0]:.12g}; "
            f"{broken.size} of {values.size} values are not whole: correct them, or set "
            'kind = "continuous"'
        )
    values[...] = whole


def _check_limits(quantity: Quantity, values: NDArray[np.float64], where: str) -> None:
    """Move onto a limit what misses it by rounding; refuse what is outside."""
    if quantity.limits is None:
        return
    low, high = quantity.limits
    span = high - low if np.isfinite(high - low) else 0.0
    slack = [_ROUNDING * max(span, abs(end)) if np.isfinite(end) else 0.0 for end in (low, high)]
    outside = values[(values < low - slack[0]) | (values > high + slack[1])]
    if outside.size:
        worst = outside[np.argmax(np.maximum(low - outside, outside - high))]
        unit = f" {quantity.units}" if quantity.units not in (None, "", "1") else ""
        limits = "bounds" if quantity.role == "parameter" else "support"
        raise DataError(
            f"{where}: {outside.size} of {values.size} values outside its {limits} "
            f"[{low:.12g}, {high:.12g}]{unit}, the worst {worst:.12g}; correct the {limits}, "
            "or the data, or name such values in [data] missing"
        )
    np.clip(values, low, high, out=values)
