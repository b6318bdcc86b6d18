"""The training trials as tensors, and the minibatches and held-out rows cut from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from virtlab.gan.blocks import Blocks, Floats, Layout


@dataclass(frozen=True)
class Batch:
    """Rows of trials, each ``(member, row, …)``."""

    conditions: tf.Tensor
    values: tf.Tensor
    observed: tf.Tensor
    features: tf.Tensor
    features_observed: tf.Tensor
    levels: tf.Tensor
    joint_seen: tf.Tensor


Columns = dict[str, Floats]
"""A batch as it is before TensorFlow, without what follows from the rest."""


def columns_of(blocks: Blocks) -> Columns:
    """What the networks see of trials, ``(trial, …)`` each."""
    layout = blocks.layout
    levels, levels_seen = one_hot_levels(blocks.codes, layout)
    mask, values = blocks.observed, blocks.values
    if not np.array_equal(layout.basis, np.eye(*layout.basis.shape)):
        values = _fill_missing(values, mask, layout)
    # An atom is a level, not a value: the Gaussian part must not try to explain it.
    not_atom = 1 - np.clip(levels @ layout.replaces, 0, 1)
    loading = np.abs(layout.basis) > 0
    feature_mask = ((mask * not_atom) @ loading.T > 0).astype(np.float32)
    return {
        "conditions": blocks.conditions,
        "values": values,
        "observed": mask,
        "features_observed": feature_mask,
        "levels": levels,
        "joint_seen": np.concatenate([mask, levels_seen], axis=1),
    }


class TrainingSet:
    """Trials as constants on the device, ready to be gathered by row number."""

    def __init__(self, blocks: Blocks) -> None:
        self.layout, self.weight = blocks.layout, blocks.weight
        self._inverse = np.linalg.pinv(self.layout.basis.astype(np.float64)).astype(np.float32)
        self._columns = {name: tf.constant(column) for name, column in columns_of(blocks).items()}

    def rows(self, index: tf.Tensor, dequantise: tf.Tensor | None = None) -> Batch:
        """Gather rows; `dequantise` is uniform noise on [-0.5, 0.5) of the values' shape."""
        found = {name: tf.gather(column, index) for name, column in self._columns.items()}
        return self.batch(found, dequantise)

    def batch(self, columns: dict[str, tf.Tensor], dequantise: tf.Tensor | None = None) -> Batch:
        """Complete columns, as `columns_of` has them, to a batch."""
        found = dict(columns)
        if dequantise is not None:
            found["values"] += self.layout.step * dequantise
        found["features"] = tf.tensordot(found["values"], self._inverse, 1)
        return Batch(**found)

    def outside(self, batch: Batch) -> tf.Tensor:
        """What the basis leaves of the values."""
        inside = tf.tensordot(batch.features, tf.constant(self.layout.basis), 1)
        return batch.values - inside

    def joint(self, values: tf.Tensor, levels: tf.Tensor) -> tf.Tensor:
        """Values and level indicators in the units of the joint distance."""
        layout = self.layout
        return tf.concat([values * layout.weight, levels * layout.level_weight], axis=-1)


def dequantising_noise(
    layout: Layout, shape: tuple[int, ...], seed: int, step: tf.Tensor
) -> tf.Tensor | None:
    """Uniform noise on [-0.5, 0.5), ``(*shape, value)``; None where nothing counts."""
    if not layout.step.any():
        return None
    wide = (*shape, layout.values)
    return tf.random.stateless_uniform(wide, (seed, step * 8 + 1), -0.5, 0.5)


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


def _fill_missing(values: Floats, observed: Floats, layout: Layout) -> Floats:
    """Fill gaps in signals with the least-squares fit of the basis to what was observed."""
    filled = values.copy()
    ridge = 1e-3 * np.eye(layout.features)
    for row in np.flatnonzero((observed == 0).any(axis=1)):
        seen = observed[row] > 0
        b = layout.basis[:, seen].astype(np.float64)
        f = np.linalg.solve(b @ b.T + ridge, b @ values[row][seen])
        filled[row, ~seen] = (f @ layout.basis)[~seen]
    return filled
