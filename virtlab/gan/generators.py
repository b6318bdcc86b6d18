"""What any generator can do, and the textbook one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import tensorflow as tf

from virtlab.gan.blocks import Floats, Layout
from virtlab.gan.layers import Weights, dense, init_dense, leaky
from virtlab.gan.mixture import apply_levels, draw_levels, to_gumbel


class Generator(Protocol):
    """Sizes of a generator; its functions take the weights. See `virtlab.gan.mixture`."""

    @property
    def conditions(self) -> int:
        """Features of a condition."""

    @property
    def layout(self) -> Layout:
        """Arrangement of a trial's values."""

    @property
    def uniforms(self) -> int:
        """Uniform latents per trial."""

    @property
    def normals(self) -> int:
        """Gaussian latents per trial."""

    def init(self, rng: np.random.Generator, members: int) -> dict[str, Floats]:
        """Weights to start from."""

    def setting_part(self, weights: Weights, conditions: tf.Tensor) -> tf.Tensor:
        """All that depends on the setting alone."""

    def trial_part(
        self,
        weights: Weights,
        parameters: tf.Tensor,
        uniform: tf.Tensor,
        normal: tf.Tensor,
        *,
        slope: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draw one trial per row: values and one-hot levels."""


@dataclass(frozen=True)
class Textbook:
    """The conditional GAN of the textbooks: dense, LeakyReLU 0.2 (Mirza & Osindero 2014).

    Parameters
    ----------
    conditions
        Features of a condition.
    layout
        Arrangement of a trial's values.
    width
        Hidden units of both hidden layers.
    normals
        Length of the latent.
    """

    conditions: int
    layout: Layout
    width: int = 128
    normals: int = 16

    @property
    def uniforms(self) -> int:
        """Uniform latents per trial: one per level (Gumbel)."""
        return sum(self.layout.levels)

    def init(self, rng: np.random.Generator, members: int) -> dict[str, Floats]:
        """Weights to start from."""
        inputs, outputs = self.conditions + self.normals, self.layout.values + self.uniforms
        return init_dense(
            rng, "dense", [inputs, self.width, self.width, outputs], members=members, last=0.5
        )

    def setting_part(self, _weights: Weights, conditions: tf.Tensor) -> tf.Tensor:
        """The condition itself: this generator mixes it with the latent from the start."""
        return tf.identity(conditions)

    def trial_part(
        self,
        weights: Weights,
        parameters: tf.Tensor,
        uniform: tf.Tensor,
        normal: tf.Tensor,
        *,
        slope: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draw one trial per row: values and one-hot levels."""
        h = tf.concat([parameters, normal], axis=-1)
        h = leaky(dense(weights, "dense.0", h))
        h = leaky(dense(weights, "dense.1", h))
        out = dense(weights, "dense.2", h)
        values, logits = out[..., : self.layout.values], out[..., self.layout.values :]
        levels = draw_levels(logits, to_gumbel(uniform), self.layout, slope=slope)
        return apply_levels(values, levels, self.layout), levels
