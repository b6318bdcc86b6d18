"""A test for any statistic of two samples: whether they differ by more than chance makes.

Whether a trial belongs to the first arm or the second is shuffled; how often that makes a
difference as large as the one found is the p-value (Fisher; the +1 of Phipson & Smyth 2010 keeps
it valid). Nothing is assumed of the distribution but that, without a difference, both arms have
the same.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]

SHUFFLES = 199
"""With 199, one of 200 p-values is possible: 0.05 and 0.01 are among them."""


def _mean(values: Floats) -> Floats:
    return np.asarray(values.mean(axis=-1))


def _median(values: Floats) -> Floats:
    return np.asarray(np.median(values, axis=-1))


def _sd(values: Floats) -> Floats:
    return np.asarray(values.std(axis=-1, ddof=1))


STATISTICS: dict[str, Statistic] = {"mean": _mean, "median": _median, "sd": _sd}
"""Of the last axis, over trials."""


def p_values(
    first: Floats, second: Floats, statistic: Statistic, rng: np.random.Generator
) -> Floats:
    """Of the difference of a statistic between two arms, two-sided.

    Parameters
    ----------
    first, second
        Trials of each, ``(experiment, trial)``, as many in both.
    statistic
        One of `STATISTICS`.
    rng
        Shuffles; all experiments alike, which leaves each one's p-value valid.

    Returns
    -------
    p
        Shape ``(experiment,)``.
    """
    if statistic is _sd:  # arms that differ in their middles only must not seem to differ
        first = first - np.median(first, axis=1, keepdims=True)
        second = second - np.median(second, axis=1, keepdims=True)
    count = first.shape[1]
    both = np.concatenate([first, second], axis=1)
    found = np.abs(statistic(first) - statistic(second))
    # Equal sums in another order differ by rounding, and are equal.
    found -= 1e-9 * np.abs(both).max(axis=1)
    as_large = np.zeros(len(both))
    for _ in range(SHUFFLES):
        order = rng.permutation(2 * count)
        one, other = both[:, order[:count]], both[:, order[count:]]
        as_large += np.abs(statistic(one) - statistic(other)) >= found
    p: Floats = (as_large + 1) / (SHUFFLES + 1)
    return p
