"""Noise and ignorance, told apart by which member of the ensemble drew each virtual trial.

Trials of one member differ by noise. Members differ by ignorance: where the data say little,
each makes up its own mind. A member's mean over few trials is itself noisy, so that share is
taken out of the spread of the means, as in a one-way analysis of variance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from virtlab.screening.numerals import cell

Floats = NDArray[np.float64]

INTERVAL = 0.90
"""How often the interval of an expected objective should hold the truth."""
NORMAL = 1.645
"""Standard deviations from the mean to either end of it, were the error normal."""
SURE = 0.95
"""How often the true ignorance is below its upper bound."""


@dataclass(frozen=True)
class Expectation:
    """A goal at each setting; all ``(setting,)``, several goals ``(setting, goal)``.

    Parameters
    ----------
    mean
        Expected value, over all trials.
    noise
        Standard deviation between trials of one member.
    ignorance
        Standard deviation between the members' means, beyond what noise makes of them; 0 where
        it is lost in noise.
    ignorance_high
        Upper end of its one-sided 95 % interval, noise not taken out: never 0 because few
        members happen to agree.
    low, high
        Interval of the expected value: the truth is taken for one more member, and the members'
        means as they are, with what noise makes of them: more trials narrow it. Wider by what
        all members may miss together, where that is known; see `widened`.
    by_member
        Each member's own mean, one more axis: ``(…, member)``.
    shared
        Standard deviation of what all members may miss together; 0 where nothing tells.
    """

    mean: Floats
    noise: Floats
    ignorance: Floats
    ignorance_high: Floats
    low: Floats
    high: Floats
    by_member: Floats
    shared: Floats


def expect(values: Floats, member: NDArray[np.integer], members: int) -> Expectation:
    """Summarise the goal, ``(setting, trial)``, drawn by `member` of the same shape.

    Every member of two or more drew at least two trials of each setting.
    """
    from scipy.special import chdtri, stdtrit

    count, means = _by_member(values, member, members)
    # a mean of what is always the same is that, not that but for its last digit
    same = (values == values[:, :1]).all(axis=1)
    means[same] = values[same, :1]
    mean = np.where(same, values[:, 0], values.mean(axis=1))
    # centred first: the sum of squares of large numbers that hardly differ would cancel
    own = np.take_along_axis(means, member.astype(np.intp), axis=1)
    squares = ((values - own) ** 2).sum(axis=1)
    noise = np.sqrt(squares / (values.shape[1] - members))
    of_noise = noise**2 * (1 / count).mean(axis=1)
    spread = np.where(same, 0.0, means.var(axis=1, ddof=1))
    ignorance = np.sqrt(np.maximum(spread - of_noise, 0))
    # of M - 1 degrees of freedom, 5 % of estimates are further below the true variance
    most = np.sqrt(spread * (members - 1) / chdtri(members - 1, SURE))
    half = stdtrit(members - 1, (1 + INTERVAL) / 2) * np.sqrt(spread * (1 + 1 / members))
    return Expectation(mean, noise, ignorance, most, mean - half, mean + half, means, 0 * mean)


def told_ignorance(own: float, most: float) -> str:
    """Ignorance as text; where it is lost in noise, what it is below in 95 of 100 cases."""
    return cell(own, 2) if own or not most else f"< {cell(most, 2)}"


def together(goals: Sequence[Expectation]) -> Expectation:
    """Several goals as one expectation, with an axis ``goal`` after ``setting``."""
    names = [field.name for field in fields(Expectation)]
    return Expectation(*(np.stack([getattr(g, name) for g in goals], axis=1) for name in names))


def widened(
    expectation: Expectation, deviation: Floats, limits: Floats | None = None
) -> Expectation:
    """Widen the intervals to what predictions out of fold have missed.

    Parameters
    ----------
    deviation
        Standard deviation of the errors of expected values, of the mean's shape. What members
        disagree on is part of these errors: only what they exceed it by is added.
    limits
        Lowest and highest possible value of each goal, ``(2, goal)``.
    """
    members = expectation.by_member.shape[-1]
    own = expectation.by_member.var(axis=-1, ddof=1) * (1 + 1 / members)
    shared = np.sqrt(np.maximum(deviation**2 - own, 0))
    half = np.hypot((expectation.high - expectation.low) / 2, NORMAL * shared)
    low, high = expectation.mean - half, expectation.mean + half
    if limits is not None:
        low, high = np.maximum(low, limits[0]), np.minimum(high, limits[1])
    return replace(expectation, low=low, high=high, shared=shared)


def plausible(expectation: Expectation, *, draws: int, rng: np.random.Generator) -> Floats:
    """Draw what the expected values may truly be, at all settings and of all goals together.

    The truth is taken for one more member, as the interval takes it: each draw is the mean plus
    a random combination of the members' departures from it, with Student's t as its spread. One
    combination holds for all settings and goals: what the members agree on is kept, such as
    that two settings go up and down together.

    Returns
    -------
    draws
        ``(draw, *shape of the mean)``.
    """
    members = expectation.by_member.shape[-1]
    departures = expectation.by_member - expectation.by_member.mean(axis=-1, keepdims=True)
    weights = rng.standard_normal((draws, members)) * np.sqrt((1 + 1 / members) / (members - 1))
    weights *= np.sqrt((members - 1) / rng.chisquare(members - 1, draws))[:, None]
    made: Floats = expectation.mean + np.moveaxis(departures @ weights.T, -1, 0)
    return made


def probability(
    met: NDArray[np.bool_], member: NDArray[np.integer], members: int
) -> tuple[Floats, Floats]:
    """Share of trials that meet all requirements, and its standard error, ``(setting,)``.

    The truth is taken for one more member: the error has what members disagree on beyond the
    noise of their trials, and that noise; it is never zero because all agree.
    """
    trials = met.shape[1]
    share = met.mean(axis=1)
    count, shares = _by_member(met.astype(np.float64), member, members)
    likely = (met.sum(axis=1) + 1) / (trials + 2)
    noise = likely * (1 - likely)
    between = shares.var(axis=1, ddof=1) - noise * (1 / count).mean(axis=1)
    return share, np.sqrt(np.maximum(between, 0) * (1 + 1 / members) + noise / trials)


def missed_probability(
    margins: Floats, off: Floats, member: NDArray[np.integer], members: int
) -> Floats:
    """How far the share may be off by what all members miss together, ``(setting,)``.

    Parameters
    ----------
    margins
        By how much each trial meets each requirement, ``(requirement, setting, trial)``: above 0
        where it does, infinite where there is no more or less.
    off
        Standard deviation of the error of each expected margin, ``(setting, requirement)``. What
        members disagree on is part of it: only what it exceeds that by is counted.
    """
    met = margins > 0
    square = np.zeros(margins.shape[1])
    for number in np.flatnonzero(off.any(axis=0)):
        own, others = margins[number], np.delete(met, number, axis=0).all(axis=0)
        with np.errstate(invalid="ignore"):  # a margin may be infinite: then nothing is told
            _, means = _by_member(own, member, members)
            known = means.var(axis=1, ddof=1) * (1 + 1 / members)
        shift = np.sqrt(np.maximum(off[:, number] ** 2 - known, 0))[:, None]
        # All trials are moved up and down by one standard deviation of the error.
        more, less = (others & (own > -shift)).mean(axis=1), (others & (own > shift)).mean(axis=1)
        square += ((more - less) / 2) ** 2
    return np.sqrt(square)


def _by_member(values: Floats, member: NDArray[np.integer], members: int) -> tuple[Floats, Floats]:
    """Number of trials and mean of each member, ``(setting, member)``."""
    count = np.empty((len(values), members))
    means = np.empty((len(values), members))
    for number in range(members):
        own = member == number
        count[:, number] = own.sum(axis=1)
        means[:, number] = values.sum(axis=1, where=own) / count[:, number]
    return count, means
