"""Settings spread evenly over ranges and choices: Sobol points and Latin hypercubes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning import Parameter
from virtlab.config import Range, Values
from virtlab.errors import ConfigError


def sample(
    design: str,
    given: Mapping[str, Values],
    parameters: Mapping[str, Parameter],
    size: int,
    seed: int,
    prefix: str,
) -> dict[str, NDArray[Any]]:
    """Draw `size` values of each parameter that has a range or a list; single ones stay one.

    Raises
    ------
    ConfigError
        A range that cannot be drawn from; the message starts with `prefix` and the name.
    """
    varying = [name for name, value in given.items() if isinstance(value, Range | list)]
    points = dict(zip(varying, _unit_points(design, len(varying), size, seed).T, strict=True))
    values = {}
    for name, value in given.items():
        if isinstance(value, Range):
            values[name] = _between(value, points[name], parameters[name], f"{prefix}{name}")
        elif isinstance(value, list):
            values[name] = np.asarray(value)[_shares(points[name], len(value))]
        else:
            values[name] = np.asarray(value).reshape(-1)
    return values


def _unit_points(design: str, dims: int, size: int, seed: int) -> NDArray[np.float64]:
    """Draw points in the unit cube, shape ``(size, dims)``."""
    if dims == 0:
        return np.zeros((size, 0))
    from scipy.stats import qmc  # half a second: only these designs pay

    rng = np.random.default_rng(seed)
    if design == "latin-hypercube":
        return np.asarray(qmc.LatinHypercube(dims, rng=rng).random(size))
    # Drawn to the next power of two, where Sobol points are balanced, and cut.
    points = qmc.Sobol(dims, scramble=True, rng=rng).random_base2((size - 1).bit_length())
    return np.asarray(points[:size])


def _shares(unit: NDArray[np.float64], number: int) -> NDArray[np.intp]:
    """Map points in [0, 1] onto 0 … number-1, each with the same share."""
    return np.minimum(unit * number, number - 1).astype(np.intp)


def _between(
    given: Range, unit: NDArray[np.float64], parameter: Parameter, key: str
) -> NDArray[np.float64]:
    """Map points in [0, 1] onto a range."""
    if given.low is None or given.high is None:
        raise ConfigError(
            f"{key}: a design that draws its settings needs {{ low, high }}, a list or a value; "
            'start and stop belong to design = "grid" and "zip"'
        )
    first, last = math.ceil(given.low), math.floor(given.high)
    if parameter.kind == "integer" and first > last:
        raise ConfigError(f"{key}: no whole number from {given.low:g} to {given.high:g}")
    if parameter.kind == "integer" and given.scale == "linear":
        return (first + _shares(unit, last - first + 1)).astype(np.float64)
    if given.scale == "log":
        low, high = math.log(given.low), math.log(given.high)
        values = np.clip(np.exp(low + unit * (high - low)), given.low, given.high)
    else:
        # Not low + unit * (high - low): the difference of two finite numbers may overflow.
        values = given.low * (1 - unit) + given.high * unit
    if parameter.kind == "integer":
        values = np.clip(np.round(values), first, last)
    return np.asarray(values, dtype=np.float64)
