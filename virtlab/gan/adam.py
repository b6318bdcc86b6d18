"""Adam for a whole ensemble: each member is clipped, and skipped when not finite, by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

Variables = Mapping[str, tf.Variable]
Tensors = Mapping[str, tf.Tensor]

FIXED = ("spread", "process", "prior", "edges", "frame")


def trained_by(weights: Variables) -> dict[str, tf.Variable]:
    """Those that training changes: not spreads, processes, edges of bins, or heads' frames."""
    return {name: weight for name, weight in weights.items() if not name.startswith(FIXED)}


def slots(weights: Variables) -> dict[str, tf.Variable]:
    """First and second moments of all weights, side by side, ``(member, weight)``; at zero."""
    if not weights:
        return {}
    zeros = tf.zeros_like(_side_by_side(list(weights.values())))
    return {moment: tf.Variable(zeros, name=moment) for moment in ("adam1", "adam2")}


def adam_step(
    weights: Variables,
    gradients: Sequence[tf.Tensor | None],
    moments: Variables,
    *,
    step: tf.Tensor,
    rate: tf.Tensor,
    beta1: float = 0.9,
    beta2: float = 0.99,
    decay: float = 0.0,
    toward: Tensors | None = None,
    clip: float = 5.0,
) -> None:
    """Update the weights in place (Kingma & Ba 2015; decoupled decay, Loshchilov & Hutter 2019).

    `step` counts from 0; `rate` is one for all or ``(member,)``. A member whose gradient is
    longer than `clip` is shortened to it; one whose gradient is not finite keeps its weights, as
    do weights without a gradient (None).
    """
    # All weights in one row: a dozen operations, where each by itself would have thirty.
    given = zip(weights.values(), gradients, strict=True)
    raw = _side_by_side([tf.zeros_like(w) if g is None else g for w, g in given])
    length = tf.norm(raw, axis=1, keepdims=True)
    usable = tf.math.is_finite(length)
    gradient = tf.where(usable, raw * tf.minimum(1.0, clip / (length + 1e-12)), 0.0)
    rate = tf.reshape(rate, (-1, 1))
    t = tf.cast(step + 1, tf.float32)
    unbias = rate * tf.sqrt(1 - beta2**t) / (1 - beta1**t)
    first, second = moments["adam1"], moments["adam2"]
    first.assign(beta1 * first + (1 - beta1) * gradient)
    second.assign(beta2 * second + (1 - beta2) * tf.square(gradient))
    change = unbias * first / (tf.sqrt(second) + 1e-8)
    sizes = [int(np.prod(weight.shape[1:])) for weight in weights.values()]
    if decay:  # of matrices that are trained
        far = [w if toward is None else w - toward[name] for name, w in weights.items()]
        named = zip(weights, gradients, strict=True)
        decays = [np.float32(name.endswith(".w") and g is not None) for name, g in named]
        change += rate * decay * np.repeat(decays, sizes) * _side_by_side(far)
    change = tf.where(usable, change, 0.0)
    for weight, own in zip(weights.values(), tf.split(change, sizes, axis=1), strict=True):
        weight.assign_sub(tf.reshape(own, weight.shape))


def _side_by_side(arrays: Sequence[tf.Tensor]) -> tf.Tensor:
    return tf.concat([tf.reshape(array, (array.shape[0], -1)) for array in arrays], axis=1)
