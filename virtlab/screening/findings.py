"""What the virtual trials of each setting say of the objective, and the order that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.screening.best import Best, improvement
from virtlab.screening.front import front_probability, layers
from virtlab.screening.objective import Objective
from virtlab.screening.outcomes import Outcomes
from virtlab.screening.shared import Shared
from virtlab.screening.spread import (
    Expectation,
    Floats,
    expect,
    missed_probability,
    plausible,
    probability,
    together,
    widened,
)

LIKELY = 0.5
"""A setting that meets all requirements at least this often comes before all that do not."""
DRAWS = 400
"""Plausible truths from which the probability of coming first is counted."""
MOST_ON_FRONT = 10_000
"""Settings for which it is counted."""


@dataclass(frozen=True)
class Findings:
    """Of each setting, ``(setting,)``, in the design's order.

    Parameters
    ----------
    expectation
        Of the goals, ``(setting, goal)``; None where there is only require.
    probability, probability_error
        That a trial meets all requirements, and its standard error; None without require.
    better, improvement
        Probability that a trial beats the best measured ones and, of one goal, by how much on
        average; None where these are not known.
    cost
        Of a trial; None where none is asked for.
    domain, domain_distance
        Whether the setting lies inside the data.
    """

    expectation: Expectation | None
    probability: Floats | None
    probability_error: Floats | None
    better: Floats | None
    improvement: Floats | None
    cost: Floats | None
    domain: NDArray[np.object_]
    domain_distance: Floats


@dataclass(frozen=True)
class Order:
    """Who comes first.

    Parameters
    ----------
    settings
        Best first, then those outside the data, nearest first.
    ranked
        How many of them are ranked: inside the data or at its edge.
    front
        Of several goals, number of the front on which each setting stands, ``(setting,)`` in the
        design's order: 1 is the Pareto front of those `LIKELY` to meet all requirements, 0 of
        the others and of those outside. None for one goal.
    first
        Probability that it stands on front 1, of one goal that it has the best expected value,
        among those that are `LIKELY` to meet all requirements; NaN for the others. None for too
        many settings, or without a goal.
    """

    settings: NDArray[np.intp]
    ranked: int
    front: NDArray[np.int64] | None = None
    first: Floats | None = None


def find(
    objective: Objective,
    outcomes: Outcomes,
    *,
    members: int,
    best: Best | None = None,
    off: Floats | None = None,
) -> Findings:
    """Sum up the objective by setting.

    Parameters
    ----------
    best
        What the best measured trials have reached, if that is known.
    off
        What all members may miss of the requirements' margins, ``(setting, requirement)``.
    """
    share = error = better = beyond = None
    if objective.require:
        share, error = probability(outcomes.met, outcomes.member, members)
        if off is not None:
            missed = missed_probability(outcomes.margins, off, outcomes.member, members)
            error = np.hypot(error, missed)
    if best is not None:
        better, beyond = improvement(outcomes, best)
    goals = [expect(values, outcomes.member, members) for values in outcomes.values]
    return Findings(
        expectation=together(goals) if goals else None,
        probability=share,
        probability_error=error,
        better=better,
        improvement=beyond,
        cost=None if objective.cost is None else outcomes.cost,
        domain=outcomes.domain,
        domain_distance=outcomes.domain_distance,
    )


def join(found: Sequence[Findings]) -> Findings:
    """Put the findings of a design's portions together."""

    def joined(parts: Sequence[Any]) -> Any:
        if parts[0] is None:
            return None
        if isinstance(parts[0], Expectation):
            names = [field.name for field in fields(Expectation)]
            return Expectation(*(joined([getattr(p, name) for p in parts]) for name in names))
        return np.concatenate(parts)

    names = [field.name for field in fields(Findings)]
    return Findings(*(joined([getattr(part, name) for part in found]) for name in names))


def with_shared(findings: Findings, shared: Shared | None, limits: Floats) -> Findings:
    """Widen the intervals by what all members may miss together, as far as values are possible.

    Parameters
    ----------
    limits
        Of each goal, ``(2, goal)``.
    """
    found = findings.expectation
    if found is None:
        return findings
    deviation = np.zeros_like(found.mean) if shared is None else shared.deviation()
    return replace(findings, expectation=widened(found, deviation, limits))


def rank(
    objective: Objective, findings: Findings, *, seed: int, shared: Shared | None = None
) -> Order:
    """Order the settings.

    Parameters
    ----------
    seed
        Of the plausible truths.
    shared
        What all members may miss together, where that is known.

    Notes
    -----
    Those that are `LIKELY` to meet all requirements are ordered by the goal; by several goals
    front by front, and on a front by the probability of standing on the first one. Those that
    are not likely come behind them, by their probability. Equals keep the design's order.
    """
    size = len(findings.domain)
    outside = findings.domain == "outside"
    share = np.ones(size) if findings.probability is None else findings.probability
    unlikely = share < LIKELY
    front = chance = None
    goal = second = np.zeros(size)
    by_chance = np.ones(size, bool)
    if findings.expectation is not None:
        by_chance = unlikely
        contenders = ~outside & ~unlikely
        chance = _first(objective, findings.expectation, contenders, seed, shared)
        gains = objective.signs * findings.expectation.mean
        goal = -gains[:, 0]
        if len(objective.goals) > 1:
            front = np.zeros(size, np.int64)
            front[contenders] = layers(gains[contenders])
            goal = front.astype(float)
            second = second if chance is None else -np.nan_to_num(chance)
    order = np.lexsort((second, np.where(by_chance, -share, goal), unlikely))
    apart = np.flatnonzero(outside)
    apart = apart[np.argsort(findings.domain_distance[apart], kind="stable")]
    ranked = order[~outside[order]]
    return Order(np.concatenate([ranked, apart]), len(ranked), front, chance)


def _first(
    objective: Objective,
    expectation: Expectation,
    contenders: NDArray[np.bool_],
    seed: int,
    shared: Shared | None,
) -> Floats | None:
    """Probability that each contender stands on the first front, the truth being one of many."""
    if contenders.sum() > MOST_ON_FRONT:
        return None
    chance = np.full(len(contenders), np.nan)
    if contenders.any():
        names = [field.name for field in fields(Expectation)]
        own = Expectation(*(getattr(expectation, name)[contenders] for name in names))
        rng = np.random.default_rng(seed)
        draws = plausible(own, draws=DRAWS, rng=rng)
        if shared is not None:
            errors, usual = shared.draws(contenders, DRAWS, rng), shared.deviation()[contenders]
            draws = draws + errors * (own.shared / np.where(usual > 0, usual, 1))
        chance[contenders] = front_probability(draws * objective.signs)
    return chance
