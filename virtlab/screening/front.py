"""Several goals at once: which settings no other one beats in all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from virtlab.screening.spread import Floats

MOST_LAYERS = 100


def on_front(gains: Floats) -> NDArray[np.bool_]:
    """Which settings are not dominated, ``(setting,)``.

    A setting is dominated by one that is as good in every goal and better in one. Equals stand
    on the front together.

    Parameters
    ----------
    gains
        ``(setting, goal)``, larger is better.
    """
    if gains.shape[1] == 2:
        return _on_front_of_two(gains)
    front = np.zeros(len(gains), bool)
    # after sorting by the sum nobody is dominated by one that comes later
    left = np.argsort(-gains.sum(axis=1), kind="stable")
    while len(left):
        best = gains[left[0]]
        equal = (gains[left] == best).all(axis=1)
        front[left[equal]] = True
        left = left[(gains[left] > best).any(axis=1)]
    return front


def layers(gains: Floats) -> NDArray[np.int64]:
    """Number the settings by fronts, ``(setting,)``: 1 the front, 2 that of the rest, and so on.

    Those behind `MOST_LAYERS` fronts share the number that follows.
    """
    layer = np.full(len(gains), MOST_LAYERS + 1, np.int64)
    left = np.arange(len(gains))
    for number in range(1, MOST_LAYERS + 1):
        front = on_front(gains[left])
        layer[left[front]] = number
        left = left[~front]
        if not len(left):
            break
    return layer


def front_probability(draws: Floats) -> Floats:
    """Share of the draws in which each setting stands on the front, ``(setting,)``.

    Parameters
    ----------
    draws
        Plausible gains, ``(draw, setting, goal)``.
    """
    share: Floats = np.mean([on_front(gains) for gains in draws], axis=0)
    return share


def _on_front_of_two(gains: Floats) -> NDArray[np.bool_]:
    """By one sweep from the best in the first goal, ``(setting,)``."""
    order = np.lexsort((-gains[:, 1], -gains[:, 0]))
    first, second = gains[order].T
    before = np.concatenate([[-np.inf], np.maximum.accumulate(second)[:-1]])
    beats = second > before
    # an equal of one that stands on the front stands there, too
    same = np.concatenate([[False], (np.diff(first) == 0) & (np.diff(second) == 0)])
    group = np.cumsum(~same) - 1
    front = np.empty(len(gains), bool)
    front[order] = beats[~same][group]
    return front
