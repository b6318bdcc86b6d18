"""What to run next: a batch of settings that are good together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.design import Design
from virtlab.errors import ConfigError
from virtlab.screening.acquisition import (
    Batch,
    Choice,
    expected_improvement,
    exploring,
    improving,
)
from virtlab.screening.belief import Belief, believe
from virtlab.screening.findings import Findings
from virtlab.screening.knowledge import Knowledge

Floats = NDArray[np.float64]

MOST_JOINT = 800  # settings that are drawn together
AT_ONCE = 20_000  # settings looked at together


@dataclass(frozen=True)
class Asked:
    """What is asked for.

    Parameters
    ----------
    count
        How many settings.
    explore
        Those where least is known, instead of those expected to improve most.
    outside
        Also settings outside the training data.
    pending
        CSV of settings that run already: not suggested, and taken into account.
    """

    count: int
    explore: bool = False
    outside: bool = False
    pending: Path | None = None


@dataclass(frozen=True)
class Suggestion:
    """Settings to run next, best first.

    Parameters
    ----------
    asked
        What was asked for.
    places
        Which settings of the design, in the order of choice.
    adds
        What each adds to those before it; see `virtlab.screening.acquisition.Batch`.
    deviation
        How far its expected goal may be off, ``(goal, suggested)``.
    likely
        Probability that it meets all requirements and yields a value, ``(suggested,)``.
    remarks
        What was left out, and what the batch rests on.
    """

    asked: Asked
    places: NDArray[np.intp]
    adds: Floats
    deviation: Floats
    likely: Floats
    remarks: tuple[str, ...]

    def order(self, size: int) -> NDArray[np.int64]:
        """Number in the batch of each setting of the design, ``(size,)``; 0: not suggested."""
        found = np.zeros(size, np.int64)
        found[self.places] = np.arange(1, len(self.places) + 1)
        return found


def suggest(
    knowledge: Knowledge,
    design: Design,
    findings: Findings,
    asked: Asked,
    *,
    trials: int,
    seed: int,
) -> Suggestion:
    """Choose settings of a design to run next.

    Parameters
    ----------
    knowledge
        What is known, and what is wanted.
    design, findings
        What can be chosen, and what was found there.
    asked
        How many, and how.
    trials
        Virtual trials at each setting.
    seed
        Of what may be true.

    Raises
    ------
    ConfigError
        The objective has no goal, or no setting is left to choose.
    """
    if not knowledge.objective.goals:
        raise ConfigError(
            "--suggest: the objective has no goal to improve; add maximize, minimize or target"
        )
    looked = _look(knowledge, design, findings, asked)
    chosen = _Settings.of(knowledge, design, findings, looked.kept)
    if (running := knowledge.running) is not None:
        every = np.arange(running.design.size)
        own = _Settings.of(knowledge, running.design, running.findings, every)
        chosen = chosen.and_also(own)
    belief = believe(chosen.means, chosen.scatter, trials, chosen.places, knowledge.ignorance)
    count = len(looked.kept)
    likely = np.append(looked.likely[looked.kept], chosen.met[count:])
    open_ = np.arange(len(likely)) < count
    choice = Choice(likely, chosen.cost, open_, np.flatnonzero(~open_).tolist())
    batch = _choose(knowledge, belief, chosen, choice, asked, seed)
    return Suggestion(
        asked=asked,
        places=looked.kept[batch.settings],
        adds=np.array(batch.adds),
        deviation=belief.deviation[:, batch.settings],
        likely=likely[batch.settings],
        remarks=(*knowledge.remarks(), *_left_out(looked, batch, asked)),
    )


@dataclass(frozen=True)
class _Settings:
    """What was found at some settings; goals as larger is better.

    Parameters
    ----------
    means
        Of each member, ``(goal, setting, member)``.
    scatter
        Variance of a member's trials, ``(goal, setting)``.
    met
        Probability that a trial meets all requirements, ``(setting,)``.
    cost
        Of a trial, ``(setting,)``.
    places
        Conditions, a step along each feature counting by what it matters, ``(setting, feature)``.
    """

    means: Floats
    scatter: Floats
    met: Floats
    cost: Floats
    places: Floats

    @classmethod
    def of(
        cls, knowledge: Knowledge, design: Design, findings: Findings, rows: NDArray[np.intp]
    ) -> _Settings:
        """Take them from the findings of a whole design."""
        expectation, model = findings.expectation, knowledge.model
        assert expectation is not None
        signs, everywhere = knowledge.objective.signs, np.ones(design.size)
        conditions = model.conditions({name: v[rows] for name, v in design.settings.items()})
        return cls(
            means=np.moveaxis(expectation.by_member[rows], 1, 0) * signs[:, None, None],
            scatter=expectation.noise[rows].T ** 2,
            met=(everywhere if findings.probability is None else findings.probability)[rows],
            cost=(everywhere if findings.cost is None else findings.cost)[rows],
            places=conditions.astype(np.float64) * model.domain.weights,
        )

    def and_also(self, other: _Settings) -> _Settings:
        """These, and others after them."""

        def both(name: str, axis: int = 0) -> Any:
            return np.concatenate([getattr(self, name), getattr(other, name)], axis=axis)

        return _Settings(
            both("means", 1), both("scatter", 1), both("met"), both("cost"), both("places")
        )


@dataclass(frozen=True)
class _Looked:
    """Which settings are worth drawing together, and why others are not."""

    kept: NDArray[np.intp]
    likely: Floats
    outside: int
    done: int


def _look(knowledge: Knowledge, design: Design, findings: Findings, asked: Asked) -> _Looked:
    """Look at every setting alone, a portion at a time."""
    score, likely, done = np.zeros(design.size), np.zeros(design.size), np.zeros(design.size, bool)
    for first in range(0, design.size, AT_ONCE):
        here = np.arange(first, min(first + AT_ONCE, design.size))
        conditions = knowledge.model.conditions({n: v[here] for n, v in design.settings.items()})
        done[here] = knowledge.done(conditions)
        found = _Settings.of(knowledge, design, findings, here)
        likely[here] = found.met * knowledge.yields(found.places)
        score[here] = likely[here] * _alone(knowledge, findings, found, explore=asked.explore)
    outside = (findings.domain == "outside") & ~done & (not asked.outside)
    rows = np.flatnonzero(~done & ~outside & (likely > 0))
    if not len(rows):
        raise ConfigError(
            f"--suggest: none of {design.size:,} settings is left to choose: {done.sum():,} were "
            f"measured or run already, {outside.sum():,} lie outside the training data (--outside "
            "allows them), the others cannot meet what is required; give other settings"
        )
    order = rows[np.argsort(-score[rows], kind="stable")]
    half = MOST_JOINT // 2
    rest = order[half:]
    # The best alone, and some of the others: together, these may add more.
    kept = np.sort(np.append(order[:half], rest[:: max(1, -(-len(rest) // half))]))
    conditions = knowledge.model.conditions({n: v[kept] for n, v in design.settings.items()})
    once = np.sort(np.unique(conditions, axis=0, return_index=True)[1])  # a table may repeat one
    return _Looked(kept[once], likely, int(outside.sum()), int(done.sum()))


def _alone(knowledge: Knowledge, findings: Findings, found: _Settings, *, explore: bool) -> Floats:
    """What each setting alone is worth, ``(setting,)``; goals relative to their spread."""
    assert findings.expectation is not None
    total = np.zeros(len(found.places))
    everywhere = (findings.expectation.mean * knowledge.objective.signs).T
    for goal, missing in enumerate(knowledge.ignorance):
        own = found.means[goal]
        far = 0.0 if missing is None else missing.deviation(found.places) ** 2
        spread = np.sqrt(own.var(axis=1, ddof=1) + far)
        best = float(knowledge.reached[goal].max(initial=everywhere[goal].min()))
        worth = spread if explore else expected_improvement(own.mean(axis=1), spread, best)
        total += worth / (everywhere[goal].std() or 1.0)
    return total


def _choose(
    knowledge: Knowledge,
    belief: Belief,
    found: _Settings,
    choice: Choice,
    asked: Asked,
    seed: int,
) -> Batch:
    if not asked.explore:
        rng = np.random.default_rng(seed)
        return improving(belief, knowledge.reached, choice, asked.count, rng)
    noise, record = found.scatter.mean(axis=1), knowledge.record
    if record is not None and record.noise.any():
        noise = record.noise
    return exploring(belief, noise, choice, asked.count)


def _left_out(looked: _Looked, batch: Batch, asked: Asked) -> list[str]:
    """What was not considered, in words."""
    said = []
    if looked.outside:
        said.append(
            f"not considered: {looked.outside:,} outside the training data (--outside allows them)"
        )
    if looked.done:
        said.append(f"not considered: {looked.done:,} measured or running already")
    if len(batch.settings) < asked.count:
        said.append(f"nothing else is left: {len(batch.settings):,} of {asked.count:,}")
    return said
