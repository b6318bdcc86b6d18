"""Writes virtual trials as ArviZ' InferenceData: NetCDF-4 with a group per kind of variable.

Group ``posterior_predictive`` holds what was drawn, with the dims ``chain`` (one) and ``draw`` (the
trials) first; ``constant_data`` what is known of the settings. See the InferenceData schema of
ArviZ (Kumar et al. 2019, https://doi.org/10.21105/joss.01143).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.storage.netcdf import NetcdfWriter
from virtlab.storage.template import Region, Regions, Template, Variable

CHAIN, DRAW = "chain", "draw"
PREDICTIVE, CONSTANT = "posterior_predictive", "constant_data"
LIBRARY = {"inference_library": "virtlab"}


class InferenceWriter(NetcdfWriter):
    """An InferenceData file that appears when it is whole.

    Parameters
    ----------
    path
        Where it will be.
    template
        What the virtual trials are.
    """

    def __init__(self, path: Path, template: Template) -> None:
        drawn = _turned(template)
        constant = Template(
            {n: v for n, v in template.variables.items() if v.values is not None},
            template.coords,
            {**template.attrs, **LIBRARY},
            template.regions,
        )
        super().__init__(path, drawn, groups={PREDICTIVE: drawn, CONSTANT: constant})

    def pack(self, region: Region, values: Mapping[str, NDArray[Any]]) -> Any:
        """Turn a region's trials to the front, and compress its chunks."""
        trial = len(region) - 1
        turned = {name: np.moveaxis(v, trial, 0)[None] for name, v in values.items()}
        return super().pack((slice(0, 1), region[-1], *region[:-1]), turned)


def _turned(template: Template) -> Template:
    """What was drawn, ``(chain, draw, *settings, *own dims)``."""
    regions = template.regions
    lead = len(regions.shape) - 1

    def turned(variable: Variable) -> Variable:
        dims, shape = variable.dims, variable.shape
        return replace(
            variable,
            dims=(CHAIN, DRAW, *dims[:lead], *dims[lead + 1 :]),
            shape=(1, shape[lead], *shape[:lead], *shape[lead + 1 :]),
        )

    def index(dim: str, count: int) -> Variable:
        return Variable((dim,), (count,), np.dtype(np.int64), {}, np.arange(count))

    return Template(
        {name: turned(variable) for name, variable in template.drawn.items()},
        {CHAIN: index(CHAIN, 1), DRAW: index(DRAW, regions.shape[-1]), **template.coords},
        {**template.attrs, **LIBRARY},
        Regions(
            (1, regions.shape[-1], *regions.shape[:-1]),
            (1, regions.piece[-1], *regions.piece[:-1]),
        ),
    )
