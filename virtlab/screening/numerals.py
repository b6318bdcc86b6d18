"""Numbers as people write them: plain decimals, as many as mean something."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_DECIMALS, LARGE = 6, 1e7
"""Beyond, numbers are told with powers of ten."""


def cell(value: Any, digits: int = 6) -> str:
    """A value as a person writes it: plain decimals, but for the very large and small.

    Parameters
    ----------
    digits
        That are told of a number; those before the point all are.
    """
    if isinstance(value, str):
        return value
    number = float(value)
    if number == 0 or not math.isfinite(number):
        return f"{number:g}"
    size = math.floor(math.log10(abs(float(f"{number:.{digits - 1}e}"))))
    if not -5 < size < 7:
        return f"{number:.{digits}g}"
    told = f"{number:.{max(0, digits - 1 - size)}f}"
    return told.rstrip("0").rstrip(".") if "." in told else told


def alike(values: Sequence[float] | NDArray[np.float64], step: float) -> list[str]:
    """Numbers with the same decimals, as many as tell `step` with two digits."""
    decimals = 1 - math.floor(math.log10(step)) if 0 < step < math.inf else math.inf
    if decimals > MOST_DECIMALS or float(np.abs(values).max(initial=0)) >= LARGE:
        return [cell(value, 4) for value in values]
    return [f"{value:.{max(0, int(decimals))}f}" for value in values]
