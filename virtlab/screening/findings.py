"""What the virtual trials of each setting say of the objective, and the order that follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.design import Design
from virtlab.errors import ConfigError
from virtlab.screening.objective import Objective, values_of
from virtlab.screening.spread import Expectation, Floats, expect, probability
from virtlab.simulation.drawing import Drawn

LIKELY = 0.5
"""A setting that meets all requirements at least this often comes before all that do not."""


@dataclass(frozen=True)
class Findings:
    """Of each setting, ``(setting,)``, in the design's order.

    Parameters
    ----------
    expectation
        Of the goal; None where there is only require.
    probability, probability_error
        That a trial meets all requirements, and its standard error; None without require.
    domain, domain_distance
        Whether the setting lies inside the data.
    """

    expectation: Expectation | None
    probability: Floats | None
    probability_error: Floats | None
    domain: NDArray[np.object_]
    domain_distance: Floats


def find(
    objective: Objective, design: Design, drawn: Drawn, *, members: int, where: str
) -> Findings:
    """Evaluate the objective in each virtual trial, and sum up by setting.

    Parameters
    ----------
    where
        File and key of the goal, for messages.

    Raises
    ------
    ConfigError
        The goal is not a finite number in some trial: nothing can be expected of it.
    """
    values = values_of(objective.names, design.settings, drawn.measurements)
    goal = objective.goal_of(values, drawn.member.shape)
    met = objective.met_by(values, drawn.member.shape)
    if goal is not None:
        _check_finite(goal, objective, design, drawn, where)
    share, error = (None, None) if met is None else probability(met, drawn.member, members)
    return Findings(
        expectation=None if goal is None else expect(goal, drawn.member, members),
        probability=share,
        probability_error=error,
        domain=drawn.domain,
        domain_distance=drawn.domain_distance,
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


def rank(objective: Objective, findings: Findings) -> tuple[NDArray[np.intp], int]:
    """Order the settings.

    Returns
    -------
    order
        Settings best first, then those outside the data, nearest first.
    ranked
        How many of them are ranked: inside the data or at its edge.

    Notes
    -----
    Those that are `LIKELY` to meet all requirements are ordered by the goal. Those that are
    not come behind them, by their probability. Equals keep the design's order.
    """
    size = len(findings.domain)
    sign = -1.0 if objective.direction == "maximize" else 1.0
    goal = np.zeros(size)
    if findings.expectation is not None:
        goal = sign * findings.expectation.mean
    share = np.ones(size) if findings.probability is None else findings.probability
    unlikely = share < LIKELY
    by_chance = unlikely if findings.expectation is not None else np.ones(size, bool)
    order = np.lexsort((goal, np.where(by_chance, -share, goal), unlikely))
    outside = findings.domain == "outside"
    apart = np.flatnonzero(outside)
    apart = apart[np.argsort(findings.domain_distance[apart], kind="stable")]
    ranked = order[~outside[order]]
    return np.concatenate([ranked, apart]), len(ranked)


def _check_finite(
    goal: Floats, objective: Objective, design: Design, drawn: Drawn, where: str
) -> None:
    bad = ~np.isfinite(goal)
    if not bad.any():
        return
    assert objective.goal is not None
    at = int(np.argmax(bad.any(axis=1)))
    setting = told(design.settings, at)
    raise ConfigError(
        f"{where}: {objective.goal.text} is not a finite number in {bad[at].sum():,} of "
        f"{bad.shape[1]:,} virtual trials at {setting} ({drawn.domain[at]} the data); is it a "
        "logarithm or a root of what can be 0 or negative, or divided by what can be 0? "
        "Write it so that every trial has a value, e.g. log(x + 1)"
    )


def told(settings: Mapping[str, NDArray[Any]], at: int) -> str:
    """One setting in words: ``stiffness = 40, drag = 0.4``."""
    return ", ".join(f"{name} = {cell(values[at])}" for name, values in settings.items())


def cell(value: Any) -> str:
    """A parameter's value as a person writes it."""
    return value if isinstance(value, str) else f"{float(value):.6g}"
