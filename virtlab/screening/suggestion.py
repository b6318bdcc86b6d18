"""What to run next: a batch of settings that are good together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning import Settings
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
from virtlab.screening.best import Best
from virtlab.screening.findings import LIKELY, Findings
from virtlab.screening.ignorance import Ignorance
from virtlab.screening.objective import Objective, cell
from virtlab.screening.record import Record, make_record

if TYPE_CHECKING:
    from virtlab.simulation import Model

Floats = NDArray[np.float64]

MOST_JOINT = 800  # settings that are drawn together
AT_ONCE = 20_000  # settings looked at together
SAME = 1e-4  # conditions that differ by less are of one setting


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
class Running:
    """Settings that run already, and what was found there by simulation."""

    design: Design
    findings: Findings


@dataclass(frozen=True)
class Told:
    """What is known beside the trials that the model file keeps.

    Parameters
    ----------
    running
        Settings that run already.
    best
        What the best measured trials have reached, instead of those of the model file.
    measured
        Settings that were measured since.
    """

    running: Running | None = None
    best: Best | None = None
    measured: Settings | None = None


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
    best
        Goal of the best measured setting that meets the requirements, in its own sign; None
        where there is none, or several goals.
    remarks
        What was left out, and what the batch rests on.
    """

    asked: Asked
    places: NDArray[np.intp]
    adds: Floats
    deviation: Floats
    likely: Floats
    best: float | None
    remarks: tuple[str, ...]

    def order(self, size: int) -> NDArray[np.int64]:
        """Number in the batch of each setting of the design, ``(size,)``; 0: not suggested."""
        found = np.zeros(size, np.int64)
        found[self.places] = np.arange(1, len(self.places) + 1)
        return found


def suggest(
    model: Model,
    objective: Objective,
    design: Design,
    findings: Findings,
    asked: Asked,
    beside: Told,
    *,
    trials: int,
    seed: int,
) -> Suggestion:
    """Choose settings of a design to run next.

    Parameters
    ----------
    model, objective
        What simulates, and what is wanted.
    design, findings
        What can be chosen, and what was found there.
    asked
        How many, and how.
    beside
        What else is known.
    trials
        Virtual trials at each setting.
    seed
        Of what may be true.

    Raises
    ------
    ConfigError
        The objective has no goal, or no setting is left to choose.
    """
    if not objective.goals:
        raise ConfigError(
            "--suggest: the objective has no goal to improve; add maximize, minimize or target"
        )
    record = make_record(model, objective)
    ignorance = [None] * len(objective.goals) if record is None else record.ignorance()
    reached = _reached(objective, record, ignorance, beside.best)
    looked = _look(model, objective, design, findings, record, ignorance, asked, beside, reached)
    kept = looked.kept
    wanted = Design({name: values[kept] for name, values in design.settings.items()})
    means, noise = _in_sign(findings, objective, kept)
    likely, cost = looked.likely[kept], _cost(findings, kept)
    if (running := beside.running) is not None:
        own = _in_sign(running.findings, objective, slice(None))
        means, noise = (np.concatenate(b, axis=1) for b in zip((means, noise), own, strict=True))
        names = wanted.settings
        wanted = Design({n: np.append(v, running.design.settings[n]) for n, v in names.items()})
        likely = np.append(likely, _chance(running.findings, slice(None)))
        cost = np.append(cost, _cost(running.findings, slice(None)))
    places = model.conditions(wanted.settings).astype(np.float64) * model.domain.weights
    belief = believe(means, noise, trials, places, ignorance)
    count = len(kept)
    choice = Choice(
        likely=likely,
        cost=cost,
        allowed=np.arange(len(likely)) < count,
        pending=range(count, len(likely)),
    )
    batch = _choose(belief, reached, noise.mean(axis=1), record, choice, asked, seed)
    return _told(batch, belief, kept, looked, objective, reached, asked, record, beside)


@dataclass(frozen=True)
class _Looked:
    """Which settings are worth drawing together, and why others are not."""

    kept: NDArray[np.intp]
    likely: Floats
    outside: int
    measured: int


