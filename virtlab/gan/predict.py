"""Draws for trials by members that never saw their settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from virtlab.gan.blocks import Blocks, Floats
from virtlab.gan.fit import Fit
from virtlab.gan.folds import Folds
from virtlab.gan.layers import Weights
from virtlab.gan.stages import side_by_side
from virtlab.jury import Jury

MOST_NUMBERS = 2e7  # of the setting's part, held for the trials that are drawn at once


@dataclass(frozen=True)
class HeldOut:
    """Out-of-fold draws, as a `virtlab.jury.Jury` has them.

    Parameters
    ----------
    rows
        Which trials, ``(row,)``.
    values
        Scaled values, ``(draw, row, value)``.
    levels
        One-hot levels, ``(draw, row, level)``.
    jury
        Who drew.
    """

    rows: NDArray[np.int64]
    values: Floats
    levels: Floats
    jury: Jury


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
        Draws per trial by its judges, rounded up to a multiple of them; others draw as often as
        one of these.
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
        def some(
            parameters: tf.Tensor, spread: Weights, seed: tf.Tensor, first: tf.Tensor, count: int
        ) -> tuple[tf.Tensor, tf.Tensor]:
            noised = fixed | dict(spread)
            drawn = side_by_side(fit.generator, noised, parameters, (seed, 2 * first), count)
            members, rows = parameters.shape[:2]
            values, levels = (tf.reshape(x, (members, count, rows, x.shape[-1])) for x in drawn)
            return values, levels

        self._some = some

    def draw(self, weights: Mapping[str, Floats]) -> HeldOut:
        """Draws of the ensemble, with the noise that is in these weights."""
        spread = {n: tf.constant(w) for n, w in weights.items() if n.startswith("spread.")}
        layout = self._fit.generator.layout
        coded = sum(layout.levels)
        values, levels, run = [], [], 0
        for folds, parameters, places in zip(
            self._folds, self._parameters, self._places, strict=True
        ):
            for flat in places:
                member, place = np.unravel_index(flat, folds.held.shape)
                run += 1
                seed = tf.constant(self._seed + run)
                # Of signals and images a cache holds one draw at best.
                most = 1 if layout.wide else max(1, int(MOST_NUMBERS / np.prod(parameters.shape)))
                for first in range(0, self._draws, most):
                    count = min(most, self._draws - first)
                    drawn, hot = self._some(parameters, spread, seed, tf.constant(first), count)
                    values.append(drawn.numpy()[member, :, place].swapaxes(0, 1))
                    levels.append(hot.numpy()[member, :, place, :coded].swapaxes(0, 1))
        return HeldOut(
            rows=self.rows,
            values=np.concatenate(values),
            levels=np.concatenate(levels),
            jury=Jury(self._judges, run - self._judges, self._fit.folds.members),
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
