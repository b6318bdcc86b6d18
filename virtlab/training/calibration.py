"""Widen or narrow the ensemble's noise until its stated coverage is true on held-out settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from virtlab import scores
from virtlab.gan.blocks import Blocks
from virtlab.gan.fit import Fit
from virtlab.gan.predict import held_out_draws
from virtlab.scaling import Column

SPREADS = np.geomspace(0.6, 2.4, 9)
LEVELS = (0.5, 0.9)
DRAWS, WIDE_DRAWS = 60, 30  # per trial; a signal or an image has many values that count
FEWEST_DRAWS = 20
MOST_VALUES = 2e7  # of draws x rows x values, held in memory
# Few settings say little of coverage: with this many, half of what they ask for is done.
HALF_TRUST = 30


def calibrate(
    fit: Fit, blocks: Blocks, columns: Sequence[Column], *, seed: int, effort: float = 1.0
) -> tuple[Fit, dict[str, float]]:
    """Choose a spread per measurement from out-of-fold coverage.

    Members judge only trials at settings that they never saw (split conformal in spirit: Vovk
    et al. 2005; here the noise's width is what is set, so that joint draws stay joint). Where the
    shape is wrong, no width makes all intervals true: so only widths are chosen from whose energy
    score, which is proper, is not clearly above the best. The correction is shrunk towards none
    where few settings support it. With less than full `effort` it rests on fewer draws and trials.

    Returns
    -------
    fit, spread
        The fit with its noise rescaled, and the factor for each measurement's name; empty
        for a generator without a spread of its own.
    """
    if "spread.features" not in fit.weights:
        return fit, {}
    slices = value_slices(columns)
    # What a head draws takes time; its noise was fitted to far more values.
    tried, most = (SPREADS[1:6], WIDE_DRAWS) if blocks.layout.wide else (SPREADS, DRAWS)
    errors = {name: np.zeros((len(tried), len(LEVELS))) for name in slices}
    lost: dict[str, list[NDArray[np.float64]]] = {name: [] for name in slices}
    rng = np.random.default_rng(seed)
    for i, spread in enumerate(tried):
        trial = _with_spread(fit, dict.fromkeys(slices, float(spread)))
        rows = max_rows(blocks, most, effort)
        draws = max(FEWEST_DRAWS, round(effort * most))
        held = held_out_draws(trial, blocks, draws=draws, max_rows=rows, seed=seed)
        weight = None if blocks.weight is None else blocks.weight[held.rows]
        real = np.where(blocks.observed[held.rows] > 0, blocks.values[held.rows], np.nan)
        for name, here in slices.items():
            drawn, truth = held.values[..., here].astype(np.float64), real[:, here].astype(float)
            rank = scores.ranks(drawn, truth, rng)
            errors[name][i] = [scores.coverage(rank, level, weight) - level for level in LEVELS]
            lost[name].append(scores.energy_scores(drawn, truth))
    setting = np.unique(blocks.setting[held.rows], return_inverse=True)[1]
    trust = (setting.max() + 1) / (setting.max() + 1 + HALF_TRUST)
    chosen = {}
    for name, found in errors.items():
        good = _not_clearly_worse(np.array(lost[name]), setting, weight)
        chosen[name] = _truest(tried[good], found[good]) ** trust
    return _with_spread(fit, chosen), chosen


def _not_clearly_worse(
    lost: NDArray[np.float64], setting: NDArray[np.intp], weight: NDArray[np.float64] | None
) -> slice:
    """Neighbours among spreads whose score is within a standard error of the best one's.

    Parameters
    ----------
    lost
        Energy score of each trial, ``(spread, trial)``; NaN where nothing was measured.
    setting
        Of each trial, from 0 on: trials of one are no independent evidence.
    weight
        Of each trial.
    """
    seen = np.isfinite(lost).all(axis=0)
    if not seen.any():
        return slice(None)
    lost, setting = lost[:, seen], np.unique(setting[seen], return_inverse=True)[1]
    share = np.ones(len(setting)) if weight is None else weight[seen]
    totals = np.bincount(setting, share)
    best = int(np.argmin(lost @ share))
    part = totals / totals.sum()
    good = []
    for i, above in enumerate(lost - lost[best]):
        by_setting = np.bincount(setting, share * above) / totals
        mean = part @ by_setting
        error = np.sqrt(np.square(part * (by_setting - mean)).sum())
        if mean <= error:
            good.append(i)
    return slice(min(good), max(good) + 1)


def _truest(spreads: NDArray[np.float64], errors: NDArray[np.float64]) -> float:
    """The spread whose coverage is nearest to what it should be, between those that were tried.

    `errors` are coverages minus levels, ``(spread, level)``; 1 where nothing was measured.
    """
    if not np.isfinite(errors).all():
        return 1.0
    tried = np.log(spreads)
    between = np.linspace(tried[0], tried[-1], 50 * len(tried))
    loss = sum(np.square(np.interp(between, tried, found)) for found in errors.T)
    return float(np.exp(between[np.argmin(loss)]))


def value_slices(columns: Sequence[Column]) -> dict[str, slice]:
    """Where each measurement's numbers stand in a row of values."""
    slices, at = {}, 0
    for column in columns:
        if column.values:
            slices[column.measurement.name] = slice(at, at + column.values)
        at += column.values
    return slices


def max_rows(blocks: Blocks, draws: int, effort: float = 1.0) -> int:
    """Trials whose draws fit into memory, and into the time that is left."""
    most = int(MOST_VALUES / (draws * blocks.layout.values))
    if effort < 1:
        most = min(most, int(effort * len(blocks)))
    return max(50, most)


def _with_spread(fit: Fit, spread: dict[str, float]) -> Fit:
    """The fit with each measurement's Gaussian noise scaled by its factor."""
    layout = fit.generator.layout
    by_value = np.ones(layout.values, np.float32)
    by_feature = np.ones(layout.features, np.float32)
    for part in layout.parts:
        by_value[part.start : part.stop] = spread[part.name]
        by_feature[layout.features_of(part)] = spread[part.name]
    members = fit.folds.members
    weights = fit.weights | {
        "spread.features": np.tile(by_feature, (members, 1, 1)),
        "spread.values": np.tile(by_value, (members, 1, 1)),
    }
    return replace(fit, weights=weights)
