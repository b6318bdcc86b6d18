"""Numbers as NetCDF and CF tools pack them: small integers, to be scaled, with limits of validity.

Fill values are compared with what is stored, so they are masked before anything is scaled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.errors import DataError
from virtlab.plugins import RawArray

if TYPE_CHECKING:
    import h5py

_PACKING = ("scale_factor", "add_offset")
_LIMITS = ("valid_range", "valid_min", "valid_max")


def unpack(raw: RawArray, dataset: h5py.Dataset, where: str) -> RawArray:
    """Undo what the attributes ``scale_factor``, ``add_offset`` and ``valid_*`` say.

    Parameters
    ----------
    raw
        Values as stored, with their fill values.
    dataset
        Whose attributes count.
    where
        File and path, for messages.

    Returns
    -------
    raw
        As given where there are no such attributes, or no numbers; else float64, NaN where
        a fill value stands or a value is not valid, and without fill values.

    Raises
    ------
    DataError
        An attribute is not what it should be.
    """
    stored = np.asarray(raw.values)
    if stored.dtype.kind not in "fiu" or not any(n in dataset.attrs for n in _PACKING + _LIMITS):
        return raw
    values = stored.astype(np.float64)
    # A zero that somebody chose for what is packed does mean missing: it is no measured zero.
    chosen = np.asarray(dataset.attrs.get("_FillValue", ())).ravel()
    mask(values, [*(raw.fill or ()), *chosen], stored.dtype)
    scale = _factor(dataset, "scale_factor", 1.0, where)
    offset = _factor(dataset, "add_offset", 0.0, where)
    low, high, of_packed = _limits(dataset, stored.dtype, where)
    if of_packed:
        values[(values < low) | (values > high)] = np.nan
    values = values * scale + offset
    if not of_packed:
        values[(values < low) | (values > high)] = np.nan
    return replace(raw, values=values, fill=None)


def mask(values: NDArray[np.float64], fills: Iterable[Any], dtype: np.dtype[Any]) -> None:
    """Put NaN, in place, where a fill value stands; `dtype` is the type they were stored in."""
    for fill in fills:
        values[values == _as_stored(fill, dtype)] = np.nan


def _as_stored(fill: Any, dtype: np.dtype[Any]) -> float:
    """Round a fill value as the data were: 9.96921e36 is another number in float32."""
    if np.asarray(fill).dtype.kind not in "fiub":
        return np.nan
    with np.errstate(over="ignore"):
        return float(dtype.type(fill)) if dtype.kind == "f" else float(fill)


def _numbers(dataset: h5py.Dataset, name: str, count: int, where: str) -> NDArray[Any]:
    """Read an attribute of `count` numbers, none of them NaN."""
    found = np.asarray(dataset.attrs[name]).ravel()
    if found.dtype.kind not in "fiu" or found.size != count or np.isnan(found).any():
        numbers = "one number" if count == 1 else f"{count} numbers"
        raise DataError(
            f"{where}: attribute {name!r}: found {str(dataset.attrs[name])[:60]!r}, expected "
            f"{numbers}: how the values are packed is unknown; correct the attribute"
        )
    return found


def _factor(dataset: h5py.Dataset, name: str, default: float, where: str) -> float:
    if name not in dataset.attrs:
        return default
    factor = float(str(_numbers(dataset, name, 1, where)[0]))  # str: 0.01 in float32 is 0.01
    if not np.isfinite(factor) or (name == "scale_factor" and factor == 0):
        raise DataError(f"{where}: attribute {name!r} is {factor:g}; correct the attribute")
    return factor


def _limits(dataset: h5py.Dataset, dtype: np.dtype[Any], where: str) -> tuple[float, float, bool]:
    """Lowest and highest valid value, and whether they speak of the values as stored.

    They do, unless only they are floats: the rule of the NetCDF User's Guide.
    """
    low, high, kinds = -np.inf, np.inf, set()
    for name in _LIMITS:
        if name in dataset.attrs:
            found = _numbers(dataset, name, 2 if name == "valid_range" else 1, where)
            low = max(low, float(found[0])) if name != "valid_max" else low
            high = min(high, float(found[-1])) if name != "valid_min" else high
            kinds.add(found.dtype.kind)
    return low, high, not (dtype.kind in "iu" and "f" in kinds)
