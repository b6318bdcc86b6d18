"""Peers without training: the marginal, and resampling the nearest training trials."""

from __future__ import annotations

import numpy as np
from choice import FOLDS
from problem import Data, Draw, Fitted, energy_score
from sklearn.neighbors import NearestNeighbors

SIZES = (3, 5, 7, 10, 15, 20, 30, 50, 100)


def fit_marginal(data: Data, seed: int) -> Fitted:
    """Training trials, whatever the condition."""

    def draw(c: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return data.y[rng.integers(0, len(data.y), len(c))]

    return Fitted(draw, 0, False, {})


def fit_nearest(data: Data, seed: int) -> Fitted:
    """One of the k nearest training trials; k by the energy score over folds."""
    sizes = [k for k in SIZES if k < len(data.y) // 3]

    def score(k: int) -> float:
        folds = data.folds(FOLDS, seed)
        return float(np.mean([energy_score(nearest(a, k), held, seed) for a, held in folds]))

    best = min(sizes, key=score)
    return Fitted(nearest(data, best), 0, False, {"k": best})


def nearest(data: Data, k: int) -> Draw:
    centre, width = data.c.mean(0), data.c.std(0) + 1e-12
    tree = NearestNeighbors(n_neighbors=k).fit((data.c - centre) / width)

    def draw(c: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        settings, where = np.unique(c, axis=0, return_inverse=True)
        near = tree.kneighbors((settings - centre) / width, return_distance=False)
        return data.y[near[where.ravel(), rng.integers(0, k, len(c))]]

    return draw
