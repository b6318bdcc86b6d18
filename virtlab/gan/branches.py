"""A mixture in the form that is exported: its components as branches, ready to be drawn from.

In training a trial picks its component by a one-hot sum, which gradients pass, and its noise
goes feature by feature through the regressions. Here each component of a setting is a row of
numbers, of which a trial takes one, by a single uniform number (`virtlab.runtime`); and the
regressions are multiplied out once per setting, to the triangle ``L`` of ``features = mean + L z``,
so that a trial is one product.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import tensorflow as tf

from virtlab.gan.blocks import Floats
from virtlab.gan.draws import with_tails
from virtlab.gan.layers import Weights
from virtlab.gan.mixture import Mixture
from virtlab.gan.triangles import multiplied_out, times


@dataclass(frozen=True)
class Branches:
    """A fitted mixture; `of` makes it.

    Parameters
    ----------
    mixture
        Without its residual, where that stayed at zero.
    tailed
        Whether calibration gave some of its noise tails.
    """

    mixture: Mixture
    tailed: bool

    @classmethod
    def of(cls, mixture: Mixture, weights: Mapping[str, Floats]) -> Branches:
        """The branches of a mixture with these weights."""
        return cls(mixture.pruned(weights), bool(weights["spread.tails"].any()))

    @property
    def conditions(self) -> int:
        """Features of a condition."""
        return self.mixture.conditions

    @property
    def uniforms(self) -> int:
        """Uniform latents per trial, without the one that picks the branch."""
        return self.mixture.uniforms - self.mixture.components

    @property
    def normals(self) -> int:
        """Gaussian latents per trial."""
        return self.mixture.normals

    def setting_part(self, weights: Weights, conditions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """What depends on the setting alone.

        Parameters
        ----------
        conditions
            ``(member, row, feature)``.

        Returns
        -------
        parameters
            Mean, triangle, logits of the codes, and summary of each component,
            ``(member, row, component, number)``.
        chances
            Probabilities of the components, accumulated, ``(member, row, component)``.
        """
        mixture = self.mixture
        p = mixture.split(mixture.setting_part(weights, conditions))
        spread = weights["spread.features"][:, :, None]
        pieces = [p["mean"], multiplied_out(p["regression"], p["sigma"] * spread), p["codes"]]
        if self._summarised:
            shape = tf.concat([tf.shape(p["mean"])[:3], tf.shape(p["summary"])[2:]], axis=0)
            pieces.append(tf.broadcast_to(p["summary"][:, :, None], shape))
        return tf.concat(pieces, axis=-1), tf.cumsum(tf.nn.softmax(p["pi"]), axis=-1)

    def trial_part(
        self, weights: Weights, parameters: tf.Tensor, uniform: tf.Tensor, normal: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draw one trial per row.

        Parameters
        ----------
        parameters
            Those of the component that each trial is drawn from, ``(member, row, number)``.
        uniform, normal
            Latents, ``(member, row, uniforms)`` and ``(member, row, normals)``.

        Returns
        -------
        values, levels
            As `Mixture.trial_part`.
        """
        q, codes = self.mixture.layout.features, sum(self.mixture.layout.levels)
        sizes = [q, q * (q + 1) // 2, codes]
        mean, triangle, logits, summary = tf.split(
            parameters, [*sizes, parameters.shape[-1] - sum(sizes)], axis=-1
        )
        noise = normal[..., :q]
        if self.tailed:
            noise = with_tails(noise, weights["spread.tails"])
        features = mean + times(triangle, noise)
        rest = uniform, normal[..., q:]
        return self.mixture.finished(weights, summary, features, logits, *rest)

    @property
    def _summarised(self) -> bool:
        """Whether something sees the setting's summary."""
        return bool(self.mixture.noise or self.mixture.heads)
