"""What is known before the next trials are chosen: what was measured, what runs, how sure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning import Settings
from virtlab.design import Design
from virtlab.screening.best import Best
from virtlab.screening.findings import LIKELY, Findings
from virtlab.screening.ignorance import Ignorance
from virtlab.screening.numerals import cell
from virtlab.screening.objective import Objective
from virtlab.screening.record import Record, make_record

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

    from virtlab.simulation import Model

Floats = NDArray[np.float64]

SAME = 1e-4  # conditions that differ by less are of one setting


@dataclass(frozen=True)
class Running:
    """Settings that run already, and what was found there by simulation."""

    design: Design
    findings: Findings


@dataclass(frozen=True)
class Knowledge:
    """What is known of an objective.

    Parameters
    ----------
    model
        What simulates.
    objective
        What is wanted.
    record
        What the trials that the model file keeps say of it; None where it keeps none.
    running
        Settings that run already.
    best
        What the best measured trials have reached, where others say so than the model file's.
    measured
        Settings that were measured since.
    """

    model: Model
    objective: Objective
    record: Record | None
    running: Running | None = None
    best: Best | None = None
    measured: Settings | None = None

    @cached_property
    def ignorance(self) -> Sequence[Ignorance | None]:
        """How far the prediction of each goal may be off."""
        if self.record is None:
            return [None] * len(self.objective.goals)
        return self.record.ignorance()

    @cached_property
    def reached(self) -> Floats:
        """Goals at measured settings that meet the requirements, ``(goal, setting)``.

        The larger, the better. Means of few noisy trials flatter their best: each is drawn
        towards what the others predict for it, as far as noise has it.
        """
        record = self.record
        if self.best is not None:
            return np.asarray((self.best.values * self.objective.signs).T)
        if record is None:
            return np.empty((len(self.objective.goals), 0))
        found = record.goals.copy()
        for goal, noise in enumerate(record.noise):
            missed = record.missed[goal]
            if noise > 0 and np.isfinite(missed).any():
                of_mean = noise / np.maximum(record.counts, 1)
                all_of_it = float(np.nanmean(missed**2))
                error = max(float(np.nanmean(missed**2 - of_mean)), 0.1 * all_of_it)
                found[goal] -= np.nan_to_num(missed) * of_mean / (of_mean + error)
        meets = (record.counts > 0) & (record.met >= LIKELY * record.trials)
        return np.asarray(found[:, meets])

    def done(self, conditions: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which settings were measured, or run already, ``(setting,)``."""
        if self._before is None:
            return np.zeros(len(conditions), bool)
        return np.asarray(self._before.query(conditions)[0] < SAME)

    def yields(self, places: Floats) -> Floats:
        """Probability that a trial yields a value at all, ``(setting,)``."""
        if self.record is None or not self.record.failed:
            return np.ones(len(places))
        return self.record.yields(places, self.ignorance)

    def remarks(self) -> list[str]:
        """What is known, in words."""
        said = []
        if len(self.objective.goals) == 1 and self.reached.size:
            best = cell(self.objective.signs[0] * self.reached[0].max(), 4)
            if self.best is None:
                said.append(f"best measured setting: {best}, what noise flatters taken out")
            else:
                said.append(f"best measured trial: {best}, {self.best.source}")
        elif not self.reached.size:
            said.append("no measured setting is known that meets what is required")
        if self.record is None:
            said.append(
                "the model file keeps no trials: what was measured is unknown, may be suggested "
                "again, and ignorance is the members' disagreement alone, which is too small"
            )
        elif self.record.failed:
            said.append(
                f"{self.record.failed:,} measured trials yielded no value: less likely nearby"
            )
        return said

    @cached_property
    def _before(self) -> cKDTree | None:
        """Conditions of all settings that were measured or run already."""
        from scipy.spatial import cKDTree

        before = [] if self.record is None else [self.record.conditions]
        if self.running is not None:
            before.append(self.model.conditions(self.running.design.settings))
        if self.measured is not None:
            before.append(self.model.conditions(self.measured))
        return cKDTree(np.concatenate(before)) if before else None


def gather(
    model: Model,
    objective: Objective,
    *,
    running: Running | None = None,
    best: Best | None = None,
    measured: Settings | None = None,
) -> Knowledge:
    """Put together what is known; see `Knowledge`.

    Raises
    ------
    ModelFileError
        The trials that the model file keeps do not fit the rest of it.
    """
    record = make_record(model, objective)
    return Knowledge(model, objective, record, running, best, measured)
