"""The critic: scores a trial beside its condition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from virtlab.gan.blocks import Floats, Layout, Part
from virtlab.gan.encoders import FEATURES, GRU_UNITS, Encoder, encode, encoder_of, init_encoder
from virtlab.gan.layers import Weights, dense, init_dense, leaky

POWER_ITERATIONS = 5


@dataclass(frozen=True)
class Critic:
    """Sizes of the critic; its functions take the weights, ``(member, …)``.

    Signals and images are encoded each by itself; what is left (scalars, levels) and the
    condition join their features in two dense layers.

    Parameters
    ----------
    conditions
        Features of a condition.
    layout
        Arrangement of a trial's values.
    encoder
        How signals and images are looked at.
    width
        Hidden units.
    spectral
        Divide every weight by its largest singular value (Miyato et al. 2018): a bounded slope.
    """

    conditions: int
    layout: Layout
    encoder: Encoder = "auto"
    width: int = 64
    spectral: bool = False

    @property
    def encoded(self) -> tuple[tuple[Part, str], ...]:
        """Measurements that have an encoder of their own, and which."""
        kinds = [(part, encoder_of(part, self.encoder)) for part in self.layout.parts]
        return tuple((part, kind) for part, kind in kinds if kind != "dense")

    def init(self, rng: np.random.Generator, members: int) -> dict[str, Floats]:
        """Weights to start from."""
        weights: dict[str, Floats] = {}
        inputs = self.conditions + len(self._plain)
        for part, kind in self.encoded:
            weights |= init_encoder(rng, part, kind, members=members)
            inputs += GRU_UNITS if kind == "gru" else FEATURES
        sizes = [inputs, self.width, self.width, 1]
        return weights | init_dense(rng, "critic", sizes, members=members)

    def ready(self, weights: Weights) -> Weights:
        """Weights to score with, normalised where that is wanted: once for many calls."""
        return spectrally_normalised(weights) if self.spectral else weights

    def scores(self, weights: Weights, conditions: tf.Tensor, joint: tf.Tensor) -> tf.Tensor:
        """Score of each trial, ``(member, row)``; higher means more like a real one.

        Parameters
        ----------
        weights
            As from `ready`.
        conditions
            Shape ``(member, row, feature)``.
        joint
            Values and levels in the units of the joint distance, ``(member, row, value)``: one
            trial for each condition, or several, those of one time after those of another.
        """
        seen = [tf.tile(conditions, (1, joint.shape[1] // conditions.shape[1], 1))]
        if self._plain:
            seen.append(tf.gather(joint, self._plain, axis=-1))
        for part, kind in self.encoded:
            # The joint distance makes each of many values small; convolutions want their size.
            values = joint[..., part.start : part.stop] / self.layout.weight[part.start : part.stop]
            seen.append(encode(weights, part, kind, values))
        h = tf.concat(seen, axis=-1)
        h = leaky(dense(weights, "critic.0", h))
        h = leaky(dense(weights, "critic.1", h))
        return dense(weights, "critic.2", h)[..., 0]

    @property
    def _plain(self) -> list[int]:
        """Columns of the joint values that no encoder takes."""
        taken = {i for part, _ in self.encoded for i in range(part.start, part.stop)}
        return [i for i in range(self.layout.values + sum(self.layout.levels)) if i not in taken]


def spectrally_normalised(weights: Weights) -> dict[str, tf.Tensor]:
    """Each matrix over its largest singular value, found by power iteration (Miyato et al. 2018).

    The iteration starts anew each time, from the same vector: nothing to remember, and a resumed
    training goes on with the same numbers.
    """
    found = dict(weights)
    for name, w in weights.items():
        if not name.endswith(".w"):
            continue
        start = np.random.default_rng(0).standard_normal((1, w.shape[1], 1)).astype(np.float32)
        u = tf.tile(start, (w.shape[0], 1, 1))
        for _ in range(POWER_ITERATIONS):
            v = tf.math.l2_normalize(tf.matmul(w, u, transpose_a=True), axis=1)
            u = tf.math.l2_normalize(tf.matmul(w, v), axis=1)
        u, v = tf.stop_gradient(u), tf.stop_gradient(v)
        found[name] = w / tf.matmul(u, tf.matmul(w, v), transpose_a=True)
    return found
