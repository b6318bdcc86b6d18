"""Small autoencoders, as baselines to judge a model by: textbook sizes, nothing tuned to the lab.

The variational one is conditional (Kingma & Welling 2014; Sohn et al. 2015); the plain one knows
no conditions: who uses it resamples its latents. Both stop early on trials held out for that.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from virtlab.gan.adam import adam_step, slots
from virtlab.gan.blocks import Floats
from virtlab.gan.layers import Weights, dense, init_dense, leaky

WIDTH = 64
STEPS, EVERY, PATIENCE = 1500, 50, 6  # looks without a gain, after which it ends
BATCH = 128
RATE, DECAY = 2e-3, 1e-3
HELD = 0.15  # of the trials, to stop by
LEAST_LOG, MOST_LOG = -4.0, 2.0  # of a decoder's spread, and of a latent's


class Autoencoder:
    """An autoencoder that can be trained again and again, compiled once.

    Parameters
    ----------
    features, values
        Of a condition, and of a trial.
    latents
        How many.
    variational
        Whether it is conditional and variational, or plain.
    """

    def __init__(self, features: int, values: int, *, latents: int, variational: bool) -> None:
        self.latents, self.variational = latents, variational
        told = features * variational
        self._sizes = {
            "encoder": (values + told, WIDTH, WIDTH, latents * (1 + variational)),
            "decoder": (latents + told, WIDTH, WIDTH, values * (1 + variational)),
        }
        start = self._start(np.random.default_rng(0))
        self._weights = {name: tf.Variable(array) for name, array in start.items()}
        self._moments = slots(self._weights)
        self._step = tf.function(self._advance, autograph=False, jit_compile=True)
        self._look = tf.function(self._loss, autograph=False, reduce_retracing=True)

    def fit(self, conditions: Floats, values: Floats, seed: int) -> None:
        """Learn from standardised conditions ``(row, feature)`` and values ``(row, value)``."""
        rng = np.random.default_rng(seed)
        self._assign(self._start(rng))
        for moment in self._moments.values():
            moment.assign(tf.zeros_like(moment))
        held, kept = np.split(rng.permutation(len(values)), [max(1, round(HELD * len(values)))])
        test = conditions[None, held], values[None, held], self._noise(rng, len(held))
        best, since, weights = np.inf, 0, self._start(rng)
        for at in range(STEPS):
            rows = rng.choice(kept, BATCH)
            told = conditions[None, rows], values[None, rows], self._noise(rng, BATCH)
            self._step(*map(tf.constant, told), tf.constant(at))
            if (at + 1) % EVERY:
                continue
            loss, since = float(self._look(*map(tf.constant, test))), since + 1
            if loss < best:
                best, since = loss, 0
                weights = {name: array.numpy() for name, array in self._weights.items()}
            if since == PATIENCE:
                break
        self._assign(weights)

    def encode(self, values: Floats) -> Floats:
        """Latents of a plain one, ``(row, latent)``."""
        found: Floats = _stack(self._weights, "encoder", tf.constant(values[None]))[0].numpy()
        return found

    def decode(self, conditions: Floats, latents: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the values, ``(row, value)``; the plain one has none."""
        mean, log_sd = self._decoded(tf.constant(conditions[None]), tf.constant(latents[None]))
        return mean[0].numpy(), tf.exp(log_sd)[0].numpy()

    def _start(self, rng: np.random.Generator) -> dict[str, Floats]:
        found: dict[str, Floats] = {}
        for name, sizes in self._sizes.items():
            found |= init_dense(rng, name, sizes, members=1)
        return found

    def _assign(self, weights: dict[str, Floats]) -> None:
        for name, array in weights.items():
            self._weights[name].assign(array)

    def _noise(self, rng: np.random.Generator, rows: int) -> Floats:
        return rng.standard_normal((1, rows, self.latents)).astype(np.float32)

    def _advance(
        self, conditions: tf.Tensor, values: tf.Tensor, noise: tf.Tensor, at: tf.Tensor
    ) -> None:
        """One step of Adam."""
        with tf.GradientTape() as tape:
            loss = self._loss(conditions, values, noise)
        gradients = tape.gradient(loss, list(self._weights.values()))
        rate = tf.constant(RATE)
        adam_step(self._weights, gradients, self._moments, step=at, rate=rate, decay=DECAY)

    def _loss(self, conditions: tf.Tensor, values: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Negative evidence lower bound, or the mean square error of a plain one."""
        if not self.variational:
            mean, _ = self._decoded(conditions, _stack(self._weights, "encoder", values))
            return tf.reduce_mean(tf.square(mean - values))
        told = _stack(self._weights, "encoder", tf.concat([values, conditions], -1))
        center, log_scale = tf.split(told, 2, axis=-1)
        log_scale = tf.clip_by_value(log_scale, LEAST_LOG, MOST_LOG)
        mean, log_sd = self._decoded(conditions, center + tf.exp(log_scale) * noise)
        fit = tf.reduce_sum(0.5 * tf.square((values - mean) * tf.exp(-log_sd)) + log_sd, -1)
        gap = tf.square(center) + tf.exp(2 * log_scale) - 1 - 2 * log_scale
        return tf.reduce_mean(fit + 0.5 * tf.reduce_sum(gap, -1))

    def _decoded(self, conditions: tf.Tensor, latents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and logarithm of the standard deviation."""
        if not self.variational:
            mean = _stack(self._weights, "decoder", latents)
            return mean, tf.fill(tf.shape(mean), -np.inf)
        told = _stack(self._weights, "decoder", tf.concat([latents, conditions], -1))
        mean, log_sd = tf.split(told, 2, axis=-1)
        return mean, tf.clip_by_value(log_sd, LEAST_LOG, MOST_LOG)


def _stack(weights: Weights, name: str, x: tf.Tensor) -> tf.Tensor:
    x = leaky(dense(weights, f"{name}.0", x))
    x = leaky(dense(weights, f"{name}.1", x))
    return dense(weights, f"{name}.2", x)
