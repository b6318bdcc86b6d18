"""What the lab has measured of an objective, setting by setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning import Settings
from virtlab.screening.ignorance import Ignorance, distances, learn_ignorance, matern
from virtlab.screening.objective import Objective, values_of
from virtlab.simulation.kept import Kept, keeps_trials, read_kept

if TYPE_CHECKING:
    from virtlab.simulation import Model

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Record:
    """Measured settings; goals carry the sign that makes larger better.

    Parameters
    ----------
    conditions
        Of the settings, ``(setting, feature)``.
    places
        The same, a step along each feature counting by what it matters.
    goals
        Mean over the trials of each, ``(goal, setting)``; NaN where no trial has a value.
    counts
        How many trials have a value of every goal, ``(setting,)``.
    trials
        How many there were, failed ones included, ``(setting,)``.
    met
        How many of them meet all requirements, ``(setting,)``; without requirements, `counts`.
    noise
        Variance between replicates, ``(goal,)``; 0 where no setting has any.
    missed
        What predictions out of fold missed of `goals`, ``(goal, setting)``; NaN where none are.
    """

    conditions: NDArray[np.float32]
    places: Floats
    goals: Floats
    counts: Floats
    trials: Floats
    met: Floats
    noise: Floats
    missed: Floats

    @property
    def failed(self) -> int:
        """Trials that yielded no value of the objective."""
        return int((self.trials - self.counts).sum())

    def ignorance(self) -> list[Ignorance | None]:
        """How far the prediction of each goal may be off; None where too little tells."""
        known = self.counts > 0
        goals = zip(self.goals, self.noise, self.missed, strict=True)
        return [
            learn_ignorance(
                self.places[known], goal[known], self.counts[known], float(noise), missed[known]
            )
            for goal, noise, missed in goals
        ]

    def yields(self, places: Floats, ignorance: Sequence[Ignorance | None]) -> Floats:
        """Probability that a trial yields a value at all, from how often those nearby did.

        Parameters
        ----------
        places
            Shape ``(row, feature)``.
        ignorance
            Over which distance settings are alike, per goal.
        """
        lengths = [missing.length for missing in ignorance if missing is not None]
        near = matern(distances(places, self.places) / (float(np.mean(lengths or [1.0]))))
        rate = self.counts.sum() / self.trials.sum()
        found: Floats = (near @ self.counts + rate) / (near @ self.trials + 1)
        return found


def make_record(model: Model, objective: Objective) -> Record | None:
    """Evaluate the objective in the trials that a model file keeps; None where it keeps none.

    Raises
    ------
    ModelFileError
        See `read_kept`.
    """
    if not keeps_trials(model):
        return None
    measured = read_kept(model)
    trials = len(measured.setting)
    arrays = {name: values[:, None] for name, values in measured.trials.items()}
    values = values_of(objective.names, measured.settings_of_trials, arrays)
    signs = objective.signs[:, None]
    goals = signs * objective.values_of(values, (trials, 1))[..., 0]
    whole = np.asarray(np.isfinite(goals).all(axis=0))
    met = objective.met_by(values, (trials, 1))[:, 0] & whole
    mean, counts = _means(np.where(whole, goals, 0), measured, whole)
    apart = np.where(whole, goals - mean[:, measured.setting], 0.0)
    free = max(int(whole.sum()) - int((counts > 0).sum()), 0)
    conditions = model.conditions(measured.settings)
    return Record(
        conditions=conditions,
        places=conditions.astype(np.float64) * model.domain.weights,
        goals=mean,
        counts=counts,
        trials=np.bincount(measured.setting, minlength=measured.size).astype(np.float64),
        met=np.bincount(measured.setting, met, minlength=measured.size).astype(np.float64),
        noise=(apart**2).sum(axis=1) / free if free else np.zeros(len(goals)),
        missed=mean - signs * _drawn(objective, measured),
    )


def _means(goals: Floats, measured: Kept, whole: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Mean over the trials that have a value, and how many these are, by setting."""
    counts = np.bincount(measured.setting, whole, minlength=measured.size).astype(np.float64)
    sums = np.array([np.bincount(measured.setting, g, minlength=measured.size) for g in goals])
    mean: Floats = sums.reshape(len(goals), measured.size) / np.maximum(counts, 1)
    return np.where(counts > 0, mean, np.nan), counts


def _drawn(objective: Objective, measured: Kept) -> Floats:
    """Mean of draws by members that never saw the setting, ``(goal, setting)``; NaN: none."""
    mean = np.full((len(objective.goals), measured.size), np.nan)
    if len(measured.judged) and objective.goals:
        settings: Settings = {n: v[measured.judged] for n, v in measured.settings.items()}
        shape = (len(measured.judged), next(iter(measured.drawn.values())).shape[1])
        drawn = objective.values_of(values_of(objective.names, settings, measured.drawn), shape)
        mean[:, measured.judged] = drawn.mean(axis=2)
    return mean
