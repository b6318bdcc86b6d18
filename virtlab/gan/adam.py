"""Adam for a whole ensemble: each member is clipped, and skipped when not finite, by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf

Variables = Mapping[str, tf.Variable]
Tensors = Mapping[str, tf.Tensor]


def slots(weights: Variables) -> dict[str, tf.Variable]:
    """First and second moments of every weight, at zero."""
    return {
        f"{moment}.{name}": tf.Variable(tf.zeros_like(weight), name=f"{moment}.{name}")
        for name, weight in weights.items()
        for moment in ("adam1", "adam2")
    }


def adam_step(
    weights: Variables,
    gradients: Sequence[tf.Tensor],
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
    longer than `clip` is shortened to it; one whose gradient is not finite keeps its weights.
    """
    squares = [tf.reduce_sum(tf.square(g), axis=list(range(1, len(g.shape)))) for g in gradients]
    length = tf.sqrt(tf.add_n(squares))
    usable = tf.math.is_finite(length)
    shorten = tf.where(usable, tf.minimum(1.0, clip / (length + 1e-12)), 0.0)
    t = tf.cast(step + 1, tf.float32)
    unbias = rate * tf.sqrt(1 - beta2**t) / (1 - beta1**t)
    for (name, weight), raw in zip(weights.items(), gradients, strict=True):
        by_member = (-1,) + (1,) * (len(raw.shape) - 1)
        gate = tf.reshape(usable, by_member)
        gradient = tf.where(gate, raw * tf.reshape(shorten, by_member), 0.0)
        first, second = moments[f"adam1.{name}"], moments[f"adam2.{name}"]
        first.assign(beta1 * first + (1 - beta1) * gradient)
        second.assign(beta2 * second + (1 - beta2) * tf.square(gradient))
        change = tf.reshape(unbias, by_member) * first / (tf.sqrt(second) + 1e-8)
        if name.endswith(".w"):
            far = weight if toward is None else weight - toward[name]
            change += tf.reshape(rate, by_member) * decay * far
        weight.assign_sub(tf.where(gate, change, 0.0))
