"""What the virtual trials of each setting say of the objective, and the order that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.screening.front import front_probability, layers
from virtlab.screening.objective import Objective
from virtlab.screening.outcomes import Outcomes
from virtlab.screening.spread import Expectation, Floats, expect, plausible, probability, together

LIKELY = 0.5
"""A setting that meets all requirements at least this often comes before all that do not."""
DRAWS = 400
"""Plausible truths from which the probability of standing on the front is counted."""
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
    cost
        Of a trial; None where none is asked for.
    domain, domain_distance
        Whether the setting lies inside the data.
    """

    expectation: Expectation | None
    probability: Floats | None
    probability_error: Floats | None
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
    front_probability
        That it stands on front 1; NaN as above. None for one goal, or too many settings.
    """

    settings: NDArray[np.intp]
    ranked: int
    front: NDArray[np.int64] | None = None
    front_probability: Floats | None = None


def find(objective: Objective, outcomes: Outcomes, *, members: int) -> Findings:
    """Sum up the objective by setting."""
    share = error = None
    if objective.require:
        share, error = probability(outcomes.met, outcomes.member, members)
    goals = [expect(values, outcomes.member, members) for values in outcomes.values]
    return Findings(
        expectation=together(goals) if goals else None,
        probability=share,
        probability_error=error,
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


def rank(objective: Objective, findings: Findings, *, seed: int) -> Order:
    """Order the settings.

    Parameters
    ----------
    seed
        Of the plausible truths.

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
    goal = np.zeros(size)
    if findings.expectation is not None:
        goal = -(objective.signs * findings.expectation.mean)[:, 0]
    if len(objective.goals) > 1:
        front, chance = _fronts(objective, findings, ~outside & ~unlikely, seed)
        goal = front.astype(float)
    by_chance = unlikely if findings.expectation is not None else np.ones(size, bool)
    second = np.zeros(size) if chance is None else -np.nan_to_num(chance)
    order = np.lexsort((second, np.where(by_chance, -share, goal), unlikely))
    apart = np.flatnonzero(outside)
    apart = apart[np.argsort(findings.domain_distance[apart], kind="stable")]
    ranked = order[~outside[order]]
    return Order(np.concatenate([ranked, apart]), len(ranked), front, chance)


def _fronts(
    objective: Objective, findings: Findings, contenders: NDArray[np.bool_], seed: int
) -> tuple[NDArray[np.int64], Floats | None]:
    """Front of each contender, and its probability of standing on the first."""
    assert findings.expectation is not None
    names = [field.name for field in fields(Expectation)]
    own = Expectation(*(getattr(findings.expectation, name)[contenders] for name in names))
    front = np.zeros(len(contenders), np.int64)
    front[contenders] = layers(own.mean * objective.signs)
    if contenders.sum() > MOST_ON_FRONT:
        return front, None
    chance = np.full(len(contenders), np.nan)
    if contenders.any():
        draws = plausible(own, draws=DRAWS, rng=np.random.default_rng(seed))
        chance[contenders] = front_probability(draws * objective.signs)
    return front, chance
