"""Heads for signals and images: values from a few latents and back.

A wide measurement is learned as a variational autoencoder (Kingma & Welling 2014) whose prior is
the mixture core: ``p(values | condition)`` becomes ``p(values | latents, condition)``, a decoder,
times the core's ``p(latents | condition)``. The frame of both is the principal components of each
member's own training trials (probabilistic PCA, Tipping & Bishop 1999), which stays; what bends it,
and noise that follows the signal, are learned, in units in which a step is small: of what the
components leave of a value, and of the doubt about a latent. Values that pile up on a floor (dark
pixels) are on it with a probability of their own, and lognormal mixtures above it: zeros come back
exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import tensorflow as tf

from virtlab.gan.blocks import Floats, Part
from virtlab.gan.colour import coloured, numbers, whitened
from virtlab.gan.convolutions import (
    convolve,
    cut,
    flatten,
    grow,
    init_convolution,
    interleave,
)
from virtlab.gan.layers import Weights, dense, init_dense, swish

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
CONTEXT = 16  # width of the setting's summary that decoders and the residual see
ENCODED = 64
# Channels, and those of the space before the whole one, where most products are: LiteRT's
# convolutions compute 16 outputs at once, however many of them there are.
COARSE, FINE = 32, 16
SMALLEST = 5  # places along a dim that upsampling starts from, at most
FEW_PLACES = 32  # fewer are decoded by dense layers
START_SD = 0.1  # of the posterior, in standard deviations of a latent
LEAST, MOST = -6.9, 3.0  # of log standard deviations
BEND = 1.5  # by which they may differ from what principal components leave of a place


@dataclass(frozen=True)
class Head:
    """Encoder and decoder of one measurement; its functions take the weights.

    Parameters
    ----------
    part
        The measurement.
    index
        Distinguishes its weights.
    conditions
        Features of a condition.
    """

    part: Part
    index: int
    conditions: int

    @property
    def values(self) -> int:
        """Values of the measurement."""
        return self.part.stop - self.part.start

    @property
    def outputs(self) -> int:
        """Numbers that describe the distribution of each value."""
        return 6 if self.part.floor else 2

    @property
    def uniforms(self) -> int:
        """Uniform latents per trial."""
        return 2 * self.values if self.part.floor else 0

    @property
    def normals(self) -> int:
        """Gaussian latents per trial."""
        return self.values

    def init(self, rng: np.random.Generator, members: int) -> dict[str, Floats]:
        """Weights to start from, without the components: see `virtlab.gan.start`."""
        q, e, d = self.part.latents, f"encoder{self.index}", f"decoder{self.index}"
        frame = f"frame{self.index}"  # not trained
        inputs = self.values * (2 if self.part.floor else 1) + self.conditions
        weights = init_dense(rng, e, [inputs, ENCODED, ENCODED, 2 * q], members=members, last=0.01)
        weights[f"{frame}.encoder"] = np.zeros((members, self.values, q), np.float32)
        weights[f"{frame}.center"] = np.zeros((members, 1, q), np.float32)
        if not self.part.floor:
            weights[f"{frame}.decoder"] = np.zeros((members, q, self.values), np.float32)
            weights[f"{d}.colour"] = np.zeros((members, 1, numbers(self.part)), np.float32)
        weights[f"{d}.place"] = np.zeros((members, 1, self.values * self.outputs), np.float32)
        if self._is_dense:
            sizes = [q + CONTEXT, ENCODED, ENCODED, self.values * self.outputs]
            return weights | init_dense(rng, d, sizes, members=members, last=0.1)
        spaces, factors = self._spaces, self._factors
        first = math.prod(spaces[0]) * COARSE
        weights |= init_dense(rng, d, [q + CONTEXT, ENCODED, first], members=members)
        taps = 3 ** len(spaces[0])
        channels = [COARSE] * (len(factors) - 1) + [FINE if len(factors) > 1 else COARSE]
        for i, (inner, outer) in enumerate(pairwise(channels)):
            name = f"{d}.conv{i}"
            weights |= init_convolution(rng, name, taps, inner, outer, members=members)
        kinds, own, phases = self.outputs, self.part.channels, math.prod(factors[-1])
        last = init_convolution(rng, f"{d}.fine", taps, channels[-1], kinds * own, members=members)
        for name, value in last.items():
            # Finer places start alike, free of checkerboards (Aitken et al. 2017).
            alike = 0.1 * value.reshape(*value.shape[:2], kinds, 1, own).repeat(phases, axis=3)
            weights[name] = alike.reshape(*value.shape[:2], -1)
        return weights

    @property
    def _is_dense(self) -> bool:
        return math.prod(self.part.space) < FEW_PLACES or max(self.part.space) < SMALLEST

    @property
    def _spaces(self) -> list[tuple[int, ...]]:
        """Spaces from the smallest, which upsampling starts from, to the whole; two at least."""
        spaces = [self.part.space]
        while max(spaces[0]) > SMALLEST:
            spaces.insert(0, tuple(-(-n // 2) if n > SMALLEST else n for n in spaces[0]))
        return spaces if len(spaces) > 1 else 2 * spaces

    @property
    def _factors(self) -> list[tuple[int, ...]]:
        """How many times as fine, along each axis, each space is as the one before it."""
        return [
            tuple(2 if n != m else 1 for n, m in zip(fine, coarse, strict=True))
            for coarse, fine in pairwise(self._spaces)
        ]

    def encode(
        self, weights: Weights, values: tf.Tensor, observed: tf.Tensor, conditions: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and log standard deviation of the latents, each ``(member, row, latent)``."""
        e, frame = f"encoder{self.index}", f"frame{self.index}"
        seen = values * observed
        inputs = [seen, conditions]
        if self.part.floor:
            inputs.append(tf.cast(seen > 0, tf.float32))
        h = tf.concat(inputs, axis=-1)
        h = swish(dense(weights, f"{e}.0", h))
        h = swish(dense(weights, f"{e}.1", h))
        bend, log_sd = tf.split(dense(weights, f"{e}.2", h), 2, axis=-1)
        log_sd = tf.clip_by_value(log_sd + math.log(START_SD), LEAST, 0.7)
        # Doubt is the unit of what bends them: steps of learning in the unit of the latents would
        # shake sure ones by many times what is not known of them.
        mean = tf.matmul(seen, weights[f"{frame}.encoder"]) - weights[f"{frame}.center"]
        return mean + tf.exp(tf.stop_gradient(log_sd)) * bend, log_sd

    def decode(self, weights: Weights, latents: tf.Tensor, context: tf.Tensor) -> list[tf.Tensor]:
        """What describes the distribution of each value: `outputs` of ``(member, row, value)``."""
        d = f"decoder{self.index}"
        h = swish(dense(weights, f"{d}.0", tf.concat([latents, context], axis=-1)))
        h = dense(weights, f"{d}.1", h)
        if self._is_dense:
            found = tf.split(dense(weights, f"{d}.2", swish(h)), self.outputs, axis=-1)
        else:
            found = self._convolved(weights, h)
        place = tf.split(weights[f"{d}.place"], self.outputs, axis=-1)
        if not self.part.floor:
            # What principal components leave is the unit of what bends them: in the unit of the
            # values, steps of learning alone would bury what varies by less than they do.
            left = tf.exp(tf.stop_gradient(_clipped(place[1])))
            found[0] = left * found[0] + tf.matmul(latents, weights[f"frame{self.index}.decoder"])
            # Doubt about the mean belongs to the latents: as noise it would be mere grain.
            found[1] = BEND * tf.tanh(found[1] / BEND)
        return [x + y for x, y in zip(found, place, strict=True)]

    def _convolved(self, weights: Weights, h: tf.Tensor) -> list[tf.Tensor]:
        """Upsample and convolve from the smallest space to the whole.

        The last convolution is made on the space before the whole, and gives each place's finer
        ones as channels (Shi et al. 2016): what comes before, and all that is kept between, is
        that many times smaller.
        """
        d, spaces, factors = f"decoder{self.index}", self._spaces, self._factors
        x = swish(tf.reshape(h, (*h.shape[:2], *spaces[0], COARSE)))
        for i, (factor, space) in enumerate(zip(factors[:-1], spaces[1:-1], strict=True)):
            x = swish(grow(weights, f"{d}.conv{i}.0", x, factor, space))
        x = convolve(weights, f"{d}.fine.0", x, (1,) * len(spaces[0]))
        return [
            flatten(self.part, cut(interleave(piece, factors[-1]), spaces[-1]))
            for piece in tf.split(x, self.outputs, axis=-1)
        ]

    def log_likelihood(
        self, weights: Weights, found: list[tf.Tensor], values: tf.Tensor, observed: tf.Tensor
    ) -> tf.Tensor:
        """Log-likelihood of each trial given its latents, ``(member, row)``.

        What is above a floor counts per unit of its standardised logarithm.
        """
        if not self.part.floor:
            log_sd = _clipped(found[1])
            noise = observed * (values - found[0]) * tf.exp(-log_sd)
            colour = weights[f"decoder{self.index}.colour"]
            noise, narrower = whitened(self.part, colour, noise, observed)
            each = _log_normal(noise, 0.0, 0.0) - narrower - log_sd
            return tf.reduce_sum(observed * each, axis=-1)
        above = tf.cast(values > 0, tf.float32)
        mean, scale = self.part.log
        t = (tf.math.log(tf.maximum(values, 1e-12)) - mean) / scale
        lit = -tf.nn.sigmoid_cross_entropy_with_logits(above, found[0])
        weight, means, widths = _above(found)
        kinds = tf.stack(
            [
                w + _log_normal(t, m, s)
                for w, m, s in zip(_log_shares(weight), means, widths, strict=True)
            ]
        )
        return tf.reduce_sum(observed * (lit + above * tf.reduce_logsumexp(kinds, axis=0)), axis=-1)

    def draw(
        self,
        weights: Weights,
        found: list[tf.Tensor],
        uniform: tf.Tensor,
        normal: tf.Tensor,
        spread: tf.Tensor,
        *,
        slope: bool,
    ) -> tf.Tensor:
        """Draw values, ``(member, row, value)``; `spread` scales Gaussian noise."""
        if not self.part.floor:
            noise = coloured(self.part, weights[f"decoder{self.index}.colour"], normal)
            return found[0] + tf.exp(_clipped(found[1])) * spread * noise
        lit, which = tf.split(tf.clip_by_value(uniform, 1e-7, 1 - 1e-7), 2, axis=-1)
        weight, means, widths = _above(found)
        first = _switch(weight + _logistic(which), slope=slope)
        mean = first * means[0] + (1 - first) * means[1]
        width = tf.exp(first * widths[0] + (1 - first) * widths[1])
        center, scale = self.part.log
        # Half a decade beyond a typical value's spread at most: exp must not run away.
        t = tf.clip_by_value(mean + width * normal, -8.0, 8.0)
        return _switch(found[0] + _logistic(lit), slope=slope) * tf.exp(center + scale * t)


