"""Scores of one measurement, from what was collected of its draws."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.domain import VERDICTS
from virtlab.evaluation.estimates import Estimate, estimate_mean, estimate_means
from virtlab.evaluation.matching import Array
from virtlab.scores import coverage, mean_of, replicate_floor
from virtlab.trials import Measurement

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
PIT_BINS = 10


@dataclass(frozen=True)
class Examples:
    """Real and virtual trials at one setting, ``(trial, value)``."""

    setting: dict[str, Any]
    real: Array
    virtual: Array


@dataclass(frozen=True)
class Compared:
    """One measurement's new real trials and what their virtual ones came to.

    Parameters
    ----------
    real, one
        In numbers, and one virtual trial for each, ``(trial, value)``.
    setting, weight
        Which setting each trial belongs to, and how much it counts.
    score, marginal
        Energy score of the model and of resampling the new trials, ``(trial,)``.
    rank
        Of each real value among its draws, ``(trial, value)``.
    mean, variance
        Of the draws at each setting, ``(setting, value)``.
    quantiles
        5, 50 and 95 %, ``(setting, quantile, value)``.
    examples
        A few settings to show.
    """

    measurement: Measurement
    real: Array
    setting: NDArray[np.int64]
    weight: Array
    score: Array
    marginal: Array
    rank: Array
    one: Array
    mean: Array
    variance: Array
    quantiles: Array
    examples: tuple[Examples, ...]


@dataclass(frozen=True)
class Region:
    """Scores of the trials inside, at the edge of or outside the training data."""

    settings: int
    trials: int
    model: float
    marginal: float
    floor: float
    coverage_90: float


@dataclass(frozen=True)
class Scored:
    """How one measurement's virtual trials compare with new real ones, in its own unit.

    Parameters
    ----------
    trials
        With a value.
    model, marginal
        Energy score (CRPS) of the model, and of resampling the new trials themselves whatever
        their setting: a generous baseline, since it knows what it is judged on.
    gain
        `marginal` minus `model`, trial by trial.
    floor
        What a perfect model would score, from replicates; NaN without any.
    coverage
        Share of real values inside the central interval of each of `LEVELS`; empty for a
        category.
    pit
        Share of real values in each tenth of the virtual distribution, 1 being a tenth of
        them; empty for a category.
    bias
        Virtual mean minus real mean; None for a category.
    spread_ratio
        Virtual over real standard deviation within settings; NaN without replicates.
    regions
        By where the settings lie.
    compared
        The trials behind the scores, for pictures.
    """

    trials: int
    model: Estimate
    marginal: Estimate
    gain: Estimate
    floor: float
    coverage: tuple[Estimate, ...]
    pit: tuple[Estimate, ...]
    bias: Estimate | None
    spread_ratio: float
    regions: dict[str, Region]
    compared: Compared

    @property
    def measurement(self) -> Measurement:
        """Which measurement this is about."""
        return self.compared.measurement


def score(compared: Compared, region: NDArray[np.object_], *, seed: int) -> Scored:
    """Score one measurement.

    Parameters
    ----------
    region
        Of each setting: inside, edge or outside.
    """
    rng = np.random.default_rng(seed)
    categorical = compared.measurement.kind == "categorical"
    setting, weight = compared.setting, compared.weight
    coverages, pit = ((), ()) if categorical else _calibration(compared, rng)
    error = compared.mean[setting] - compared.real
    return Scored(
        trials=int((~np.isnan(compared.score)).sum()),
        model=estimate_mean(compared.score, weight, setting, rng),
        marginal=estimate_mean(compared.marginal, weight, setting, rng),
        gain=estimate_mean(compared.marginal - compared.score, weight, setting, rng),
        floor=_floor(compared, np.ones(len(setting), bool)),
        coverage=coverages,
        pit=pit,
        bias=None if categorical else estimate_mean(_row_means(error), weight, setting, rng),
        spread_ratio=math.nan if categorical else _spread_ratio(compared),
        regions={
            name: _region(compared, region[setting] == name, int((region == name).sum()))
            for name in VERDICTS
            if (region == name).any()
        },
        compared=compared,
    )


def _region(compared: Compared, here: NDArray[np.bool_], settings: int) -> Region:
    categorical, weight = compared.measurement.kind == "categorical", compared.weight[here]
    return Region(
        settings=settings,
        trials=int((~np.isnan(compared.score[here])).sum()),
        model=mean_of(compared.score[here], weight),
        marginal=mean_of(compared.marginal[here], weight),
        floor=_floor(compared, here),
        coverage_90=math.nan if categorical else coverage(compared.rank[here], 0.9, weight),
    )


def _calibration(
    compared: Compared, rng: np.random.Generator
) -> tuple[tuple[Estimate, ...], tuple[Estimate, ...]]:
    """Coverage at all levels, and the PIT histogram relative to a flat one."""
    rank, seen, weight = compared.rank, ~np.isnan(compared.rank), compared.weight[:, None]
    counts = (seen * weight).sum(axis=1)
    off = np.where(seen, np.abs(rank - 0.5), np.inf)
    inside = np.stack([(off <= level / 2).sum(axis=1) for level in LEVELS], axis=1)
    place = np.where(seen, np.clip(rank * PIT_BINS, 0, PIT_BINS - 0.5), -1).astype(np.int64)
    bins = np.stack([(place == i).sum(axis=1) for i in range(PIT_BINS)], axis=1) * PIT_BINS
    return (
        tuple(estimate_means(inside * weight, counts, compared.setting, rng)),
        tuple(estimate_means(bins * weight, counts, compared.setting, rng)),
    )


def _floor(compared: Compared, here: NDArray[np.bool_]) -> float:
    here = here & ~np.isnan(compared.real).all(axis=1)
    return replicate_floor(compared.real[here], compared.setting[here], compared.weight[here])


def _spread_ratio(compared: Compared) -> float:
    """Virtual over real standard deviation, pooled over settings that were repeated."""
    real, setting, size = compared.real, compared.setting, len(compared.mean)
    seen = ~np.isnan(real)
    count = np.zeros((size, real.shape[1]))
    np.add.at(count, setting, seen)
    total = np.zeros_like(count)
    np.add.at(total, setting, np.where(seen, real, 0))
    center = total / np.maximum(count, 1)
    squares = np.zeros_like(count)
    np.add.at(squares, setting, np.where(seen, np.square(real - center[setting]), 0))
    freedom = np.maximum(count - 1, 0)
    found = squares.sum()
    return math.sqrt((freedom * compared.variance).sum() / found) if found > 0 else math.nan


def _row_means(values: Array) -> Array:
    """Mean over the last axis without missing values; NaN where all are."""
    seen = ~np.isnan(values)
    count = seen.sum(axis=1)
    total = np.where(seen, values, 0).sum(axis=1)
    mean: Array = np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)
    return mean
