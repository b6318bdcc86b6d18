"""Random forest whose leaves are resampled (quantile regression forest, Meinshausen, 2006)."""

from __future__ import annotations

import numpy as np
from choice import FEW, FOLDS
from problem import Data, Draw, Fitted, energy_score
from sklearn.ensemble import RandomForestRegressor

LEAVES = (2, 5, 10, 20, 40)
"""Least training trials in a leaf that are tried on held-out trials."""


def fit(data: Data, seed: int) -> Fitted:
    """300 trees; the leaf's size by the held-out energy score of 100."""
    sizes = [size for size in LEAVES if size <= len(data.y) // 4]
    splits = data.folds(FOLDS, seed) if len(data.y) < FEW else [data.split(seed)]

    def score(size: int) -> float:
        grown = [(grow(held_in, size, 100, seed), held) for held_in, held in splits]
        return float(np.mean([energy_score(draw, held, seed) for draw, held in grown]))

    best = min(sizes, key=score)
    return Fitted(grow(data, best, 300, seed), 0, False, {"leaf": best})


def grow(data: Data, leaf: int, trees: int, seed: int) -> Draw:
    forest = RandomForestRegressor(trees, min_samples_leaf=leaf, random_state=seed)
    _, scale = data.scales()
    forest.fit(data.c, (data.y / scale).squeeze())
    inside = forest.apply(data.c)  # (trial, tree)
    order = np.argsort(inside, axis=0)
    sorted_leaves = np.take_along_axis(inside, order, axis=0)

    def draw(c: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        settings, where = np.unique(c, axis=0, return_inverse=True)
        leaves, where = forest.apply(settings), where.ravel()
        tree = rng.integers(0, trees, len(c))
        chosen = np.empty(len(c), int)
        for t in range(trees):
            rows = np.flatnonzero(tree == t)
            leaf_of = leaves[where[rows], t]
            first = np.searchsorted(sorted_leaves[:, t], leaf_of, side="left")
            last = np.searchsorted(sorted_leaves[:, t], leaf_of, side="right")
            chosen[rows] = order[rng.integers(first, last), t]
        return data.y[chosen]

    return draw
