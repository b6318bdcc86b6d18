"""Trials chosen by what was set: ``temperature > 80``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning import Parameter
from virtlab.errors import DataError
from virtlab.expressions.parsing import known_names, parse_requirement
from virtlab.trials import TRIAL, WEIGHT

if TYPE_CHECKING:
    import xarray as xr


def chosen(trials: xr.Dataset, text: str, where: str) -> NDArray[np.bool_]:
    """Which trials' settings meet a comparison over parameters, ``(trial,)``; at least one.

    Parameters
    ----------
    text
        Such as ``temperature > 80``, in the parameters' units.
    where
        For messages.

    Raises
    ------
    ConfigError
        The text cannot be used.
    DataError
        It holds for no trial, or for all.
    """
    parameters = [
        Parameter(str(name), kind=coord.attrs.get("kind", "continuous"), units=_units(coord))
        for name, coord in trials.coords.items()
        if coord.dims == (TRIAL,) and name != WEIGHT
    ]
    found = parse_requirement(text, known_names([], parameters), where)
    values = {name: trials[name].values.astype(np.float64)[:, None] for name in found.names}
    met: NDArray[np.bool_] = np.broadcast_to(
        found.evaluate(values), (trials.sizes[TRIAL], 1)
    ).ravel()
    if met.all() or not met.any():
        which = "all" if met.all() else "none"
        ranges = ", ".join(f"{n} is {v.min():g} to {v.max():g}" for n, v in values.items())
        raise DataError(f"{where}: {found.text} holds for {which} of the trials; {ranges}")
    return met


def _units(coord: xr.DataArray) -> str:
    return str(coord.attrs.get("units", ""))
