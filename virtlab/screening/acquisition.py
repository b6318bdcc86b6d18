"""Batches of settings that are good together, chosen one after the other on joint draws.

Expected improvement of a batch (Ginsbourger et al. 2010) is the mean, over what may be true, of
what its best setting has over the best so far. Greedy choice on joint draws (Wilson et al. 2018)
makes a batch diverse by itself: a setting that is good only where one already chosen is good,
too, adds nothing. Pending trials stand in the batch from the start. Several goals are drawn
together into one by random weights, others for every choice (Knowles 2006).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from virtlab.screening.belief import Belief

Floats = NDArray[np.float64]

DRAWS = 2048
AUGMENTED = 0.05  # share of the weighted sum beside the weakest goal (Knowles 2006)


@dataclass(frozen=True)
class Choice:
    """What can be chosen among.

    Parameters
    ----------
    likely
        Probability that a trial meets all requirements and yields a value, ``(setting,)``.
    cost
        Of a trial, ``(setting,)``.
    allowed
        What may be chosen, ``(setting,)``.
    pending
        Places of settings that run already: never chosen.
    """

    likely: Floats
    cost: Floats
    allowed: NDArray[np.bool_]
    pending: Sequence[int] = ()

    @property
    def open(self) -> NDArray[np.bool_]:
        """What may be chosen and does not run yet; a new array."""
        found = self.allowed.copy()
        found[list(self.pending)] = False
        return found


@dataclass(frozen=True)
class Batch:
    """Settings chosen, in the order in which they were.

    Parameters
    ----------
    settings
        Their places.
    adds
        What each adds to those before it: expected improvement in the goal's unit, of several
        goals relative to their ranges; or, exploring, its deviation given those before it.
    """

    settings: list[int]
    adds: list[float]


def improving(
    belief: Belief, reached: Floats, choice: Choice, count: int, rng: np.random.Generator
) -> Batch:
    """Choose what is expected to improve most on what was reached, per cost.

    Parameters
    ----------
    belief
        Of all settings.
    reached
        Goals at measured settings that meet the requirements, ``(goal, measured)``.
    choice
        Of what.
    count
        How many to choose, if so many are allowed.
    rng
        Draws what may be true.
    """
    draws = belief.draws(DRAWS, rng)
    low, width = _ranges(belief.mean, reached)
    scaled = (draws - low[:, None, None]) / width[:, None, None]
    before = (reached - low[:, None]) / width[:, None]
    meets = rng.random(scaled.shape[1:]) < choice.likely
    free, batch, adds = choice.open, list(choice.pending), []
    unit = float(width[0]) if len(width) == 1 else 1.0
    for _ in range(min(count, int(free.sum()))):
        value, start = _weighted(scaled, before, rng)
        best = np.full(len(value), start)
        for at in batch:
            best = np.where(meets[:, at], np.maximum(best, value[:, at]), best)
        gain = choice.likely * np.maximum(value - best[:, None], 0).mean(axis=0)
        score = gain
        if not gain[free].any():  # what comes nearest is still better than what does not
            score = choice.likely * np.maximum(value.mean(axis=0) + value.std(axis=0), 0)
        at = int(np.argmax(np.where(free, score / choice.cost, -np.inf)))
        free[at] = False
        batch.append(at)
        adds.append(unit * float(gain[at]))
    return Batch(batch[len(choice.pending) :], adds)


def exploring(belief: Belief, noise: Floats, choice: Choice, count: int) -> Batch:
    """Choose where least is known per cost, each as if those before it had been measured.

    Several goals count relative to their largest deviation.

    Parameters
    ----------
    noise
        Variance of a trial, ``(goal,)``.
    belief, choice, count
        See `improving`.
    """
    belief, free = belief.once_measured(choice.pending, noise), choice.open
    scale = np.maximum(belief.deviation.max(axis=1, keepdims=True), np.finfo(float).tiny)
    unit = float(scale[0, 0]) if len(scale) == 1 else 1.0
    batch: list[int] = []
    adds: list[float] = []
    for _ in range(min(count, int(free.sum()))):
        unknown = (belief.deviation / scale).mean(axis=0)
        score = choice.likely * unknown / choice.cost
        at = int(np.argmax(np.where(free, score, -np.inf)))
        free[at] = False
        batch.append(at)
        adds.append(unit * float(unknown[at]))
        belief = belief.once_measured([at], noise)
    return Batch(batch, adds)


def expected_improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """Of each setting alone, in closed form (Jones et al. 1998)."""
    from scipy.special import ndtr

    spread = np.maximum(deviation, np.finfo(float).tiny)
    z = np.clip((mean - best) / spread, -1e3, 1e3)
    found: Floats = spread * (z * ndtr(z) + np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi))
    return np.maximum(found, 0)


def _ranges(mean: Floats, reached: Floats) -> tuple[Floats, Floats]:
    """Lowest value and width of each goal, over what is believed and what was reached."""
    both = np.concatenate([mean, reached], axis=1)
    width = np.ptp(both, axis=1)
    return both.min(axis=1), np.where(width > 0, width, 1.0)


def _weighted(scaled: Floats, before: Floats, rng: np.random.Generator) -> tuple[Floats, float]:
    """Goals drawn together into one: ``(draw, setting)``, and the best reached before."""
    goals = len(scaled)
    if goals == 1:
        return scaled[0], float(before.max(initial=0.0))
    weights = rng.dirichlet(np.ones(goals))

    def together(values: Floats) -> Floats:
        weighted = values * weights.reshape(-1, *[1] * (values.ndim - 1))
        found: Floats = weighted.min(axis=0) + AUGMENTED * weighted.sum(axis=0)
        return found

    return together(scaled), float(together(before).max(initial=0.0))
