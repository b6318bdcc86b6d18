"""Can a classifier tell virtual from real trials? (Lopez-Paz & Oquab 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from virtlab.evaluation.compared import Compared, deviations
from virtlab.evaluation.estimates import INTERVAL, Estimate
from virtlab.evaluation.features import features_of, is_narrow
from virtlab.trials import Measurement

Array = NDArray[np.float64]

FOLDS = 5
FEWEST_TRIALS = 50
FEWEST_SETTINGS = 10
MOST_TRIALS = 10_000
ROUNDS = 200
FEWEST_PAIRS = 40  # that a share of pairs found out rests on


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
    won
        Of each setting, the share of pairs of a real and a virtual trial in which the virtual
        one was found out, over the setting and its nearest neighbours, ``(setting,)``; NaN
        where it cannot be told. Where this is highest the model is worst.
    """

    auc: Estimate | None
    trials: int
    note: str
    won: Array


def tell_apart(
    conditions: NDArray[np.float32],
    setting: NDArray[np.int64],
    measurements: Sequence[Measurement],
    real: Mapping[str, Array],
    virtual: Mapping[str, Array],
    *,
    seed: int,
    further: Sequence[Array] = (),
) -> TwoSample:
    """Train a classifier on (condition, measurements) of some settings, test it on the others.

    Parameters
    ----------
    conditions
        Of each setting, ``(setting, feature)``.
    setting
        Which setting each trial belongs to.
    real, virtual
        Each measurement in numbers, ``(trial, value)``: a virtual trial for each real one, at
        the same setting.
    further
        More features, of the real and then of the virtual trials, ``(2 * trial, feature)``.
    """
    settings = len(np.unique(setting))
    if len(setting) < FEWEST_TRIALS or settings < FEWEST_SETTINGS:
        return TwoSample(
            None,
            len(setting),
            f"cannot be told from {len(setting)} trials at {settings} settings: the test needs "
            f"{FEWEST_TRIALS} at {FEWEST_SETTINGS}",
            np.full(len(conditions), np.nan),
        )
    rng = np.random.default_rng(seed)
    keep = np.arange(len(setting))
    if len(keep) > MOST_TRIALS:
        keep = np.sort(rng.choice(keep, MOST_TRIALS, replace=False))
    features = np.concatenate(
        [np.tile(conditions[setting[keep]], (2, 1))]
        + [features_of(m, real[m.name][keep], virtual[m.name][keep]) for m in measurements]
        + [more[np.concatenate([keep, len(setting) + keep])] for more in further],
        axis=1,
    )
    score = _held_out(features, np.tile(setting[keep], 2), seed)
    auc = _auc(score[len(keep) :], score[: len(keep)], setting[keep], rng)
    return TwoSample(
        auc,
        len(keep),
        "0.5: a classifier cannot tell virtual from real trials; 1: it always can",
        _won(score[len(keep) :], score[: len(keep)], setting[keep], conditions),
    )


def judge_apart(
    conditions: NDArray[np.float32], compared: Mapping[str, Compared], *, seed: int
) -> TwoSample:
    """As `tell_apart`, of what was collected; scalars are also seen as they stand in their draws.

    A classifier of few trials hardly learns what a scalar's mean is where, and without that a
    shift goes unnoticed; the draws know it.
    """
    each = list(compared.values())
    return tell_apart(
        conditions,
        each[0].setting,
        [found.measurement for found in each],
        {name: found.real for name, found in compared.items()},
        {name: found.one for name, found in compared.items()},
        seed=seed,
        further=[
            deviations(found)
            for found in each
            if is_narrow(found.measurement) and found.measurement.kind != "categorical"
        ],
    )


def _won(
    virtual: Array, real: Array, setting: NDArray[np.int64], conditions: NDArray[np.float32]
) -> Array:
    """Where virtual trials are found out most: see `TwoSample.won`."""
    from sklearn.neighbors import NearestNeighbors

    size = len(conditions)
    pairs = np.bincount(setting, minlength=size).astype(float)
    wins = np.bincount(setting, (virtual > real) + 0.5 * (virtual == real), size)
    some = np.flatnonzero(pairs)
    each = pairs[some].mean()
    near = min(len(some), max(1, round(FEWEST_PAIRS / each)))
    found = NearestNeighbors(n_neighbors=near).fit(conditions[some])
    nearest = some[found.kneighbors(conditions, return_distance=False)]
    share: Array = wins[nearest].sum(axis=1) / pairs[nearest].sum(axis=1)
    return share


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
    """Area under the curve, bootstrapped over settings."""
    _, group = np.unique(setting, return_inverse=True)
    levels, place = np.unique(np.concatenate([real, virtual]), return_inverse=True)
    low, high = place.ravel()[: len(real)], place.ravel()[len(real) :]
    size, count = len(levels), int(group.max()) + 1

    def area(weight: Array) -> float:
        below = np.bincount(low, weight, size)
        ahead = np.cumsum(below) - below / 2  # ties count half
        return float((np.bincount(high, weight, size) @ ahead) / weight.sum() ** 2)

    share = np.full(count, 1 / count)
    drawn = [area(rng.multinomial(count, share)[group].astype(float)) for _ in range(ROUNDS)]
    ends = np.quantile(drawn, INTERVAL)
    return Estimate(area(np.ones(len(real))), float(ends[0]), float(ends[1]))
