"""Virtual trials as a labelled Dataset that cannot be mistaken for measured data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import xarray as xr

from virtlab.storage.template import Template

if TYPE_CHECKING:
    from numpy.typing import NDArray


def make_dataset(template: Template, drawn: Mapping[str, NDArray[Any]]) -> xr.Dataset:
    """Label what was drawn.

    Parameters
    ----------
    template
        What it is.
    drawn
        Values of the variables that the template leaves open, as arrays of numpy or dask, in
        their shapes or with all settings along the first dim.
    """
    data = {
        name: (
            variable.dims,
            drawn[name].reshape(variable.shape) if variable.values is None else variable.values,
            dict(variable.attrs),
        )
        for name, variable in template.variables.items()
    }
    coords = {
        name: (variable.dims, variable.values, dict(variable.attrs))
        for name, variable in template.coords.items()
    }
    return xr.Dataset(data, coords, dict(template.attrs))
