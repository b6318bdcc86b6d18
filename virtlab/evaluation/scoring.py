"""Scores of one measurement, from what was collected of its draws."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from virtlab.domain import VERDICTS
from virtlab.evaluation.compared import Compared, setting_means
from virtlab.evaluation.diversity import Diversity, find_diversity
from virtlab.evaluation.estimates import Estimate, estimate_mean, estimate_means, root, row_means
from virtlab.evaluation.matching import Array
from virtlab.evaluation.moments import Moment, judge_mean, judge_spread, spread_ratio
from virtlab.scores import count_repeated, coverage, mean_of, repeats_enough, replicate_floor
from virtlab.trials import Measurement

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
PIT_BINS = 10


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
        What a perfect model would score, from replicates; NaN where they are few, or none.
    repeated
        Trials with a value that share their setting with another one.
    coverage
        Share of real values inside the central interval of each of `LEVELS`; empty for a
        category.
    pit
        Share of real values in each tenth of the virtual distribution, 1 being a tenth of
        them; empty for a category.
    mean
        How the mean of the draws misses real values; None for a category.
    spread
        How their standard deviation misses that of replicates; None for a category, and where
        too few settings were repeated.
    dispersion
        Stated over real scatter around the mean of the draws; 1 is right. None for a category.
    spread_ratio
        Virtual over real standard deviation within settings; NaN without replicates.
    diversity
        Of a category: how much its shares differ from setting to setting; None for a number.
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
    repeated: int
    coverage: tuple[Estimate, ...]
    pit: tuple[Estimate, ...]
    mean: Moment | None
    spread: Moment | None
    dispersion: Estimate | None
    spread_ratio: float
    diversity: Diversity | None
    regions: dict[str, Region]
    compared: Compared

    @property
    def measurement(self) -> Measurement:
        """Which measurement this is about."""
        return self.compared.measurement

    @property
    def by_setting(self) -> Array:
        """Mean score at each setting, ``(setting,)``; NaN where no trial has a value."""
        return setting_means(self.compared.score, self.compared)


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
    return Scored(
        trials=int((~np.isnan(compared.score)).sum()),
        model=estimate_mean(compared.score, weight, setting, rng),
        marginal=estimate_mean(compared.marginal, weight, setting, rng),
        gain=estimate_mean(compared.marginal - compared.score, weight, setting, rng),
        floor=_floor(compared, np.ones(len(setting), bool)),
        repeated=count_repeated(setting[~np.isnan(compared.real).all(axis=1)]),
        coverage=coverages,
        pit=pit,
        mean=None if categorical else judge_mean(compared, rng),
        spread=None if categorical else judge_spread(compared, rng),
        dispersion=None if categorical else _dispersion(compared, rng),
        spread_ratio=math.nan if categorical else spread_ratio(compared),
        diversity=find_diversity(compared) if categorical else None,
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
        coverage_90=math.nan if categorical else _covered(compared, here, 0.9),
    )


def _covered(compared: Compared, here: NDArray[np.bool_], level: float) -> float:
    """Share of some trials' values inside their central interval."""
    found = [coverage(rank[here], level, compared.weight[here]) for rank in compared.ranks]
    return float(np.clip(compared.shares @ found, 0, 1))


def _calibration(
    compared: Compared, rng: np.random.Generator
) -> tuple[tuple[Estimate, ...], tuple[Estimate, ...]]:
    """Coverage at all levels, and the PIT histogram relative to a flat one."""
    seen, weight = ~np.isnan(compared.ranks[0]), compared.weight[:, None]
    counts = (seen * weight).sum(axis=1)
    inside, bins = np.zeros((len(seen), len(LEVELS))), np.zeros((len(seen), PIT_BINS))
    for share, rank in zip(compared.shares, compared.ranks, strict=True):
        off = np.where(seen, np.abs(rank - 0.5), np.inf)
        inside += share * np.stack([(off <= level / 2).sum(axis=1) for level in LEVELS], axis=1)
        place = np.where(seen, np.clip(rank * PIT_BINS, 0, PIT_BINS - 0.5), -1).astype(np.int64)
        bins += share * np.stack([(place == i).sum(axis=1) for i in range(PIT_BINS)], axis=1)
    bins *= PIT_BINS
    # What is told of all members by a few may come out below 0 or above all.
    covered = estimate_means(inside * weight, counts, compared.setting, rng)
    filled = estimate_means(bins * weight, counts, compared.setting, rng)
    return (
        tuple(each.within(0, 1) for each in covered),
        tuple(each.within(0, PIT_BINS) for each in filled),
    )


def _floor(compared: Compared, here: NDArray[np.bool_]) -> float:
    here = here & ~np.isnan(compared.real).all(axis=1)
    real, setting = compared.real[here], compared.setting[here]
    if not repeats_enough(setting):
        return math.nan
    return replicate_floor(real, setting, compared.weight[here])


def _dispersion(compared: Compared, rng: np.random.Generator) -> Estimate:
    """Stated over real scatter around the mean of the draws."""
    setting = compared.setting
    error = compared.mean[setting] - compared.real
    missed = row_means(np.square(error))
    stated = row_means(np.where(np.isnan(error), np.nan, compared.variance[setting]))
    seen = np.where(np.isnan(missed), 0.0, compared.weight)
    sums = (seen * np.nan_to_num(stated))[:, None]
    return root(estimate_means(sums, seen * np.nan_to_num(missed), setting, rng)[0])
