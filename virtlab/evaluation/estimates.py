"""Numbers with an interval: what settings drawn anew would have given."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ROUNDS = 400
INTERVAL = (0.05, 0.95)
MOST_AT_ONCE = 4e6  # of rounds x settings


@dataclass(frozen=True)
class Estimate:
    """A value and its 90 % bootstrap interval; the interval is NaN where it cannot be told."""

    value: float
    low: float
    high: float

    def within(self, least: float, most: float) -> Estimate:
        """The same, moved to what can be."""
        return Estimate(*np.clip((self.value, self.low, self.high), least, most).tolist())


def estimate_means(
    sums: Array, counts: Array, setting: NDArray[np.int64], rng: np.random.Generator
) -> list[Estimate]:
    """Means over all trials, bootstrapped over settings.

    Trials of one setting share what the model gets wrong there, and the draws that they are
    held against: settings are what is independent.

    Parameters
    ----------
    sums
        What is summed for each trial, ``(trial, k)``.
    counts
        Over how many values, or what weight, ``(trial,)``; 0 leaves a trial out.
    setting
        Which setting each trial belongs to.

    Returns
    -------
    list of Estimate
        One for each of the `k`; NaN where nothing was counted.
    """
    size = int(setting.max()) + 1 if len(setting) else 0
    total = np.stack([np.bincount(setting, column, size) for column in sums.T], axis=1)
    number = np.bincount(setting, counts, size)
    total, number = total[number > 0], number[number > 0]
    if not len(number):
        return [Estimate(math.nan, math.nan, math.nan)] * sums.shape[1]
    value = total.sum(axis=0) / number.sum()
    if len(number) < 2:
        return [Estimate(float(v), math.nan, math.nan) for v in value]
    share = np.full(len(number), 1 / len(number))
    parts = []
    each = max(1, int(MOST_AT_ONCE / len(number)))
    for done in range(0, ROUNDS, each):
        weight = rng.multinomial(len(number), share, size=min(each, ROUNDS - done))
        parts.append(weight @ total / (weight @ number)[:, None])
    drawn = np.concatenate(parts)
    low, high = np.quantile(drawn, INTERVAL, axis=0)
    return [Estimate(*map(float, row)) for row in zip(value, low, high, strict=True)]


def estimate_mean(
    values: Array, weight: Array, setting: NDArray[np.int64], rng: np.random.Generator
) -> Estimate:
    """Weighted mean of one value per trial, NaN left out, bootstrapped over settings."""
    share = np.where(np.isnan(values), 0.0, weight)
    sums = (share * np.nan_to_num(values))[:, None]
    return estimate_means(sums, share, setting, rng)[0]


def row_means(values: Array) -> Array:
    """Mean over the last axis without missing values; NaN where all are."""
    seen = ~np.isnan(values)
    count = seen.sum(axis=1)
    total = np.where(seen, values, 0).sum(axis=1)
    mean: Array = np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)
    return mean


def root(square: Estimate) -> Estimate:
    """Of a mean of squares."""
    return Estimate(*(math.sqrt(value) for value in (square.value, square.low, square.high)))
