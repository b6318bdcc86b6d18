"""A private model: what its file may hold of single trials, which is nothing.

`[training] private = true` leaves out the trials and held-out draws that `virtlab evaluate` works
with, and Gaussian processes and bins, which hold training settings. What is kept of the data are
numbers that at least `GROUP` settings share, or that were rounded until they belong to no
single trial. The networks are trained as ever: they can remember what they saw, and differential
privacy is not claimed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.domain import Domain, learn_private_domain
from virtlab.errors import ConfigError
from virtlab.gan.blocks import Layout
from virtlab.scaling import Column
from virtlab.simulation import Model

GROUP = 5  # settings that what is kept has in common, at least
GRAIN = 0.01  # of the spread: what scaling is rounded to
REACHES = 4  # steps per unit that the farthest scaled value is rounded up to


def blurred(column: Column) -> Column:
    """A column without traces of single trials: its center, its bend and its least rise.

    Limits and atoms stay: they are declared, or many trials share them.
    """
    center = column.center
    if not column.floor:
        grains = [GRAIN * scale for scale in column.scale]
        pairs = zip(center, grains, strict=True)
        center = tuple(grain * round(value / grain) for value, grain in pairs)
    bend = _rounded(column.bend, math.floor)
    return replace(column, center=center, bend=bend, least=tuple(0.0 for _ in column.least))


def widened(layout: Layout) -> Layout:
    """A layout whose farthest values are of no trial."""
    reach = np.ceil(layout.reach * REACHES + 1e-6) / REACHES
    return replace(layout, reach=reach.astype(np.float32))


def rounded_ranges(
    parameters: list[dict[str, Any]], settings: Mapping[str, NDArray[Any]]
) -> list[dict[str, Any]]:
    """Parameters of a manifest, with ranges rounded outwards where few settings are at an end.

    Parameters
    ----------
    settings
        Values of each parameter at the distinct settings, by name.
    """
    found = []
    for told in parameters:
        if told["range"] is not None:
            values = np.asarray(settings[told["name"]], np.float64)
            low, high = told["range"]
            bounds = told["bounds"] or (-math.inf, math.inf)
            step = 10.0 ** math.floor(math.log10((high - low) or abs(low) or 1.0)) / 10
            if low > 0:  # a logarithmic scale needs it to stay above 0
                step = min(step, 10.0 ** math.floor(math.log10(low)))
            if (values == low).sum() < GROUP:
                low = max(bounds[0], _on_grid(low, step, math.floor))
            if (values == high).sum() < GROUP:
                high = min(bounds[1], _on_grid(high, step, math.ceil))
            told = told | {"range": [low, high]}
        found.append(told)
    return found


def make_private_domain(
    conditions: NDArray[np.float32],
    rng: np.random.Generator,
    relevance: NDArray[np.float32] | None = None,
) -> Domain:
    """The domain of a private model.

    Whether there is one does not depend on `relevance`, so that it can be asked before training.

    Raises
    ------
    ConfigError
        No combination of categories has settings enough for anything to be said.
    """
    domain = learn_private_domain(conditions, rng, relevance, GROUP)
    if not len(domain.reference):
        raise ConfigError(
            "private = true: found no combination of categories with as many as "
            f"{GROUP} settings, so that nothing may be kept that tells where the data are; "
            "leave private away, or learn from more settings"
        )
    return replace(domain, reach=_rounded(domain.reach, math.ceil))


def _on_grid(value: float, step: float, to: Any) -> float:
    """The multiple of a power of 10 below or above; without the noise of binary fractions."""
    return float(round(to(value / step) * step, 12 - math.floor(math.log10(step))))


def _rounded(value: float, to: Any) -> float:
    """To two digits, down or up; 0 and infinity as they are."""
    if not (value > 0 and math.isfinite(value)):
        return value
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return _on_grid(value, step, to)


def refuse_open_parent(model: Model) -> None:
    """Refuse to start a private model from one that is not.

    Raises
    ------
    ConfigError
        Its networks may hold training settings.
    """
    if not model.manifest["data"].get("private"):
        raise ConfigError(
            f"{model.file.path}: is not private, and a private model cannot start from it: its "
            "networks may hold its training settings; train it again with private = true, or leave "
            "--from away"
        )
