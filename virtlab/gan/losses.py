"""Losses as plain functions; each names its paper. Scores have shape ``(member, row)``."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


def relativistic_critic(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """Paired relativistic loss of the critic (Jolicoeur-Martineau 2019; R3GAN, Huang 2024)."""
    return tf.reduce_mean(tf.nn.softplus(fake - real), axis=-1)


def relativistic_generator(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """Paired relativistic loss of the generator (Jolicoeur-Martineau 2019; R3GAN, Huang 2024)."""
    return tf.reduce_mean(tf.nn.softplus(real - fake), axis=-1)


def bce_critic(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """Binary cross-entropy of the critic (Goodfellow et al. 2014)."""
    return tf.reduce_mean(tf.nn.softplus(-real) + tf.nn.softplus(fake), axis=-1)


def bce_generator(_real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """Non-saturating loss of the generator (Goodfellow et al. 2014)."""
    return tf.reduce_mean(tf.nn.softplus(-fake), axis=-1)


def least_squares_critic(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """Squared distance from 1 for real and from 0 for fake (LSGAN, Mao et al. 2017)."""
    return 0.5 * tf.reduce_mean(tf.square(real - 1) + tf.square(fake), axis=-1)


def least_squares_generator(_real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """Squared distance from 1 (LSGAN, Mao et al. 2017)."""
    return 0.5 * tf.reduce_mean(tf.square(fake - 1), axis=-1)


def wasserstein_critic(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """Difference of mean scores; needs a critic of bounded slope (Arjovsky et al. 2017)."""
    return tf.reduce_mean(fake - real, axis=-1)


def hinge_critic(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """Scores within a margin of 1 (Lim & Ye 2017; Miyato et al. 2018)."""
    return tf.reduce_mean(tf.nn.relu(1 - real) + tf.nn.relu(1 + fake), axis=-1)


def linear_generator(_real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """Mean score, raised: for Wasserstein and hinge (Arjovsky et al. 2017; Lim & Ye 2017)."""
    return -tf.reduce_mean(fake, axis=-1)


Scores = Callable[[tf.Tensor], tf.Tensor]
"""A critic at fixed conditions: joint values ``(member, row, value)`` to ``(member, row)``.

Rows may come several times, all of one time after all of another.
"""


def gradient_penalty(scores: Scores, at: tf.Tensor) -> tf.Tensor:
    """Zero-centred penalty, half the mean squared slope of the critic (Mescheder et al. 2018).

    R1 when `at` is real, R2 when it is fake; shape ``(member,)``.
    """
    return 0.5 * tf.reduce_mean(_squared_slope(scores, at), axis=-1)


def zero_centred_penalty(
    scores: Scores, real: tf.Tensor, fake: tf.Tensor, _mix: tf.Tensor
) -> tf.Tensor:
    """R1 and R2 together (Mescheder et al. 2018; R3GAN, Huang 2024); shape ``(member,)``."""
    return 2 * gradient_penalty(scores, tf.concat([real, fake], axis=1))


def unit_slope_penalty(
    scores: Scores, real: tf.Tensor, fake: tf.Tensor, mix: tf.Tensor
) -> tf.Tensor:
    """Squared distance of the critic's slope from 1, between real and fake (Gulrajani 2017).

    `mix` says how far between, uniform on [0, 1], ``(member, row, 1)``; result ``(member,)``.
    """
    length = tf.sqrt(_squared_slope(scores, mix * real + (1 - mix) * fake) + 1e-12)
    return tf.reduce_mean(tf.square(length - 1), axis=-1)


def _squared_slope(scores: Scores, at: tf.Tensor) -> tf.Tensor:
    """Squared length of the critic's gradient at each row, ``(member, row)``."""
    with tf.GradientTape() as tape:
        tape.watch(at)
        total = tf.reduce_sum(scores(at))
    return tf.reduce_sum(tf.square(tape.gradient(total, at)), axis=-1)


def energy_score(draws: tf.Tensor, real: tf.Tensor, seen: tf.Tensor) -> tf.Tensor:
    """Energy score of several draws against what was measured (Gneiting & Raftery 2007).

    The fair version: its expectation does not depend on the number of draws.

    Parameters
    ----------
    draws
        Shape ``(draw, member, row, value)``.
    real, seen
        Shape ``(member, row, value)``; `seen` is 1 where measured, else 0.

    Returns
    -------
    tf.Tensor
        Shape ``(member, row)``; lower is better.
    """
    n = draws.shape[0]
    error = tf.reduce_mean(_norm(seen * (draws - real)), axis=0)
    spread = tf.zeros_like(error)
    for shift in range(1, n // 2 + 1):  # every pair of draws once, by rotation
        pairs = _norm(seen * (draws - tf.roll(draws, shift, axis=0)))
        share = 0.5 if 2 * shift == n else 1.0
        spread += share * tf.reduce_sum(pairs, axis=0)
    return error - spread / (n * (n - 1))


def spread_of(draws: tf.Tensor, seen: tf.Tensor) -> tf.Tensor:
    """Mean distance between two draws of a row, ``(member, row)``; neighbours stand for all."""
    return tf.reduce_mean(_norm(seen * (draws - tf.roll(draws, 1, axis=0))), axis=0)


def _norm(x: tf.Tensor) -> tf.Tensor:
    """Euclidean norm along the last axis, with a finite slope at zero."""
    return tf.sqrt(tf.reduce_sum(tf.square(x), axis=-1) + 1e-10)
