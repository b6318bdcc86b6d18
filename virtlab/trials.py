"""The trials Dataset: its dimension names, what a measurement is, what marks virtual data.

Trials are an ``xarray.Dataset`` with dimension ``trial``. Parameters are coordinates on
``trial``; measurements are data variables ``(trial, *own dims)``. Numbers are float64 with
NaN for missing; categories are strings (object) with ``""`` for missing. Each variable's
``attrs`` hold ``units`` and ``kind``. Where trials do not all count alike, the coordinate
``trial_weight`` says how much each one does: above 0, neither parameter nor measurement.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:  # xarray takes most of a second to import: only rooms that need it pay
    import xarray as xr
    from numpy.typing import NDArray

TRIAL = "trial"
SETTING = "setting"
WEIGHT = "trial_weight"
MISSING_CATEGORY = ""

MeasurementKind = Literal["continuous", "count", "categorical"]


@dataclass(frozen=True)
class Measurement:
    """An array that one trial yields.

    Parameters
    ----------
    name
        The variable's name.
    kind
        ``continuous``, ``count`` (whole numbers) or ``categorical``.
    units
        A pint-readable unit; ``"1"`` or ``""`` for none.
    support
        Lowest and highest possible value, never violated by a virtual trial.
    dims, shape
        Its own dimensions and their lengths, without ``trial``; empty for a scalar.
    categories
        Known categories, of a categorical measurement.
    """

    name: str
    kind: MeasurementKind = "continuous"
    units: str = ""
    support: tuple[float, float] = (-math.inf, math.inf)
    dims: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Values per trial."""
        return math.prod(self.shape)


def measurements_of(trials: xr.Dataset) -> tuple[Measurement, ...]:
    """Describe the measurements of a trials Dataset, in its order."""
    described = []
    for name, variable in trials.data_vars.items():
        attrs = variable.attrs
        kind = attrs.get("kind", "continuous")
        categories: tuple[str, ...] = ()
        if kind == "categorical":
            found = {str(value) for value in variable.values.ravel()}
            categories = tuple(sorted(found - {MISSING_CATEGORY}))
        low, high = attrs.get("support", (-math.inf, math.inf))
        described.append(
            Measurement(
                name=str(name),
                kind=kind,
                units=str(attrs.get("units", "")),
                support=(float(low), float(high)),
                dims=tuple(str(dim) for dim in variable.dims if dim != TRIAL),
                shape=tuple(variable.sizes[dim] for dim in variable.dims if dim != TRIAL),
                categories=categories,
            )
        )
    return tuple(described)


def settings_of(trials: xr.Dataset) -> dict[str, NDArray[Any]]:
    """One array ``(trial,)`` per parameter."""
    return {
        str(name): coord.values for name, coord in trials.coords.items() if coord.dims == (TRIAL,)
    }


def name_of_trial(trials: xr.Dataset, index: int) -> str:
    """Call a trial by its file and its row there, where that is known, else by its number."""
    origin, files = trials.attrs.get("origin"), trials.attrs.get("files", [])
    if origin is None or len(origin) != trials.sizes[TRIAL]:
        return f"trial {index}"
    file, row = origin[index]
    return f"trial {row} of {files[file] if file < len(files) else f'file {file}'}"


def is_virtual(trials: xr.Dataset) -> bool:
    """Whether a Dataset says of itself that it was simulated, not measured."""
    return bool(trials.attrs.get("virtual_data", 0))