def _look(
    model: Model,
    objective: Objective,
    design: Design,
    findings: Findings,
    record: Record | None,
    ignorance: Sequence[Ignorance | None],
    asked: Asked,
    beside: Told,
    reached: Floats,
) -> _Looked:
    """Look at every setting alone, a portion at a time."""
    score, likely = np.zeros(design.size), _chance(findings, slice(None))
    known = np.zeros(design.size, bool)
    for first in range(0, design.size, AT_ONCE):
        here = slice(first, first + AT_ONCE)
        conditions = model.conditions({n: v[here] for n, v in design.settings.items()})
        places = conditions.astype(np.float64) * model.domain.weights
        if record is not None and record.failed:
            likely[here] *= record.yields(places, ignorance)
        known[here] = _known(conditions, model, record, beside)
        means, _ = _in_sign(findings, objective, here)
        for goal, missing in enumerate(ignorance):
            own = means[goal].var(axis=1, ddof=1)
            far = 0 if missing is None else missing.deviation(places) ** 2
            spread = np.sqrt(own + far)
            best = float(reached[goal].max(initial=means[goal].min()))
            alone = expected_improvement(means[goal].mean(axis=1), spread, best)
            score[here] += (spread if asked.explore else alone) / (means[goal].std() or 1.0)
    outside = (findings.domain == "outside") & ~known & (not asked.outside)
    open_ = ~known & ~outside & (likely > 0)
    if not open_.any():
        raise ConfigError(
            f"--suggest: none of {design.size:,} settings is left to choose: {known.sum():,} were "
            f"measured or run already, {outside.sum():,} lie outside the training data (--outside "
            "allows them), the others cannot meet what is required; give other settings"
        )
    rows = np.flatnonzero(open_)
    order = rows[np.argsort(-(score * likely)[rows], kind="stable")]
    half = MOST_JOINT // 2
    rest = order[half:]
    # The best alone, and some of the others: together, these may add more.
    kept = np.sort(np.append(order[:half], rest[:: max(1, -(-len(rest) // half))]))
    conditions = model.conditions({n: v[kept] for n, v in design.settings.items()})
    once = np.sort(np.unique(conditions, axis=0, return_index=True)[1])  # a table may repeat one
    return _Looked(kept[once], likely, int(outside.sum()), int(known.sum()))


def _known(
    conditions: NDArray[np.float32], model: Model, record: Record | None, beside: Told
) -> NDArray[np.bool_]:
    """Which settings were measured or run already."""
    from scipy.spatial import cKDTree

    before = [] if record is None else [record.conditions]
    if beside.running is not None:
        before.append(model.conditions(beside.running.design.settings))
    if beside.measured is not None:
        before.append(model.conditions(beside.measured))
    if not before:
        return np.zeros(len(conditions), bool)
    nearest = cKDTree(np.concatenate(before)).query(conditions)[0]
    found: NDArray[np.bool_] = nearest < SAME
    return found


def _in_sign(findings: Findings, objective: Objective, rows: Any) -> tuple[Floats, Floats]:
    """Members' means ``(goal, setting, member)``, larger is better, and a trial's variance."""
    expectation = findings.expectation
    assert expectation is not None
    means = np.moveaxis(expectation.by_member[rows], 1, 0) * objective.signs[:, None, None]
    scatter: Floats = expectation.noise[rows].T ** 2
    return means, scatter


def _chance(findings: Findings, rows: Any) -> Floats:
    """Probability that a trial meets all requirements, ``(setting,)``; a new array."""
    if findings.probability is None:
        return np.asarray(np.ones(len(findings.domain))[rows])
    found: Floats = np.array(findings.probability[rows])
    return found


def _cost(findings: Findings, rows: Any) -> Floats:
    cost = np.ones(len(findings.domain)) if findings.cost is None else findings.cost
    return np.asarray(cost[rows], np.float64)


def _reached(
    objective: Objective,
    record: Record | None,
    ignorance: Sequence[Ignorance | None],
    best: Best | None,
) -> Floats:
    """Goals at measured settings that meet the requirements, ``(goal, setting)``.

    Means of few noisy trials flatter their best: each is drawn towards what the others predict
    for it, as far as noise has it.
    """
    if best is not None:
        return np.asarray((best.values * objective.signs).T)
    if record is None:
        return np.empty((len(objective.goals), 0))
    meets = (record.counts > 0) & (record.met >= LIKELY * record.trials)
    found = record.goals.copy()
    for goal, missing in enumerate(ignorance):
        if missing is not None and record.noise[goal] > 0:
            of_mean = record.noise[goal] / np.maximum(record.counts, 1)
            missed = np.nan_to_num(record.missed[goal])
            error = max(float(np.mean(missed**2 - of_mean)), 0.1 * float(np.mean(missed**2)))
            found[goal] -= missed * of_mean / (of_mean + error)
    return np.asarray(found[:, meets])


def _choose(
    belief: Belief,
    reached: Floats,
    noise: Floats,
    record: Record | None,
    choice: Choice,
    asked: Asked,
    seed: int,
) -> Batch:
    if not asked.explore:
        rng = np.random.default_rng(seed)
        return improving(belief, reached, choice, asked.count, rng)
    if record is not None and record.noise.any():
        noise = record.noise
    return exploring(belief, noise, choice, asked.count)


def _told(
    batch: Batch,
    belief: Belief,
    kept: NDArray[np.intp],
    looked: _Looked,
    objective: Objective,
    reached: Floats,
    asked: Asked,
    record: Record | None,
    beside: Told,
) -> Suggestion:
    best = None
    remarks = []
    if len(objective.goals) == 1 and reached.size:
        best = float(objective.signs[0] * reached[0].max())
        if beside.best is None:
            said = f"setting: {cell(best)}, what noise flatters taken out"
        else:
            said = f"trial: {cell(best)}, {beside.best.source}"
        remarks.append(f"best measured {said}")
    elif not reached.size and not asked.explore:
        remarks.append("no measured setting is known that meets what is required")
    if record is None:
        remarks.append(
            "the model file keeps no trials: what was measured is unknown, may be suggested again, "
            "and ignorance is the members' disagreement alone, which is too small"
        )
    elif record.failed:
        remarks.append(f"{record.failed:,} measured trials yielded no value: less likely nearby")
    if looked.outside:
        remarks.append(
            f"not considered: {looked.outside:,} outside the training data (--outside allows them)"
        )
    if looked.measured:
        remarks.append(f"not considered: {looked.measured:,} measured or running already")
    if len(batch.settings) < asked.count:
        remarks.append(f"nothing else is left: {len(batch.settings):,} of {asked.count:,}")
    return Suggestion(
        asked=asked,
        places=kept[batch.settings],
        adds=np.array(batch.adds),
        deviation=belief.deviation[:, batch.settings],
        likely=looked.likely[kept[batch.settings]],
        best=best,
        remarks=tuple(remarks),
    )
