"""Are virtual trials like real ones, and as varied? Distances between clouds of features.

All are computed between random halves of the trials, on (condition, features): of real against
real, which is the floor that so many trials allow; of real against virtual; and of real against
real ones of any setting, which is the ceiling. Sizes being equal, so are their biases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from virtlab.evaluation.estimates import INTERVAL, Estimate
from virtlab.evaluation.features import features_of
from virtlab.trials import Measurement

Array = NDArray[np.float64]

ROUNDS = 12
NEIGHBOURS = 5
FEWEST_TRIALS = 40
MOST_TRIALS = 2_000
WIDEST = 48  # features
FARTHEST = 6.0  # standard deviations: beyond, one absurd trial would decide alone
METRICS = ("Fréchet distance", "precision", "recall", "density", "coverage")


@dataclass(frozen=True)
class Fidelity:
    """One metric of clouds of features.

    Parameters
    ----------
    model, floor, ceiling
        Of virtual trials, of real ones against each other, of real ones of any setting.
    """

    model: Estimate
    floor: Estimate
    ceiling: Estimate


def compare_clouds(
    conditions: NDArray[np.float32],
    measurements: Sequence[Measurement],
    real: Mapping[str, Array],
    virtual: Mapping[str, Array],
    *,
    seed: int,
) -> dict[str, Fidelity]:
    """Fréchet distance, precision, recall, density and coverage; empty for too few trials.

    The Fréchet distance is of Gaussians (the idea of Heusel et al. 2017) on features for lab
    data; precision and recall are those of Kynkäänniemi et al. 2019, density and coverage of
    Naeem et al. 2020, with 5 neighbours. Precision and density fall where virtual trials are
    unlike real ones, recall and coverage where they lack variety.

    Parameters
    ----------
    conditions
        Of each trial, ``(trial, feature)``.
    real, virtual
        Each measurement in numbers, ``(trial, value)``: a virtual trial for each real one.
    """
    if len(conditions) < FEWEST_TRIALS:
        return {}
    rng = np.random.default_rng(seed)
    keep = np.arange(len(conditions))
    if len(keep) > MOST_TRIALS:
        keep = np.sort(rng.choice(keep, MOST_TRIALS, replace=False))
    features = _features(measurements, real, virtual, keep)
    places = _standard(conditions[keep].astype(np.float64), conditions[keep])
    # What the parameters say counts as much as what was measured.
    places *= np.sqrt(features[0].shape[1] / max(places.shape[1], 1))
    true, made = (np.concatenate([places, part], axis=1) for part in features)
    rows: dict[str, list[Array]] = {"model": [], "floor": [], "ceiling": []}
    half = len(keep) // 2
    for _ in range(ROUNDS):
        order = rng.permutation(len(keep))
        here, there = order[:half], order[half : 2 * half]
        mixed = np.concatenate([places[there], features[0][rng.permutation(len(keep))[:half]]], 1)
        for name, cloud in (("model", made[there]), ("floor", true[there]), ("ceiling", mixed)):
            rows[name].append(np.array([_frechet(true[here], cloud), *_prdc(true[here], cloud)]))
    told = {name: _estimates(np.stack(found)) for name, found in rows.items()}
    return {
        metric: Fidelity(told["model"][i], told["floor"][i], told["ceiling"][i])
        for i, metric in enumerate(METRICS)
    }


def _features(
    measurements: Sequence[Measurement],
    real: Mapping[str, Array],
    virtual: Mapping[str, Array],
    keep: NDArray[np.int64],
) -> tuple[Array, Array]:
    """Features of real and of virtual trials, in units of the real ones' spread."""
    both = np.concatenate(
        [features_of(m, real[m.name][keep], virtual[m.name][keep]) for m in measurements], axis=1
    )
    true, made = both[: len(keep)], both[len(keep) :]
    gaps = np.isnan(both)
    means = np.divide(
        np.where(gaps[: len(keep)], 0, true).sum(axis=0),
        np.maximum((~gaps[: len(keep)]).sum(axis=0), 1),
    )
    true, made = (np.where(np.isnan(part), means, part) for part in (true, made))
    varying = true.std(axis=0) > 0
    if not varying.any():
        varying[0] = True
    like = true[:, varying]
    true, made = (
        np.clip(_standard(part[:, varying], like), -FARTHEST, FARTHEST) for part in (true, made)
    )
    if true.shape[1] > WIDEST:
        turn = np.linalg.svd(true, full_matrices=False)[2][:WIDEST].T
        true, made = true @ turn, made @ turn
    return true, made


def _standard(values: Array, like: NDArray[np.floating]) -> Array:
    spread = like.std(axis=0)
    standard: Array = (values - like.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return standard


def _frechet(first: Array, second: Array) -> float:
    """Of Gaussians with their means and covariances."""
    a, b = (
        np.cov(first.T).reshape(2 * [first.shape[1]]),
        np.cov(second.T).reshape(2 * [first.shape[1]]),
    )
    values, vectors = np.linalg.eigh(a)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ b @ root), 0)).sum()
    gap = np.square(first.mean(axis=0) - second.mean(axis=0)).sum()
    return float(gap + np.trace(a) + np.trace(b) - 2 * cross)


def _prdc(real: Array, other: Array) -> tuple[float, float, float, float]:
    """Precision, recall, density, coverage."""
    own, theirs, between = _distances(real, real), _distances(other, other), _distances(real, other)
    reach = np.partition(own, NEIGHBOURS, axis=1)[:, NEIGHBOURS]  # the nearest is itself
    their_reach = np.partition(theirs, NEIGHBOURS, axis=1)[:, NEIGHBOURS]
    within = between < reach[:, None]
    return (
        float(within.any(axis=0).mean()),
        float((between < their_reach[None]).any(axis=1).mean()),
        float(within.sum(axis=0).mean() / NEIGHBOURS),
        float((between.min(axis=1) < reach).mean()),
    )


def _distances(first: Array, second: Array) -> Array:
    """Squared, rounded up to 0."""
    square = (first**2).sum(1)[:, None] + (second**2).sum(1) - 2 * first @ second.T
    found: Array = np.maximum(square, 0)
    return found


def _estimates(rows: Array) -> list[Estimate]:
    low, high = np.quantile(rows, INTERVAL, axis=0)
    return [
        Estimate(float(m), float(lo), float(h))
        for m, lo, h in zip(rows.mean(axis=0), low, high, strict=True)
    ]
