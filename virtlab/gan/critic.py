"""The critic: scores a trial beside its condition."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from virtlab.gan.blocks import Floats
from virtlab.gan.layers import Weights, dense, init_dense, leaky


def init_critic(
    rng: np.random.Generator, inputs: int, *, members: int, width: int
) -> dict[str, Floats]:
    """Weights to start from, for ``inputs`` = condition + joint values."""
    return init_dense(rng, "critic", [inputs, width, width, 1], members=members)


def critic_scores(weights: Weights, conditions: tf.Tensor, joint: tf.Tensor) -> tf.Tensor:
    """Score of each trial, ``(member, row)``; higher means more like a real one."""
    h = tf.concat([conditions, joint], axis=-1)
    h = leaky(dense(weights, "critic.0", h))
    h = leaky(dense(weights, "critic.1", h))
    return dense(weights, "critic.2", h)[..., 0]
