"""One measurement's real trials and what their virtual ones came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.evaluation.matching import Array
from virtlab.trials import Measurement

FARTHEST = 10.0  # standard deviations


@dataclass(frozen=True)
class Examples:
    """Real and virtual trials at one setting, ``(trial, value)``."""

    setting: dict[str, Any]
    real: Array
    virtual: Array


@dataclass(frozen=True)
class Compared:
    """One measurement's real trials and what their virtual ones came to.

    Parameters
    ----------
    real, one
        In numbers, and one virtual trial for each, ``(trial, value)``.
    setting, weight
        Which setting each trial belongs to, and how much it counts.
    score, marginal
        Energy score of the model and of resampling the trials, ``(trial,)``.
    ranks, shares
        Of each real value among the views of its draws, ``(view, trial, value)``, and what each
        view counts, ``(view,)``: see `virtlab.jury.Jury`.
    draws
        How many of them at each setting.
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
    ranks: Array
    shares: Array
    one: Array
    draws: int
    mean: Array
    variance: Array
    quantiles: Array
    examples: tuple[Examples, ...]


def deviations(compared: Compared) -> Array:
    """How far values lie from the mean of their setting's draws, in these draws' deviations.

    Of each setting's draws the one that stands for a virtual trial is left out, for the real
    value as for itself: trials of one law stand alike, however few the draws.

    Returns
    -------
    Array
        Of the real trials, then of the virtual ones, ``(2 * trial, value)``; at most `FARTHEST`,
        0 where the draws are all the same, NaN where the real value is missing.
    """
    n, at = compared.draws, compared.setting
    away = (compared.one - compared.mean[at]) / (n - 1)
    mean = compared.mean[at] - away
    variance = (compared.variance[at] * (n - 1) - away**2 * n * (n - 1)) / max(n - 2, 1)
    spread = np.sqrt(np.maximum(variance, 0))
    found = []
    for values in (compared.real, np.where(np.isnan(compared.real), np.nan, compared.one)):
        stands = np.divide(values - mean, spread, out=np.zeros_like(mean), where=spread > 0)
        found.append(np.clip(stands, -FARTHEST, FARTHEST))
    return np.concatenate(found)


def setting_means(values: Array, compared: Compared) -> Array:
    """Weighted mean over each setting's trials, ``(setting,)``, NaN left out."""
    size = len(compared.mean)
    weight = np.where(np.isnan(values), 0.0, compared.weight)
    total = np.bincount(compared.setting, weight * np.nan_to_num(values), size)
    count = np.bincount(compared.setting, weight, size)
    mean: Array = np.divide(total, count, out=np.full(size, np.nan), where=count > 0)
    return mean
