"""Draws for trials by members that never saw their settings."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from virtlab.gan.blocks import Blocks, Floats
from virtlab.gan.fit import Fit
from virtlab.gan.folds import Folds
from virtlab.gan.stages import latents


@dataclass(frozen=True)
class HeldOut:
    """Out-of-fold draws.

    Parameters
    ----------
    rows
        Which trials, ``(row,)``.
    values
        Scaled values, ``(draw, row, value)``.
    levels
        One-hot levels, ``(draw, row, level)``.
    repeats
        How many members held each trial out: as many runs of draws follow each other.
    """

    rows: NDArray[np.int64]
    values: Floats
    levels: Floats
    repeats: int


def held_out_draws(fit: Fit, blocks: Blocks, *, draws: int, max_rows: int, seed: int) -> HeldOut:
    """Draw for held-out trials, by turns from every member that held them out.

    Parameters
    ----------
    fit
        The ensemble.
    blocks
        The trials that it was fitted on.
    draws
        Draws per trial; rounded up to a multiple of the members that hold a trial out.
    max_rows
        At most this many trials, chosen at random.
    seed
        Of latents and choice.
    """
    fit = replace(fit, folds=fit.folds.judging)
    places = _places(fit.folds, len(blocks))
    rows = np.flatnonzero((places >= 0).all(axis=1))
    if len(rows) > max_rows:
        rows = np.sort(np.random.default_rng(seed).choice(rows, max_rows, replace=False))
    each = -(-draws // places.shape[1])
    values, levels = [], []
    for repeat in range(places.shape[1]):
        member, place = _coordinates(fit, places[rows, repeat])
        for drawn_values, drawn_levels in _drawn(fit, blocks, each, seed + 1 + repeat):
            values.append(drawn_values[member, place])
            levels.append(drawn_levels[member, place])
    return HeldOut(rows, np.stack(values), np.stack(levels), places.shape[1])


def _places(folds: Folds, n: int) -> NDArray[np.int64]:
    """Where each trial is held out, ``(trial, repeat)``: a flat index into `held`, or -1."""
    held, mask = folds.held, folds.held_mask > 0
    found: list[list[int]] = [[] for _ in range(n)]
    for flat in np.flatnonzero(mask):
        found[held.flat[flat]].append(int(flat))
    repeats = max(len(places) for places in found)
    return np.array([places + [-1] * (repeats - len(places)) for places in found])


def _coordinates(fit: Fit, flat: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    member, place = np.unravel_index(flat, fit.folds.held.shape)
    return member, place


def _drawn(fit: Fit, blocks: Blocks, draws: int, seed: int) -> list[tuple[Floats, Floats]]:
    """One array of all members' held-out rows per draw."""
    weights = {name: tf.constant(value) for name, value in fit.weights.items()}
    conditions = tf.constant(blocks.conditions[fit.folds.held])
    generator, shape = fit.generator, fit.folds.held.shape
    parameters = generator.setting_part(weights, conditions)

    @tf.function(autograph=False)
    def one(which: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return generator.trial_part(
            weights, parameters, *latents(generator, shape, (seed, 2 * which))
        )

    drawn = [one(tf.constant(i)) for i in range(draws)]
    wide = sum(fit.generator.layout.levels)
    return [(values.numpy(), levels.numpy()[..., :wide]) for values, levels in drawn]
