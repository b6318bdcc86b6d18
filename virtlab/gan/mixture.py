"""The generator: a mixture core fitted by likelihood, and a residual that a critic shapes.

A virtual trial is ``features = mu_k(c) + L_k(c) z + r(c, features_k, e)``, with component
``k ~ pi(c)``, Gaussian ``z`` and the residual's own noise ``e``. Features are the values
themselves, or the latents of a signal's or an image's head (`virtlab.gan.heads`), which draws
its values given them. Codes (categories, atoms) are drawn given the component. Everything that
depends on the setting alone is in `setting_part`; `trial_part` is cheap (DESIGN.md, decisions 1
and 5).

The covariance of a component is kept as the regression of each feature on those before it,
``delta_j = sum_i<j A_ji delta_i + sigma_j z_j``: its likelihood needs no factorisation and no
solve. A missing feature drops out of the sum; those after it are then judged as if it had been
at its mean, which is exact for the features before it and close where regressions are weak.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from virtlab.gan.batches import Batch
from virtlab.gan.bins import encoded
from virtlab.gan.blocks import Floats, Layout
from virtlab.gan.draws import apply_levels, draw_levels, to_gumbel, winner, with_tails
from virtlab.gan.heads import CONTEXT, HALF_LOG_2PI, Head
from virtlab.gan.layers import Weights, dense, init_dense, leaky, swish
from virtlab.gan.process import predictions
from virtlab.gan.triangles import accumulate, squared

MIN_SIGMA = 1e-3  # of a scaled standard deviation: what keeps likelihood finite on exact data
UNIT = 0.54  # softplus of this is 1: sigmas start there
LOG_RATIO = float(np.log(2.5))


@dataclass(frozen=True)
class Mixture:
    """Sizes of the generator; its functions take the weights.

    Parameters
    ----------
    conditions
        Features of a condition.
    layout
        Arrangement of a trial's values.
    components
        Components of the mixture.
    width, depth
        Hidden units and hidden layers of the trunk.
    noise
        Length of the residual's own noise vector; 0: there is no residual.
    processes
        Features whose prior mean is a Gaussian process, see `virtlab.gan.process`.
    bins
        Of all conditions, see `virtlab.gan.bins`.
    """

    conditions: int
    layout: Layout
    components: int
    width: int
    depth: int = 2
    noise: int = 4
    processes: tuple[int, ...] = ()
    bins: int = 0

    @property
    def inputs(self) -> int:
        """Features that the trunk sees: the condition's, and what the processes predict."""
        return self.conditions + len(self.processes)

    @property
    def pieces(self) -> tuple[tuple[str, int], ...]:
        """Names and lengths of what `setting_part` puts in a row."""
        k, q = self.components, self.layout.features
        return (
            ("pi", k),
            ("mean", k * q),
            ("regression", k * (q * (q - 1)) // 2),
            ("sigma", k * q),
            ("codes", k * sum(self.layout.levels)),
            ("summary", CONTEXT),
        )

    def offset(self, name: str) -> int:
        """Where a piece starts in a row of `setting_part`."""
        names = [piece for piece, _ in self.pieces]
        return sum(length for _, length in self.pieces[: names.index(name)])

    @property
    def heads(self) -> tuple[Head, ...]:
        """Encoders and decoders of signals and images."""
        return tuple(Head(part, i, self.inputs) for i, part in enumerate(self.layout.wide))

    @property
    def _uniform_pieces(self) -> list[int]:
        """One per component and per level (Gumbel), then the heads'."""
        return [self.components, sum(self.layout.levels), *(h.uniforms for h in self.heads)]

    @property
    def _normal_pieces(self) -> list[int]:
        """Features, the residual's, then the heads'."""
        return [self.layout.features, self.noise, *(h.normals for h in self.heads)]

    @property
    def uniforms(self) -> int:
        """Uniform latents per trial."""
        return sum(self._uniform_pieces)

    @property
    def normals(self) -> int:
        """Gaussian latents per trial."""
        return sum(self._normal_pieces)

    def init(self, rng: np.random.Generator, members: int) -> dict[str, Floats]:
        """Weights to start from; components spread out, residual zero."""
        sizes = [self.inputs] + [self.width] * self.depth
        weights = init_dense(rng, "trunk", sizes, members=members)
        if self.bins:
            weights |= init_dense(rng, "bins", [self.bins, self.width], members=members, last=0.3)
        outputs = sum(length for _, length in self.pieces)
        weights |= init_dense(rng, "head", [self.width, outputs], members=members, last=0.1)
        weights |= init_dense(rng, "skip", [self.inputs, outputs], members=members, last=0.0)
        q = self.layout.features
        weights |= init_dense(
            rng,
            "residual",
            [CONTEXT + q + self.noise, 64, q],
            members=members,
            last=0.0,
        )
        start = self.offset("mean")
        spread = rng.standard_normal((members, 1, self.components * q))
        weights["head.0.b"][:, :, start : start + spread.shape[-1]] = spread
        if self.components > 1:
            start = self.offset("sigma")
            weights["head.0.b"][:, :, start : start + self.components * q] = -0.7
        for head in self.heads:
            weights |= head.init(rng, members)
        if self.bins:  # not trained: see `virtlab.gan.start.start_bins`
            weights["edges.0.w"] = np.zeros((members, self.conditions, self.bins), np.float32)
            weights["edges.0.b"] = np.zeros((members, 1, self.bins), np.float32)
        # Not trained: calibration widens or narrows the Gaussian noise through these, and gives
        # it tails.
        weights["spread.features"] = np.ones((members, 1, q), np.float32)
        weights["spread.values"] = np.ones((members, 1, self.layout.values), np.float32)
        weights["spread.tails"] = np.zeros((members, 1, q), np.float32)
        return weights

    def setting_part(self, weights: Weights, conditions: tf.Tensor) -> tf.Tensor:
        """Mixture parameters, ``(member, row, parameter)``, of conditions ``(member, row, in)``.

        Conditions come with the processes' predictions beside them, as in training, or
        without: then they are predicted here.
        """
        if self.processes and conditions.shape[-1] == self.conditions:
            conditions = tf.concat([conditions, predictions(weights, conditions)], axis=-1)
        h = dense(weights, "trunk.0", conditions)
        if self.bins:
            h += dense(weights, "bins.0", encoded(weights, conditions[..., : self.conditions]))
        for i in range(1, self.depth):
            h = dense(weights, f"trunk.{i}", swish(h))
        h = swish(h)
        found = dense(weights, "head.0", h) + dense(weights, "skip.0", conditions)
        if self.processes:
            found += tf.tensordot(conditions[..., self.conditions :], self._lift, 1)
        return self.with_widths(found)

    def with_widths(self, raw: tf.Tensor) -> tf.Tensor:
        """Rows with standard deviations in place of the numbers that they are made of.

        Here, not in `trial_part`: once per setting, however many trials.
        """
        start, length = self.offset("sigma"), self.components * self.layout.features
        before, sigma, after = tf.split(raw, [start, length, raw.shape[-1] - start - length], -1)
        lead = tf.shape(raw)[:2]
        shape = tf.concat([lead, (self.components, self.layout.features)], axis=0)
        widths = tf.reshape(_widths(tf.reshape(sigma, shape)), tf.shape(sigma))
        return tf.concat([before, widths, after], axis=-1)

    @property
    def _lift(self) -> Floats:
        """Puts what a process predicts into the mean of its feature, in every component."""
        q = self.layout.features
        lift = np.zeros((len(self.processes), sum(n for _, n in self.pieces)), np.float32)
        for row, feature in enumerate(self.processes):
            start = self.offset("mean") + feature
            lift[row, start : start + self.components * q : q] = 1
        return lift

    def pruned(self, weights: Mapping[str, Floats]) -> Mixture:
        """Without the residual, where it stayed at zero: most of a trial's arithmetic is its."""
        idle = not any(weights[f"residual.1.{name}"].any() for name in "wb")
        return replace(self, noise=0) if idle else self

    def split(self, parameters: tf.Tensor) -> dict[str, tf.Tensor]:
        """Name the pieces of `setting_part`'s rows and give them their shapes."""
        k, q = self.components, self.layout.features
        parts = dict(
            zip(
                (name for name, _ in self.pieces),
                tf.split(parameters, [length for _, length in self.pieces], axis=-1),
                strict=True,
            )
        )
        lead = tf.shape(parameters)[:2]

        def by_component(x: tf.Tensor, *shape: int) -> tf.Tensor:
            return tf.reshape(x, tf.concat([lead, (k, *shape)], axis=0))

        parts["mean"] = by_component(parts["mean"], q)
        parts["sigma"] = by_component(parts["sigma"], q)
        # Strictly lower triangular, row by row: each feature regresses on those before it.
        parts["regression"] = by_component(parts["regression"], (q * (q - 1)) // 2)
        parts["codes"] = by_component(parts["codes"], sum(self.layout.levels))
        return parts

    def log_likelihood(
        self, weights: Weights, parameters: tf.Tensor, batch: Batch, noise: tf.Tensor
    ) -> tf.Tensor:
        """Log-likelihood of each trial, ``(member, row)``; missing parts drop out.

        With signals or images a lower bound of it: the evidence bound of their heads.

        Parameters
        ----------
        parameters
            Rows of `setting_part`.
        batch
            The trials.
        noise
            Gaussian, ``(member, row, latent)``: of the encoders.
        """
        p = self.split(parameters)
        features = [tf.gather(batch.values, self.layout.plain, axis=-1)]
        seen = [tf.gather(batch.free, self.layout.plain, axis=-1)]
        total, at = tf.zeros(()), 0
        for head in self.heads:
            own = noise[..., at : at + head.part.latents]
            at += head.part.latents
            latents, measured, bound = self._evidence(head, weights, p["summary"], batch, own)
            features.append(latents)
            seen.append(tf.repeat(measured, head.part.latents, axis=-1))
            total += bound
        core = self._core_likelihood(p, tf.concat(features, -1), tf.concat(seen, -1), batch.levels)
        return core + total

    @staticmethod
    def _evidence(
        head: Head, weights: Weights, context: tf.Tensor, batch: Batch, noise: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Draw latents, whether the measurement was made at all, and the bound's other terms."""
        here = slice(head.part.start, head.part.stop)
        values, observed = batch.values[..., here], batch.observed[..., here]
        measured = tf.reduce_max(observed, axis=-1, keepdims=True)
        mean, log_sd = head.encode(weights, values, observed, batch.conditions)
        latents = mean + tf.exp(log_sd) * noise
        posterior = tf.reduce_sum(-0.5 * tf.square(noise) - log_sd - HALF_LOG_2PI, axis=-1)
        found = head.decode(weights, latents, context)
        bound = head.log_likelihood(weights, found, values, observed) - measured[..., 0] * posterior
        return latents, measured, bound

    def _core_likelihood(
        self,
        p: dict[str, tf.Tensor],
        features: tf.Tensor,
        features_seen: tf.Tensor,
        codes: tf.Tensor,
    ) -> tf.Tensor:
        """Log-likelihood of features and codes under the mixture, ``(member, row)``."""
        seen = features_seen[:, :, None, :]
        delta = seen * (features[:, :, None, :] - p["mean"])
        if self.layout.features > 1:
            regression = squared(p["regression"], self.layout.features)
            explained = tf.reduce_sum(regression * delta[:, :, :, None, :], axis=-1)
            innovation = delta - seen * explained
        else:
            innovation = delta
        gaussian = -0.5 * tf.square(innovation / p["sigma"]) - tf.math.log(p["sigma"])
        gaussian -= HALF_LOG_2PI
        component = tf.nn.log_softmax(p["pi"]) + tf.reduce_sum(seen * gaussian, axis=-1)
        at = 0
        for levels in self.layout.levels:
            logits = p["codes"][..., at : at + levels]
            hot = codes[:, :, None, at : at + levels]
            component += tf.reduce_sum(hot * tf.nn.log_softmax(logits), axis=-1)
            at += levels
        return tf.reduce_logsumexp(component, axis=-1)

    def trial_part(
        self,
        weights: Weights,
        parameters: tf.Tensor,
        uniform: tf.Tensor,
        normal: tf.Tensor,
        *,
        slope: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draw one trial per row.

        Parameters
        ----------
        parameters
            Rows of `setting_part`, ``(member, row, parameter)``.
        uniform, normal
            Latents, ``(member, row, uniforms)`` and ``(member, row, normals)``.
        slope
            Let gradients pass the discrete draws (for training).

        Returns
        -------
        values, levels
            ``(member, row, value)`` with atoms in place, and one-hot levels of the codes,
            ``(member, row, level)``.
        """
        p, k, q = self.split(parameters), self.components, self.layout.features
        pick = winner(p["pi"] + to_gumbel(uniform[..., :k]), slope=slope)[..., None]
        shock = tf.reduce_sum(pick * p["sigma"], axis=2) * weights["spread.features"]
        shock *= with_tails(normal[..., :q], weights["spread.tails"])
        if q > 1:
            shock = accumulate(tf.reduce_sum(pick * p["regression"], axis=2), shock)
        features = tf.reduce_sum(pick * p["mean"], axis=2) + shock
        logits = tf.reduce_sum(pick * p["codes"], axis=2)
        rest = uniform[..., k:], normal[..., q:]
        return self.finished(weights, p["summary"], features, logits, *rest, slope=slope)

    def finished(
        self,
        weights: Weights,
        summary: tf.Tensor,
        features: tf.Tensor,
        logits: tf.Tensor,
        uniform: tf.Tensor,
        normal: tf.Tensor,
        *,
        slope: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Make trials of what the core drew: residual, heads, levels; see `trial_part`.

        Parameters
        ----------
        summary, features, logits
            Of the setting, and of the component: ``(member, row, …)``.
        uniform, normal
            The latents that the core left.
        """
        layout = self.layout
        level_uniform, *head_uniforms = tf.split(uniform, self._uniform_pieces[1:], -1)
        own_noise, *head_normals = tf.split(normal, self._normal_pieces[1:], -1)
        if self.noise:
            seen = tf.concat([summary, features, own_noise], axis=-1)
            features += dense(weights, "residual.1", leaky(dense(weights, "residual.0", seen)))
        values = self._values(weights, summary, features, head_uniforms, head_normals, slope)
        values = tf.clip_by_value(values, -layout.reach, layout.reach)
        levels = draw_levels(logits, to_gumbel(level_uniform), layout, slope=slope)
        return apply_levels(values, levels, layout), levels

    def _values(
        self,
        weights: Weights,
        context: tf.Tensor,
        features: tf.Tensor,
        uniforms: list[tf.Tensor],
        normals: list[tf.Tensor],
        slope: bool,
    ) -> tf.Tensor:
        """Features as values: as they are, or through the heads; in the layout's order."""
        layout, at = self.layout, len(self.layout.plain)
        pieces, columns = [features[..., :at]], [layout.plain]
        for tie in layout.ties:
            others = tf.gather(features, np.searchsorted(layout.plain, tie.columns[1:]), axis=-1)
            rest = tf.reduce_sum(others * np.array(tie.weights[1:], np.float32), -1, keepdims=True)
            pieces.append((tie.total - rest) / tie.weights[0])
            columns.append(np.array(tie.columns[:1], np.int32))
        for head, uniform, normal in zip(self.heads, uniforms, normals, strict=True):
            part = head.part
            found = head.decode(weights, features[..., at : at + part.latents], context)
            spread = weights["spread.values"][..., part.start : part.stop]
            pieces.append(head.draw(weights, found, uniform, normal, spread, slope=slope))
            columns.append(np.arange(part.start, part.stop, dtype=np.int32))
            at += part.latents
        order = np.argsort(np.concatenate(columns))
        values = tf.concat(pieces, axis=-1) if len(pieces) > 1 else features
        if np.array_equal(order, np.arange(len(order))):
            return values
        return tf.gather(values, order, axis=-1)


def _widths(raw: tf.Tensor) -> tf.Tensor:
    """Standard deviations of the components, ``(member, row, component, feature)``.

    Each lies within a factor of 2.5 of a width that they share: free, one component turns into
    a background of rare and absurd values, which likelihood likes and no score notices.
    """
    shared = tf.reduce_mean(raw, axis=2, keepdims=True)
    return MIN_SIGMA + tf.nn.softplus(shared + UNIT) * tf.exp(LOG_RATIO * tf.tanh(raw - shared))