def of_head(name: str) -> bool:
    """Whether a weight is a head's."""
    return name.startswith(("encoder", "decoder", "frame"))


def _clipped(log_sd: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(log_sd, LEAST, MOST)


def _log_normal(x: tf.Tensor, mean: tf.Tensor, log_sd: tf.Tensor) -> tf.Tensor:
    return -0.5 * tf.square((x - mean) * tf.exp(-log_sd)) - log_sd - HALF_LOG_2PI


def _above(found: list[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor], list[tf.Tensor]]:
    """Logit of the first component, means and log widths of both, of what lies above a floor."""
    _, weight, first, second, narrow, wide = found
    return weight, [first, second], [_clipped(narrow), _clipped(wide)]


def _log_shares(logit: tf.Tensor) -> list[tf.Tensor]:
    return [-tf.nn.softplus(-logit), -tf.nn.softplus(logit)]


def _logistic(uniform: tf.Tensor) -> tf.Tensor:
    """Standard logistic noise from uniform noise."""
    return tf.math.log(uniform) - tf.math.log(1 - uniform)


def _switch(score: tf.Tensor, *, slope: bool) -> tf.Tensor:
    """1 where the score is positive; with `slope` the gradient of a sigmoid (binary concrete)."""
    hard = tf.cast(score > 0, tf.float32)
    if not slope:
        return hard
    soft = tf.sigmoid(score)
    return soft + tf.stop_gradient(hard - soft)
