"""Conditions seen in bins, beside as they are: what lets a network bend where the data bend.

A network learns smooth functions first and edges late (Rahaman et al. 2019), and what labs measure
has edges: ages at which concrete was tested, a temperature at which a phase turns. So the core
also sees how far a condition has come within each of its bins (piecewise-linear encoding:
Gorishniy, Rubachev & Babenko 2022), whose edges are quantiles of the training settings.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from virtlab.gan.blocks import Blocks, Floats
from virtlab.gan.layers import Weights, dense

BINS = 16, 64  # of a condition: as many as the root of the number of settings, between these
FEWEST_VALUES = 3  # of a condition; one that takes two says all by itself
LEAST_WIDTH = 1e-3  # of a condition's spread: single precision must tell places in a bin apart


def bin_edges(blocks: Blocks) -> NDArray[np.float64]:
    """Feature, lower and upper edge of bins with about as many settings each, ``(bin, 3)``."""
    found = []
    _, first = np.unique(blocks.setting, return_index=True)
    most = int(np.clip(np.sqrt(len(first)), *BINS))
    for feature, values in enumerate(blocks.conditions[first].T.astype(np.float64)):
        distinct = _apart(values)
        if len(distinct) < FEWEST_VALUES:
            continue
        # Where few values are many settings', quantiles fall together: then values are shared out.
        for shared in (values, distinct):
            shares = np.linspace(0, 1, most + 1)
            edges = _apart(np.quantile(shared, shares, method="nearest"))
            if len(edges) >= FEWEST_VALUES:
                break
        found += [(feature, low, high) for low, high in pairwise(edges)]
    return np.array(found).reshape(-1, 3)


def _apart(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distinct values in order, without those that are too near to the one before."""
    distinct = np.unique(values)
    return distinct[np.diff(distinct, prepend=-np.inf) > LEAST_WIDTH]


def bin_weights(edges: NDArray[np.float64], features: int, members: int) -> dict[str, Floats]:
    """The layer that `encoded` works by, ``edges.0``; it is never trained."""
    which, low, high = edges[:, 0].astype(np.int64), edges[:, 1], edges[:, 2]
    w, b = np.zeros((features, len(edges))), -low / (high - low) - 0.5
    w[which, np.arange(len(edges))] = 1 / (high - low)
    layer = {"edges.0.w": w, "edges.0.b": b[None]}
    return {n: np.tile(array, (members, 1, 1)).astype(np.float32) for n, array in layer.items()}


def encoded(weights: Weights, conditions: tf.Tensor) -> tf.Tensor:
    """How far conditions ``(member, row, feature)`` have come within each bin: from -1/2 to 1/2."""
    return tf.clip_by_value(dense(weights, "edges.0", conditions), -0.5, 0.5)
