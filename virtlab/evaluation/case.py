"""What is judged: real and virtual trials at settings, and what baselines may learn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from virtlab.design import Design
from virtlab.evaluation.heldout import HeldOut, read_held_out
from virtlab.evaluation.matching import Array, Matched, in_numbers, match_trials
from virtlab.jury import ALONE, Jury
from virtlab.simulation.kept import keeps_trials

if TYPE_CHECKING:
    import xarray as xr

    from virtlab.simulation import Model

Indices = NDArray[np.int64]

SEED = 20_260
DRAWS = (100, 400)  # per setting: at least, and as many as time allows
MOST_JUDGED = 3_000  # held-out trials
MOST_SCORED = 4e7  # of draws x trials x values: what `DRAWS` is chosen by


@dataclass(frozen=True)
class Material:
    """Trials that the model learned from, for simpler models to learn from.

    Parameters
    ----------
    trials
        As many as the model file keeps.
    fold
        Of each of their settings, ``(setting,)``.
    judged_fold
        Of each judged setting, ``(k,)``: what is drawn there comes from a model that learned
        from other folds alone. -1: from all.
    judged
        Which of the trials' settings each judged one is, ``(k,)``; -1: none, it is new.
    """

    trials: Matched
    fold: Indices
    judged_fold: Indices
    judged: Indices


@dataclass(frozen=True)
class Case:
    """Real trials and a source of virtual ones.

    Parameters
    ----------
    matched
        The real trials.
    draws
        Virtual trials per setting.
    draw
        Virtual trials at some of the settings by measurement, ``(setting, draw, value)``.
    jury
        Whose draws these are.
    first
        So many of the draws are by models that have seen nothing of the setting's fold.
    held_out
        Whether these are the model's own trials, judged out of fold; else they are new.
    material
        None where the model file keeps no trials.
    """

    matched: Matched
    draws: int
    draw: Callable[[Indices], dict[str, Array]]
    jury: Jury
    first: int
    held_out: bool
    material: Material | None


def new_case(model: Model, trials: xr.Dataset) -> Case:
    """New trials, and virtual ones simulated at their settings.

    Raises
    ------
    DataError
        The trials are not of the model's kind; see `match_trials`.
    """
    matched = match_trials(model, trials)
    most = max(values.shape[1] for values in matched.real.values())
    draws = int(np.clip(MOST_SCORED / (len(matched.setting) * most), *DRAWS))

    def draw(here: Indices) -> dict[str, Array]:
        settings = {name: values[here] for name, values in matched.settings.items()}
        virtual = model.simulate(Design(settings), trials=draws, seed=SEED)
        found = {}
        for measurement in model.measurements:
            values = virtual[measurement.name].values.reshape(-1, *measurement.shape)
            found[measurement.name] = in_numbers(measurement, values).reshape(len(here), draws, -1)
        return found

    material = None
    if keeps_trials(model):
        kept = read_held_out(model)
        nowhere = np.full(len(matched.conditions), -1)
        material = Material(kept.matched, kept.fold, nowhere, nowhere)
    return Case(matched, draws, draw, ALONE, draws, False, material)


def held_out_case(kept: HeldOut) -> Case:
    """The model's own trials, each beside draws of members that never saw its setting."""

    def draw(here: Indices) -> dict[str, Array]:
        return {
            name: np.concatenate([values[here], kept.ended[name][here]], axis=1)
            for name, values in kept.drawn.items()
        }

    fold = kept.fold // kept.unseen  # what learns beside the members misses as much as they do
    material = Material(kept.matched, fold, fold[kept.judged], kept.judged)
    matched = kept.to_judge(MOST_JUDGED)
    return Case(matched, kept.draws, draw, kept.jury, kept.first, True, material)
