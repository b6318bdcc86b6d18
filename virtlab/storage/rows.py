"""Virtual trials as a long table: one row per trial, with its setting beside what it yielded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.storage.template import Region, Template, Variable
from virtlab.trials import TRIAL


@dataclass(frozen=True)
class Rows:
    """How a template's trials are numbered: setting by setting, in the design's order.

    Parameters
    ----------
    template
        What the virtual trials are.
    """

    template: Template

    def __len__(self) -> int:
        return math.prod(self.template.regions.shape)

    @property
    def lead(self) -> tuple[str, ...]:
        """Dims of the settings."""
        shape = self.template.regions.shape
        return next(iter(self.template.drawn.values())).dims[: len(shape) - 1]

    @property
    def settings(self) -> dict[str, Variable]:
        """Parameters, and what else is known of each setting: one value per setting."""
        known = {
            name: variable
            for name, variable in (*self.template.coords.items(), *self.template.variables.items())
            if variable.values is not None and set(variable.dims) <= set(self.lead)
        }
        return {name: self._per_setting(variable) for name, variable in known.items()}

    @property
    def axes(self) -> dict[str, Variable]:
        """Coordinates of the measurements' own dims."""
        return {
            name: variable
            for name, variable in self.template.coords.items()
            if not set(variable.dims) <= set(self.lead)
        }

    def of(self, region: Region) -> slice:
        """Rows of a region, which are neighbours: it has several settings only with all trials."""
        settings, trials = self.template.regions.settings(region), region[-1]
        first = settings.start * self.template.regions.shape[-1] + trials.start
        return slice(first, first + len(settings) * (trials.stop - trials.start))

    def columns(self, region: Region, values: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """All columns of a region's rows, ``(row, *own dims)``; categories as codes."""
        settings, trials = self.template.regions.settings(region), region[-1]
        count = trials.stop - trials.start
        found: dict[str, Any] = {
            name: np.repeat(variable.known[settings.start : settings.stop], count)
            for name, variable in self.settings.items()
        }
        found[TRIAL] = np.tile(np.arange(trials.start, trials.stop), len(settings))
        lead = len(region)
        return found | {name: v.reshape(-1, *v.shape[lead:]) for name, v in values.items()}

    def _per_setting(self, variable: Variable) -> Variable:
        lead, shape = self.lead, self.template.regions.shape[:-1]
        at = tuple(slice(None) if dim in variable.dims else None for dim in lead)
        # With the ellipsis a text that stands alone stays an array.
        values = np.broadcast_to(variable.known[(*at, ...)], shape).ravel()
        return Variable((), values.shape, variable.dtype, variable.attrs, values)
