"""The training trials as tensors, and the minibatches and held-out rows cut from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from virtlab.gan.blocks import Blocks, Floats, Layout


@dataclass(frozen=True)
class Batch:
    """Rows of trials, each ``(member, row, …)``.

    Parameters
    ----------
    conditions
        Of their settings.
    values, observed
        Scaled values, and 1 where one was measured.
    free
        1 where a value was measured and is on no atom: what the core explains.
    levels
        One-hot levels of all codes, zeros where missing.
    joint_seen
        What of values and levels was measured.
    """

    conditions: tf.Tensor
    values: tf.Tensor
    observed: tf.Tensor
    free: tf.Tensor
    levels: tf.Tensor
    joint_seen: tf.Tensor


Columns = dict[str, Floats]
"""A batch as it is before TensorFlow."""


def columns_of(blocks: Blocks) -> Columns:
    """What the networks see of trials, ``(trial, …)`` each."""
    levels, levels_seen = one_hot_levels(blocks.codes, blocks.layout)
    # An atom is a level, not a value: the Gaussian part must not try to explain it.
    not_atom = 1 - np.clip(levels @ blocks.layout.replaces, 0, 1)
    return {
        "conditions": blocks.conditions,
        "values": blocks.values,
        "observed": blocks.observed,
        "free": (blocks.observed * not_atom).astype(np.float32),
        "levels": levels,
        "joint_seen": np.concatenate([blocks.observed, levels_seen], axis=1),
    }


class TrainingSet:
    """Trials as constants on the device, ready to be gathered by row number.

    Parameters
    ----------
    blocks
        The trials.
    predicted
        What each member's Gaussian processes predict for each trial, ``(member, trial,
        target)``: they stand beside the conditions. Rows are then gathered by members.
    """

    def __init__(self, blocks: Blocks, predicted: Floats | None = None) -> None:
        self.layout, self.weight = blocks.layout, blocks.weight
        self._predicted = None if predicted is None else tf.constant(predicted)
        self._on_floor = np.zeros(self.layout.values, bool)
        for part in self.layout.wide:
            self._on_floor[part.start : part.stop] = part.floor
        self._columns = {name: tf.constant(column) for name, column in columns_of(blocks).items()}

    def rows(self, index: tf.Tensor, dequantise: tf.Tensor | None = None) -> Batch:
        """Gather rows; `dequantise` is uniform noise on [-0.5, 0.5) of the values' shape."""
        found = {name: tf.gather(column, index) for name, column in self._columns.items()}
        if self._predicted is not None:
            own = tf.gather(self._predicted, index, batch_dims=1)
            found["conditions"] = tf.concat([found["conditions"], own], axis=-1)
        return self.batch(found, dequantise)

    def batch(self, columns: dict[str, tf.Tensor], dequantise: tf.Tensor | None = None) -> Batch:
        """Complete columns, as `columns_of` has them, to a batch."""
        found = dict(columns)
        if dequantise is not None:
            # A floor is no count to be spread out: it has a probability of its own.
            spread = tf.where(self._on_floor & (found["values"] == 0), 0.0, dequantise)
            found["values"] += self.layout.step * spread
        return Batch(**found)

    def joint(self, values: tf.Tensor, levels: tf.Tensor) -> tf.Tensor:
        """Values and level indicators in the units of the joint distance."""
        layout = self.layout
        return tf.concat([values * layout.weight, levels * layout.level_weight], axis=-1)


Random = Callable[[Callable[[tuple[int, ...]], tf.Tensor], tuple[int, ...]], tf.Tensor]
"""``random(draw, shape)``: random numbers of a shape, drawn for all members or for more."""


def for_all(draw: Callable[[tuple[int, ...]], tf.Tensor], shape: tuple[int, ...]) -> tf.Tensor:
    """Random numbers of a shape, where the members are all there are."""
    return draw(shape)


def dequantising_noise(
    layout: Layout, shape: tuple[int, ...], seed: int, step: tf.Tensor, random: Random = for_all
) -> tf.Tensor | None:
    """Uniform noise on [-0.5, 0.5), ``(*shape, value)``; None where nothing counts."""
    if not layout.step.any():
        return None
    seeds = (seed, step * 8 + 1)
    return random(
        lambda wide: tf.random.stateless_uniform(wide, seeds, -0.5, 0.5), (*shape, layout.values)
    )


def one_hot_levels(codes: np.ndarray, layout: Layout) -> tuple[Floats, Floats]:
    """One-hot levels of all codes side by side (zeros where missing), and what was seen."""
    hot = np.zeros((len(codes), sum(layout.levels)), np.float32)
    seen = np.zeros_like(hot)
    at = 0
    for column, levels in zip(codes.T, layout.levels, strict=True):
        known = np.flatnonzero(column >= 0)
        hot[known, at + column[known]] = 1
        seen[known, at : at + levels] = 1
        at += levels
    return hot, seen
