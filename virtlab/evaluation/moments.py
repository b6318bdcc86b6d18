"""How the mean and the spread of virtual trials miss those of real ones at the same settings."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from virtlab.evaluation.compared import Compared
from virtlab.evaluation.estimates import Estimate, estimate_mean, root, row_means
from virtlab.evaluation.matching import Array
from virtlab.scores import repeats_enough


@dataclass(frozen=True)
class Moment:
    """A mean or a standard deviation of virtual trials beside the real one, in its unit.

    Parameters
    ----------
    bias
        Virtual minus real, on average.
    rmse
        Root mean square of the same.
    floor
        The root mean square of a perfect model; NaN without replicates.
    ceiling
        That of one value for all settings, which the other real trials give.
    """

    bias: Estimate
    rmse: Estimate
    floor: float
    ceiling: float


def judge_mean(compared: Compared, rng: np.random.Generator) -> Moment:
    """The mean of the draws beside each real trial; its floor is the spread of replicates."""
    real, setting, weight = compared.real, compared.setting, compared.weight
    error = compared.mean[setting] - real
    freedom, squares = replicate_squares(compared)
    enough = speak_for_all(compared) and freedom.sum() > 0
    return Moment(
        bias=estimate_mean(row_means(error), weight, setting, rng),
        rmse=root(estimate_mean(row_means(np.square(error)), weight, setting, rng)),
        floor=math.sqrt(squares.sum() / freedom.sum()) if enough else math.nan,
        ceiling=_ceiling(real, weight),
    )


def judge_spread(compared: Compared, rng: np.random.Generator) -> Moment | None:
    """The standard deviation of the draws beside that of replicates, setting by setting.

    Both are freed of the bias that a few trials give a standard deviation, as Gaussian noise has
    it. The floor is what is left to chance, being the deviation of few trials on either side:
    that of three replicates is uncertain by half of itself. A setting counts as its trials do.

    Returns
    -------
    Moment or None
        None where too few settings were repeated, or none.
    """
    freedom, squares = replicate_squares(compared)
    repeated = freedom > 0
    if not speak_for_all(compared) or not repeated.any():
        return None
    variance = np.divide(squares, freedom, out=np.full(squares.shape, np.nan), where=repeated)
    shrinks = _shrinkage(np.maximum(freedom, 1))
    ours = _shrinkage(np.array(compared.draws - 1.0))
    real = np.sqrt(variance) / shrinks
    error = np.sqrt(compared.variance) / ours - real
    chance = variance * (1 / np.square(shrinks) + 1 / np.square(ours) - 2)
    setting = np.arange(len(error))
    weight = np.bincount(compared.setting, compared.weight, len(error)).astype(np.float64)
    return Moment(
        bias=estimate_mean(row_means(error), weight, setting, rng),
        rmse=root(estimate_mean(row_means(np.square(error)), weight, setting, rng)),
        floor=math.sqrt(estimate_mean(row_means(chance), weight, setting, rng).value),
        ceiling=_ceiling(real, weight),
    )


def spread_ratio(compared: Compared) -> float:
    """Virtual over real standard deviation, pooled over settings that were repeated."""
    freedom, squares = replicate_squares(compared)
    found = squares.sum()
    if not found > 0 or not speak_for_all(compared):
        return math.nan
    return math.sqrt((freedom * compared.variance).sum() / found)


def speak_for_all(compared: Compared) -> bool:
    """Whether the trials with replicates are more than a few."""
    return repeats_enough(compared.setting[~np.isnan(compared.real).all(axis=1)])


def replicate_squares(compared: Compared) -> tuple[Array, Array]:
    """Degrees of freedom and squares within settings that were repeated, ``(setting, value)``."""
    real, setting, size = compared.real, compared.setting, len(compared.mean)
    seen = ~np.isnan(real)
    count = np.zeros((size, real.shape[1]))
    np.add.at(count, setting, seen)
    total = np.zeros_like(count)
    np.add.at(total, setting, np.where(seen, real, 0))
    center = total / np.maximum(count, 1)
    squares = np.zeros_like(count)
    np.add.at(squares, setting, np.where(seen, np.square(real - center[setting]), 0))
    return np.maximum(count - 1, 0), squares


def _shrinkage(freedom: Array) -> Array:
    """Expected over true standard deviation of Gaussian samples, by degrees of freedom."""
    from scipy.special import gammaln

    found: Array = np.sqrt(2 / freedom) * np.exp(gammaln((freedom + 1) / 2) - gammaln(freedom / 2))
    return found


def _ceiling(real: Array, weight: Array) -> float:
    """Root mean square by which values ``(row, value)`` miss the mean of the other rows."""
    share = np.where(np.isnan(real), 0.0, weight[:, None])
    values, total = np.nan_to_num(real), share.sum(axis=0)
    others = total - share
    mean = np.divide(
        (share * values).sum(axis=0) - share * values,
        others,
        out=np.full(real.shape, np.nan),
        where=others > 1e-9 * total,
    )
    squares = row_means(np.where(share > 0, np.square(values - mean), np.nan))
    known = ~np.isnan(squares)
    return math.sqrt(np.average(squares[known], weights=weight[known])) if known.any() else math.nan
