"""What each virtual trial of a design says of the objective."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from virtlab.config import Params
from virtlab.design import Design
from virtlab.errors import ConfigError
from virtlab.screening.objective import Floats, Objective, told, values_of
from virtlab.simulation.drawing import Drawn, draw

if TYPE_CHECKING:
    from virtlab.simulation import Model

ROWS_AT_ONCE = 2**16  # virtual trials, and
PORTION = 2**25
"""Bytes of virtual trials held at once, where one setting does not need more."""
MOST_BYTES = 2**28
"""Of the virtual trials of one setting."""


@dataclass(frozen=True)
class Outcomes:
    """The objective in every virtual trial of a design.

    Parameters
    ----------
    values
        Of each goal, ``(goal, setting, trial)``, in its own unit; of a target the distance.
    met
        Whether the trial meets all requirements, ``(setting, trial)``; True without any.
    margins
        By how much it meets each, ``(requirement, setting, trial)``: above 0 where it does,
        infinite where there is no more or less.
    member
        Which member of the ensemble drew it, ``(setting, trial)``.
    cost
        Of a trial, ``(setting,)``; 1 where no cost is asked for.
    domain, domain_distance
        Whether the setting lies inside the data, ``(setting,)``.
    signs
        Of each goal, ``(goal,)``: 1 to maximize, -1 to minimize.
    """

    values: Floats
    met: NDArray[np.bool_]
    margins: Floats
    member: NDArray[np.int16]
    cost: Floats
    domain: NDArray[np.object_]
    domain_distance: Floats
    signs: Floats

    @property
    def gains(self) -> Floats:
        """Values with the sign that makes larger better, ``(goal, setting, trial)``."""
        return self.values * self.signs[:, None, None]

    @property
    def feasibility(self) -> Floats:
        """Probability that a trial meets all requirements, ``(setting,)``."""
        share: Floats = self.met.mean(axis=1)
        return share


def outcomes_of(objective: Objective, design: Design, drawn: Drawn, file: str) -> Outcomes:
    """Evaluate the objective in each virtual trial.

    Parameters
    ----------
    file
        Where the objective stands, for messages.

    Raises
    ------
    ConfigError
        A goal is not a finite number in some trial: nothing can be expected of it; or a cost
        is none.
    """
    values = values_of(objective.names, design.settings, drawn.measurements)
    found = objective.values_of(values, drawn.member.shape)
    _check_finite(found, objective, design, drawn, file)
    return Outcomes(
        values=found,
        met=objective.met_by(values, drawn.member.shape),
        margins=objective.margins_of(values, drawn.member.shape),
        member=drawn.member,
        cost=objective.cost_of(design.settings, file),
        domain=drawn.domain,
        domain_distance=drawn.domain_distance,
        signs=objective.signs,
    )


def draw_outcomes(
    model: Model,
    design: Design,
    objective: Objective,
    params: Params,
    tell: Callable[[float], None] = lambda _part: None,
) -> Iterator[Outcomes]:
    """Draw a design's trials a portion at a time, and yield what they say of the objective.

    Parameters
    ----------
    params
        With its trials per setting, its seed and its file's name.
    tell
        Called with the part that is done.

    Raises
    ------
    ConfigError
        Too few trials to tell noise from ignorance, more than memory holds, or see
        `outcomes_of`.
    """
    size = _portion(model, params)
    for first in range(0, design.size, size):
        part = Design({name: v[first : first + size] for name, v in design.settings.items()})
        drawn = draw(model, part, trials=params.trials, seed=params.seed)
        yield outcomes_of(objective, part, drawn, params.path.name)
        tell(min(1.0, (first + size) / design.size))


def join_outcomes(parts: Sequence[Outcomes]) -> Outcomes:
    """Put the portions of a design together."""
    joined = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(Outcomes)
        if field.name not in ("values", "margins", "signs")
    }
    values = np.concatenate([part.values for part in parts], axis=1)
    margins = np.concatenate([part.margins for part in parts], axis=1)
    return Outcomes(values=values, margins=margins, signs=parts[0].signs, **joined)


def _portion(model: Model, params: Params) -> int:
    """Settings to draw together; refuses what cannot be held or told apart."""
    file, trials, members = params.path.name, params.trials, model.runtime.members
    if trials < 2 * members:
        raise ConfigError(
            f"{file}: trials = {trials}: too few to tell noise from ignorance; the model's "
            f"{members} members draw in turn, two trials each: ask for {2 * members} or more"
        )
    values = sum(measurement.size for measurement in model.measurements)
    each = trials * values * np.dtype(np.float64).itemsize
    if each > MOST_BYTES:
        raise ConfigError(
            f"{file}: trials = {trials:,}: those of one setting alone need {each / 1e9:.1f} GB; "
            f"ask for {trials * MOST_BYTES // each:,} or fewer"
        )
    return max(1, min(ROWS_AT_ONCE // trials, PORTION // each))


def _check_finite(
    values: Floats, objective: Objective, design: Design, drawn: Drawn, file: str
) -> None:
    for goal, found in zip(objective.goals, values, strict=True):
        bad = ~np.isfinite(found)
        if not bad.any():
            continue
        at = int(np.argmax(bad.any(axis=1)))
        raise ConfigError(
            f"{file}: objective.{goal.direction}: {goal.expression.text} is not a finite number in "
            f"{bad[at].sum():,} of {bad.shape[1]:,} virtual trials at {told(design.settings, at)} "
            f"({drawn.domain[at]} the data); is it a logarithm or a root of what can be 0 or "
            "negative, or divided by what can be 0? Write it so that every trial has a value, "
            "e.g. log(x + 1)"
        )
