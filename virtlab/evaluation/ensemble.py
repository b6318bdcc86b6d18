"""The `energy` preset as a baseline: the same generator, trained without a critic."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from virtlab.evaluation.case import Case
from virtlab.evaluation.heldout import draws_in_numbers
from virtlab.evaluation.matching import Array, Matched
from virtlab.scaling import Column
from virtlab.simulation.kept import scale_back
from virtlab.trials import MISSING_CATEGORY, TRIAL, WEIGHT

NAME = "energy preset"
DRAWS = (20, 100)
MOST_VALUES = 2e7  # of draws x trials x values, in memory


def draw_energy_preset(case: Case, columns: Sequence[Column], seed: int) -> dict[str, Array] | None:
    """Train an ensemble and draw at held-out settings, ``(setting, draw, value)`` by measurement.

    It has one member for each fold of the model's, a split by setting of its own, and is
    calibrated as the model was. None where the settings are new: only held-out ones are drawn.
    """
    material = case.material
    if material is None or not case.held_out:
        return None
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from virtlab.gan.fit import fit
    from virtlab.gan.options import Options
    from virtlab.gan.predict import held_out_draws
    from virtlab.training.blocks import make_blocks
    from virtlab.training.calibration import calibrate
    from virtlab.training.keeping import pool_draws

    trials, seed = material.trials, seed % 2**30
    blocks = make_blocks(
        _dataset(trials, columns), columns, trials.conditions[trials.setting], trials.setting
    )
    apart = len(np.unique(material.judged_fold)) == 1  # no member's fold
    members = max(2, len(np.unique(material.fold)) - apart)
    fitted = fit(blocks, Options(preset="energy", seed=seed, members=members))
    fitted, _ = calibrate(fitted, blocks, columns, seed=seed)
    fitted = replace(fitted, folds=fitted.folds.complete(len(blocks)))
    draws = int(np.clip(MOST_VALUES / blocks.values.size, *DRAWS))
    held = held_out_draws(fitted, blocks, draws=draws, max_rows=len(blocks), seed=seed)
    values, codes, _ = pool_draws(held, blocks, material.judged, 1)
    settings = {name: chosen[material.judged] for name, chosen in trials.settings.items()}
    drawn = scale_back(columns, values, codes, settings)
    return draws_in_numbers([column.measurement for column in columns], drawn)


def _dataset(trials: Matched, columns: Sequence[Column]) -> xr.Dataset:
    """Trials as training knows them."""
    data = {}
    for column in columns:
        measurement = column.measurement
        numbers = trials.real[measurement.name]
        if measurement.kind == "categorical":
            names = np.array([*measurement.categories, MISSING_CATEGORY], dtype=object)
            missing = np.isnan(numbers).all(axis=1)
            values = names[np.where(missing, -1, np.nan_to_num(numbers).argmax(axis=1))]
        else:
            values = numbers.reshape(-1, *measurement.shape)
        data[measurement.name] = ((TRIAL, *measurement.dims), values)
    coords = {name: (TRIAL, chosen[trials.setting]) for name, chosen in trials.settings.items()}
    if (trials.weight != 1).any():
        coords[WEIGHT] = (TRIAL, trials.weight)
    return xr.Dataset(data, coords)
