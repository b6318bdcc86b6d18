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

SPREADS = np.geomspace(0.6, 4.8, 13)
LEVELS = (0.5, 0.9)
DRAWS, WIDE_DRAWS = 60, 30  # per trial; a signal or an image has many values that count
FEWEST_DRAWS = 20
MOST_VALUES = 2e7  # of draws x rows x values, held in memory
# Few settings say little of coverage: with this many, half of what they ask for is done.
HALF_TRUST = 30
WORTH = 0.002  # share of what was learned that true intervals may cost


def calibrate(
    fit: Fit, blocks: Blocks, columns: Sequence[Column], *, seed: int, effort: float = 1.0
) -> tuple[Fit, dict[str, float]]:
    """Choose a spread per measurement from out-of-fold coverage.

    Members judge only trials at settings that they never saw (split conformal in spirit: Vovk
    et al. 2005; here the noise's width is what is set, so that joint draws stay joint). Where the
    shape is wrong, no width makes all intervals true: so only widths are chosen from that cost
    little of the energy score, which is proper. The correction is shrunk towards none where few
    settings support it. With less than full `effort` it rests on fewer draws and trials.

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
            drawn = held.values[..., here].astype(np.float64)
            truth = real[:, here].astype(np.float64)
            rank = scores.ranks(drawn, truth, rng)
            errors[name][i] = [scores.coverage(rank, level, weight) - level for level in LEVELS]
            lost[name].append(scores.energy_scores(drawn, truth))
    setting = blocks.setting[held.rows]
    settings = len(np.unique(setting))
    trust = settings / (settings + HALF_TRUST)
    chosen = {}
    for name, here in slices.items():
        elsewhere = held.values[:, rng.permutation(len(setting)), here].astype(np.float64)
        unlearned = scores.energy_scores(elsewhere, real[:, here].astype(np.float64))
        too_much = _too_much(np.array(lost[name]), unlearned, setting, weight)
        chosen[name] = _truest(tried, errors[name], too_much) ** trust
    return _with_spread(fit, chosen), chosen


def _too_much(
    lost: NDArray[np.float64],
    unlearned: NDArray[np.float64],
    setting: NDArray[np.intp],
    weight: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """How far the score of each spread is above what true intervals may cost, ``(spread,)``.

    They may cost `WORTH` of what was learned, or what is too little to be told from nothing: a
    standard error.

    Parameters
    ----------
    lost
        Energy score of each trial, ``(spread, trial)``; NaN where nothing was measured.
    unlearned
        Scores of draws at other settings, ``(trial,)``.
    setting
        Of each trial: trials of one are no independent evidence.
    weight
        Of each trial.
    """
    seen = np.isfinite(lost).all(axis=0) & np.isfinite(unlearned)
    if not seen.any():
        return np.zeros(len(lost))
    setting = np.unique(setting[seen], return_inverse=True)[1]
    share = np.ones(len(setting)) if weight is None else weight[seen]
    totals = np.bincount(setting, share)
    part, lost = totals / totals.sum(), lost[:, seen]
    means = lost @ share / share.sum()
    best = int(np.argmin(means))
    worth = WORTH * (unlearned[seen] @ share / share.sum() - means[best])
    above = np.stack([np.bincount(setting, share * rise) / totals for rise in lost - lost[best]])
    error = np.sqrt(np.square(part * (above - (above @ part)[:, None])).sum(axis=1))
    too_much: NDArray[np.float64] = above @ part - np.maximum(error, worth)
    return too_much


def _truest(
    spreads: NDArray[np.float64], errors: NDArray[np.float64], too_much: NDArray[np.float64]
) -> float:
    """The spread whose coverage is nearest to what it should be, between those that were tried.

    `errors` are coverages minus levels, ``(spread, level)``; 1 where nothing was measured. Where
    a spread costs `too_much`, above 0, it is not chosen.
    """
    if not np.isfinite(errors).all():
        return 1.0
    tried = np.log(spreads)
    # With those that were tried: where nothing was learned, the best of them alone may be cheap.
    between = np.union1d(np.linspace(tried[0], tried[-1], 50 * len(tried)), tried)
    loss = sum(np.square(np.interp(between, tried, found)) for found in errors.T)
    cheap = np.interp(between, tried, too_much) <= 0
    return float(np.exp(between[cheap][np.argmin(loss[cheap])]))


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
