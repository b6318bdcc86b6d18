"""Can a classifier tell virtual from real trials? (Lopez-Paz & Oquab 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from virtlab.evaluation.estimates import INTERVAL, Estimate
from virtlab.trials import Measurement

Array = NDArray[np.float64]

FOLDS = 5
FEWEST_TRIALS = 50
FEWEST_SETTINGS = 10
MOST_TRIALS = 10_000
ROUNDS = 200
FEW_VALUES = 8  # up to as many are features themselves
COMPONENTS = 5


@dataclass(frozen=True)
class TwoSample:
    """What the classifier found.

    Parameters
    ----------
    auc
        Probability that it finds a virtual trial more virtual than a real one. 0.5: it cannot
        tell them apart; 1: it always can. None where it cannot be told.
    trials
        Real trials, as many as virtual ones.
    note
        What the number means, or why there is none.
    """

    auc: Estimate | None
    trials: int
    note: str


def tell_apart(
    conditions: NDArray[np.float32],
    setting: NDArray[np.int64],
    measurements: Sequence[Measurement],
    real: Mapping[str, Array],
    virtual: Mapping[str, Array],
    *,
    seed: int,
) -> TwoSample:
    """Train a classifier on (condition, measurements) of some settings, test it on the others.

    Parameters
    ----------
    conditions
        Of each trial, ``(trial, feature)``.
    setting
        Which setting each trial belongs to.
    real, virtual
        Each measurement in numbers, ``(trial, value)``: a virtual trial for each real one, at
        the same setting.
    """
    settings = len(np.unique(setting))
    if len(setting) < FEWEST_TRIALS or settings < FEWEST_SETTINGS:
        return TwoSample(
            None,
            len(setting),
            f"cannot be told from {len(setting)} trials at {settings} settings: the test needs "
            f"{FEWEST_TRIALS} at {FEWEST_SETTINGS}",
        )
    rng = np.random.default_rng(seed)
    keep = np.arange(len(setting))
    if len(keep) > MOST_TRIALS:
        keep = np.sort(rng.choice(keep, MOST_TRIALS, replace=False))
    features = np.concatenate(
        [np.tile(conditions[keep], (2, 1))]
        + [_features(m, real[m.name][keep], virtual[m.name][keep]) for m in measurements],
        axis=1,
    )
    score = _held_out(features, np.tile(setting[keep], 2), seed)
    auc = _auc(score[len(keep) :], score[: len(keep)], setting[keep], rng)
    return TwoSample(
        auc,
        len(keep),
        "0.5: a classifier cannot tell virtual from real trials; 1: it always can",
    )


def _held_out(features: Array, setting: NDArray[np.int64], seed: int) -> Array:
    """Score each row by a classifier that saw no trial of its setting; second half virtual."""
    from scipy.stats import rankdata
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import GroupKFold
    from threadpoolctl import threadpool_limits

    label = np.repeat([0, 1], len(features) // 2)
    score = np.empty(len(features))
    for train, test in GroupKFold(FOLDS).split(features, label, setting):
        classifier = HistGradientBoostingClassifier(
            max_iter=60, max_leaf_nodes=15, early_stopping=False, random_state=seed
        )
        known = ~np.isnan(features[train]).all(axis=0)  # a column without any value is refused
        # On tables this small threads wait for each other longer than they work.
        with threadpool_limits(1):
            classifier.fit(features[train][:, known], label[train])
            score[test] = classifier.decision_function(features[test][:, known])
        # Folds have classifiers of their own: their scores are comparable as ranks only.
        score[test] = rankdata(score[test]) / len(test)
    return score


def _auc(
    virtual: Array, real: Array, setting: NDArray[np.int64], rng: np.random.Generator
) -> Estimate:
    from sklearn.metrics import roc_auc_score

    label = np.repeat([1, 0], len(real))
    score = np.concatenate([virtual, real])
    _, group = np.unique(setting, return_inverse=True)
    count = int(group.max()) + 1
    drawn = []
    for _ in range(ROUNDS):
        weight = rng.multinomial(count, np.full(count, 1 / count))[group].astype(np.float64)
        drawn.append(roc_auc_score(label, score, sample_weight=np.tile(weight, 2)))
    low, high = np.quantile(drawn, INTERVAL)
    return Estimate(float(roc_auc_score(label, score)), float(low), float(high))


def _features(measurement: Measurement, real: Array, virtual: Array) -> Array:
    """Features of real, then virtual trials; what is missing in one is hidden in the other."""
    masked = np.where(np.isnan(real), np.nan, virtual)
    # Virtual trials are stored in single precision: that alone must not give them away.
    both = np.concatenate([real, masked]).astype(np.float32).astype(np.float64)
    if measurement.kind == "categorical" or measurement.size <= FEW_VALUES:
        return both
    return np.concatenate([_shape_features(measurement, both), _components(both)], axis=1)


def _shape_features(measurement: Measurement, both: Array) -> Array:
    """Mean, spread, extremes, and along each dim roughness, centroid and width."""
    gone = _all_missing(both)
    filled = np.where(np.isnan(both) & ~gone[:, None], _row_means(both)[:, None], both)
    found = [filled.mean(axis=1), filled.std(axis=1), filled.min(axis=1), filled.max(axis=1)]
    grid = filled.reshape(-1, *measurement.shape)
    weight = grid - found[2].reshape(-1, *[1] * len(measurement.shape))
    for axis, length in enumerate(measurement.shape, start=1):
        others = tuple(i for i in range(1, grid.ndim) if i != axis)
        if length > 1:
            found.append(np.abs(np.diff(grid, axis=axis)).mean(axis=tuple(range(1, grid.ndim))))
        profile = weight.sum(axis=others)
        total = profile.sum(axis=1)
        share = profile / np.where(total > 0, total, 1)[:, None]
        place = np.arange(length)
        center = share @ place
        found += [center, np.sqrt(np.maximum(share @ place**2 - center**2, 0))]
    return np.stack(found, axis=1)


def _all_missing(both: Array) -> NDArray[np.bool_]:
    gone: NDArray[np.bool_] = np.isnan(both).sum(axis=1) == both.shape[1]
    return gone


def _row_means(both: Array) -> Array:
    seen = ~np.isnan(both)
    mean: Array = np.where(seen, both, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    return mean


def _components(both: Array) -> Array:
    """Leading principal components of real and virtual trials together."""
    filled = np.where(np.isnan(both), 0, both)
    centered = filled - filled.mean(axis=0)
    _, axes = np.linalg.eigh(centered.T @ centered) if both.shape[1] <= 512 else _leading(centered)
    found: Array = centered @ axes[:, -COMPONENTS:]
    found[_all_missing(both)] = np.nan
    return found


def _leading(centered: Array) -> tuple[Array, Array]:
    """As ``eigh`` of the covariance, without making it: images have many entries."""
    from sklearn.utils.extmath import randomized_svd

    _, singular, rows = randomized_svd(centered, COMPONENTS, random_state=0)
    return singular[::-1] ** 2, rows[::-1].T
