"""Dense layers of a whole ensemble: every array carries a leading member axis.

One batched matrix product serves all members, so ten small networks cost little more than
one. Weights live in flat dictionaries, ``{"trunk.0.w": (member, in, out), …}``: easy to
average, to checkpoint and to name in a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import tensorflow as tf

from virtlab.gan.blocks import Floats

Weights = Mapping[str, tf.Tensor]


def init_dense(
    rng: np.random.Generator,
    name: str,
    sizes: Sequence[int],
    *,
    members: int,
    last: float = 1.0,
) -> dict[str, Floats]:
    """Initial weights of a stack of dense layers (He et al. 2015, for ReLU-like units).

    `last` scales the final layer; 0 makes a stack that starts as the zero function.
    """
    weights: dict[str, Floats] = {}
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        scale = last if i == len(sizes) - 2 else 1.0
        w = rng.standard_normal((members, inputs, outputs)) * np.sqrt(1.6 / max(inputs, 1))
        weights[f"{name}.{i}.w"] = (scale * w).astype(np.float32)
        weights[f"{name}.{i}.b"] = np.zeros((members, 1, outputs), np.float32)
    return weights


def dense(weights: Weights, name: str, x: tf.Tensor) -> tf.Tensor:
    """One layer: ``(member, row, in)`` to ``(member, row, out)``."""
    return tf.matmul(x, weights[f"{name}.w"]) + weights[f"{name}.b"]


def leaky(x: tf.Tensor) -> tf.Tensor:
    """Leaky ReLU with slope 0.2 (Radford et al. 2016)."""
    return tf.maximum(x, 0.2 * x)


def swish(x: tf.Tensor) -> tf.Tensor:
    """Smooth, so that the mixture's parameters vary smoothly with the condition."""
    return x * tf.sigmoid(x)
