"""What a draw is made of: noise, and discrete draws that gradients can pass.

The latter are components, levels, and the atoms that these stand for.
"""

from __future__ import annotations

import tensorflow as tf

from virtlab.gan.blocks import Layout

FAR = 2.0  # standard deviations


def with_tails(normal: tf.Tensor, tails: tf.Tensor) -> tf.Tensor:
    """Gaussian noise with heavier tails: ``z exp(h z^2 / 2)`` (Tukey 1977), `tails` being h.

    From `FAR` on only in proportion to z: rare draws are no absurd ones.
    """
    return normal * tf.exp(0.5 * tails * tf.minimum(tf.square(normal), FAR**2))


def draw_levels(logits: tf.Tensor, gumbel: tf.Tensor, layout: Layout, *, slope: bool) -> tf.Tensor:
    """One-hot levels of every code, side by side, ``(member, row, level)``."""
    drawn, at = [], 0
    for levels in layout.levels:
        piece = slice(at, at + levels)
        drawn.append(winner(logits[..., piece] + gumbel[..., piece], slope=slope))
        at += levels
    return tf.concat(drawn, axis=-1) if drawn else logits


def apply_levels(values: tf.Tensor, levels: tf.Tensor, layout: Layout) -> tf.Tensor:
    """Put atoms in place of the values that the drawn levels replace."""
    if not layout.replaces.any():
        return values
    keep = 1 - tf.tensordot(levels, tf.constant(layout.replaces), 1)
    return values * keep + tf.tensordot(levels, tf.constant(layout.atom), 1)


def to_gumbel(uniform: tf.Tensor) -> tf.Tensor:
    """Standard Gumbel noise from uniform noise."""
    return -tf.math.log(-tf.math.log(tf.clip_by_value(uniform, 1e-7, 1 - 1e-7)))


def winner(scores: tf.Tensor, *, slope: bool) -> tf.Tensor:
    """One-hot of the largest along the last axis.

    On Gumbel-perturbed logits a draw; with `slope` it has the gradient of the softmax, so
    that training reaches the probabilities (straight-through, Jang et al. 2017).
    """
    # The first of equals alone: in float32 one draw in some ten million is a tie.
    best = tf.argmax(scores, axis=-1, output_type=tf.int32)
    hard = tf.one_hot(best, scores.shape[-1])
    if not slope:
        return hard
    soft = tf.nn.softmax(scores)
    return soft + tf.stop_gradient(hard - soft)
