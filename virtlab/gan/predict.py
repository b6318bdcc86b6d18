"""Draws for trials by members that never saw their settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from virtlab.gan.blocks import Blocks, Floats
from virtlab.gan.fit import Fit
from virtlab.gan.folds import Folds
from virtlab.gan.layers import Weights
from virtlab.gan.stages import latents


@dataclass(frozen=True)
class HeldOut:
    """Out-of-fold draws: those of one member after those of another, as many of each.

    Parameters
    ----------
    rows
        Which trials, ``(row,)``.
    values
        Scaled values, ``(draw, row, value)``.
    levels
        One-hot levels, ``(draw, row, level)``.
    judges, enders
        How many members each trial was held out for: those that it judges come first, then those
        whose training it ended, where these are others.
    members
        Of the whole ensemble.
    """

    rows: NDArray[np.int64]
    values: Floats
    levels: Floats
    judges: int
    enders: int
    members: int

    @property
    def by_judges(self) -> HeldOut:
        """Without the draws of members whose training the trials ended."""
        count = len(self.values) * self.judges // (self.judges + self.enders)
        return replace(self, values=self.values[:count], levels=self.levels[:count], enders=0)


class Sampler:
    """Draws for held-out trials, from every member that did not learn from them.

    The same latents each time, so that ensembles that differ in their noise can be compared.

    Parameters
    ----------
    fit
        The ensemble.
    blocks
        The trials that it was fitted on.
    draws
        Draws per trial by the members that it judges; rounded up to a multiple of them.
    max_rows
        At most this many trials, chosen at random.
    seed
        Of latents and choice.
    """

    def __init__(self, fit: Fit, blocks: Blocks, *, draws: int, max_rows: int, seed: int) -> None:
        folds = [fit.folds.judging]
        if fit.folds.stop is not None:
            folds.append(folds[0].stopping)
        places = [_places(each, len(blocks)) for each in folds]
        rows = np.flatnonzero((np.concatenate(places, axis=1) >= 0).all(axis=1))
        if len(rows) > max_rows:
            rows = np.sort(np.random.default_rng(seed).choice(rows, max_rows, replace=False))
        self.rows = rows
        self._fit, self._seed, self._folds = fit, seed, folds
        self._judges = places[0].shape[1]
        self._draws = -(-draws // self._judges)
        self._places = [found[rows].T for found in places]
        weights = {name: tf.constant(value) for name, value in fit.weights.items()}
        self._parameters = [
            fit.generator.setting_part(weights, tf.constant(blocks.conditions[each.held]))
            for each in folds
        ]
        fixed = {name: w for name, w in weights.items() if not name.startswith("spread.")}

        @tf.function(autograph=False)
        def one(
            parameters: tf.Tensor, spread: Weights, seed: tf.Tensor, which: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor]:
            noise = latents(fit.generator, tuple(parameters.shape[:2]), (seed, 2 * which))
            return fit.generator.trial_part(fixed | dict(spread), parameters, *noise)

        self._one = one

    def draw(self, weights: Mapping[str, Floats]) -> HeldOut:
        """Draws of the ensemble, with the noise that is in these weights."""
        spread = {n: tf.constant(w) for n, w in weights.items() if n.startswith("spread.")}
        wide = sum(self._fit.generator.layout.levels)
        values, levels, run = [], [], 0
        for folds, parameters, places in zip(
            self._folds, self._parameters, self._places, strict=True
        ):
            for flat in places:
                member, place = np.unravel_index(flat, folds.held.shape)
                run += 1
                seed = tf.constant(self._seed + run)
                for i in range(self._draws):
                    drawn, hot = self._one(parameters, spread, seed, tf.constant(i))
                    values.append(drawn.numpy()[member, place])
                    levels.append(hot.numpy()[member, place, :wide])
        return HeldOut(
            rows=self.rows,
            values=np.stack(values),
            levels=np.stack(levels),
            judges=self._judges,
            enders=run - self._judges,
            members=self._fit.folds.members,
        )


def held_out_draws(fit: Fit, blocks: Blocks, *, draws: int, max_rows: int, seed: int) -> HeldOut:
    """What a `Sampler` draws once."""
    sampler = Sampler(fit, blocks, draws=draws, max_rows=max_rows, seed=seed)
    return sampler.draw(fit.weights)


def _places(folds: Folds, n: int) -> NDArray[np.int64]:
    """Where each trial is held out, ``(trial, repeat)``: a flat index into `held`, or -1."""
    held, mask = folds.held, folds.held_mask > 0
    found: list[list[int]] = [[] for _ in range(n)]
    for flat in np.flatnonzero(mask):
        found[held.flat[flat]].append(int(flat))
    repeats = max(len(places) for places in found)
    return np.array([places + [-1] * (repeats - len(places)) for places in found])
