"""What any generator can do, and the two of the textbooks: dense and convolutional."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import tensorflow as tf

from virtlab.gan.blocks import Floats, Layout, Part
from virtlab.gan.convolutions import Space, convolve, flatten, grow, init_convolution, taps_of
from virtlab.gan.draws import apply_levels, draw_levels, to_gumbel
from virtlab.gan.encoders import SHORT, encoder_of
from virtlab.gan.layers import Weights, dense, init_dense, leaky


class Generator(Protocol):
    """Sizes of a generator; its functions take the weights. See `virtlab.gan.mixture`."""

    @property
    def conditions(self) -> int:
        """Features of a condition."""

    @property
    def inputs(self) -> int:
        """Features of a condition and of what is predicted from it: what critics see, too."""

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
    def inputs(self) -> int:
        """What critics see of a setting: its condition."""
        return self.conditions

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


@dataclass(frozen=True)
class Convolutional:
    """The convolutional GAN of the textbooks (DCGAN, Radford et al. 2016), conditional.

    Signals and images grow from a few places by upsampling and convolution, which leaves no
    checkerboards where transposed convolutions do (Odena et al. 2016); scalars and levels have a
    dense head. No batch normalisation: it makes a trial depend on those drawn beside it.

    Parameters
    ----------
    conditions
        Features of a condition.
    layout
        Arrangement of a trial's values.
    width
        Hidden units of the trunk that all heads share.
    normals
        Length of the latent.
    """

    conditions: int
    layout: Layout
    width: int = 128
    normals: int = 32

    @property
    def inputs(self) -> int:
        """What critics see of a setting: its condition."""
        return self.conditions

    @property
    def uniforms(self) -> int:
        """Uniform latents per trial: one per level (Gumbel)."""
        return sum(self.layout.levels)

    @property
    def grown(self) -> tuple[Part, ...]:
        """Measurements that convolutions make; the others are dense."""
        return tuple(p for p in self.layout.parts if encoder_of(p, "conv") == "conv")

    def init(self, rng: np.random.Generator, members: int) -> dict[str, Floats]:
        """Weights to start from."""
        sizes = [self.conditions + self.normals, self.width, self.width]
        weights = init_dense(rng, "dense", sizes, members=members)
        outputs = len(self._plain) + self.uniforms
        if outputs:
            weights |= init_dense(rng, "plain", [self.width, outputs], members=members, last=0.5)
        for part in self.grown:
            spaces, channels = _growth(part)
            first = math.prod(spaces[0]) * channels[0]
            weights |= init_dense(rng, f"grow.{part.name}", [self.width, first], members=members)
            taps = taps_of((1,) * len(part.space))
            for i, (inputs, outputs) in enumerate(pairwise([*channels, part.channels])):
                name = f"grow.{part.name}.conv{i}"
                weights |= init_convolution(rng, name, taps, inputs, outputs, members=members)
        return weights

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
        plain = logits = h[..., :0]
        if self._plain or self.uniforms:
            out = dense(weights, "plain.0", h)
            plain, logits = out[..., : len(self._plain)], out[..., len(self._plain) :]
        pieces = [plain] if self._plain else []
        pieces += [_grow(weights, part, h) for part in self.grown]
        values = tf.gather(tf.concat(pieces, axis=-1), self._order, axis=-1)
        levels = draw_levels(logits, to_gumbel(uniform), self.layout, slope=slope)
        return apply_levels(values, levels, self.layout), levels

    @property
    def _plain(self) -> list[int]:
        """Values that the dense head makes."""
        taken = {i for part in self.grown for i in range(part.start, part.stop)}
        return [i for i in range(self.layout.values) if i not in taken]

    @property
    def _order(self) -> list[int]:
        """Where each value stands among those of the dense head and of the grown ones."""
        made = [*self._plain, *(i for part in self.grown for i in range(part.start, part.stop))]
        return [made.index(i) for i in range(self.layout.values)]


def _growth(part: Part) -> tuple[list[Space], list[int]]:
    """Spaces from the first, short one to the measurement's own, and channels at each."""
    spaces = [part.space]
    while max(spaces[0]) > SHORT:
        spaces.insert(0, tuple(-(-n // 2) if n > SHORT else n for n in spaces[0]))
    channels = [min(32, 8 * 2**i) for i in range(len(spaces))]
    return spaces, channels[::-1]


def _grow(weights: Weights, part: Part, h: tf.Tensor) -> tf.Tensor:
    """One signal or image, ``(member, row, value)``, from the trunk's features."""
    spaces, channels = _growth(part)
    x = leaky(dense(weights, f"grow.{part.name}.0", h))
    x = tf.reshape(x, (*x.shape[:2], *spaces[0], channels[0]))
    one = (1,) * len(part.space)
    for i, (before, after) in enumerate(pairwise(spaces)):
        factor = tuple(1 if n == m else 2 for n, m in zip(before, after, strict=True))
        x = leaky(grow(weights, f"grow.{part.name}.conv{i}.0", x, factor, after))
    return flatten(part, convolve(weights, f"grow.{part.name}.conv{len(spaces) - 1}.0", x, one))
