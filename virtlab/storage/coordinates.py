"""Coordinates of a measurement's own dims."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.errors import DataError
from virtlab.plugins import RawArray
from virtlab.trials import MISSING_CATEGORY


def coordinate(
    name: str, raw: RawArray, sizes: Mapping[str, int], file: str
) -> tuple[tuple[str, ...], NDArray[Any]]:
    """Decide which dims a coordinate's values run along.

    Parameters
    ----------
    name
        A dim's name, or any other for values along all dims.
    raw
        Converted values: one per point of the dim, its bin edges (one more, of which the
        centres are taken), or one per point of all dims.
    sizes
        The measurement's own dims and their lengths.
    file
        Its name, for messages.

    Returns
    -------
    dims, values
        As xarray takes them.

    Raises
    ------
    DataError
        The shape fits no dim, or a value is missing.
    """
    values = np.asarray(raw.values)
    where = f"{file}: {raw.path!r}: coordinate {name!r}"
    missing = values == MISSING_CATEGORY if values.dtype == object else np.isnan(values)
    if missing.any():
        raise DataError(f"{where}: {int(missing.sum())} of {values.size} values are missing")
    if values.ndim == len(sizes) and values.shape == tuple(sizes.values()):
        return tuple(sizes), values
    if name in sizes:
        flat = values.reshape(-1) if values.size == max(values.shape, default=1) else values
        if flat.shape == (sizes[name],):
            return (name,), flat
        if flat.shape == (sizes[name] + 1,) and flat.dtype != object:
            return (name,), (flat[1:] + flat[:-1]) / 2
    expected = f"{sizes[name]} values along {name!r}, or " if name in sizes else ""
    every = ", ".join(f"{dim} {size}" for dim, size in sizes.items())
    raise DataError(f"{where}: found shape {values.shape}, expected {expected}one per ({every})")
