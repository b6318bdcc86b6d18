"""Trials as tensors: masks, atoms, counts."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from virtlab.gan.batches import TrainingSet, one_hot_levels
from virtlab.gan.blocks import Blocks


def test_levels_are_one_hot_and_missing_ones_are_zero_and_unseen(layouts):
    codes = np.array([[0, 2], [-1, 1], [1, -1]], np.int32)
    hot, seen = one_hot_levels(codes, layouts["coded"]())
    np.testing.assert_array_equal(hot, [[1, 0, 0, 0, 1], [0, 0, 0, 1, 0], [0, 1, 0, 0, 0]])
    np.testing.assert_array_equal(seen, [[1, 1, 1, 1, 1], [0, 0, 1, 1, 1], [1, 1, 0, 0, 0]])


def test_a_value_on_its_atom_is_seen_but_is_not_free(coded_blocks):
    data = TrainingSet(coded_blocks)
    batch = data.rows(tf.range(len(coded_blocks)))
    on_atom = coded_blocks.codes[:, 0] == 1
    assert on_atom.any()
    np.testing.assert_array_equal(np.asarray(batch.free)[on_atom, 1], 0)
    np.testing.assert_array_equal(
        np.asarray(batch.free)[~on_atom, 1], coded_blocks.observed[~on_atom, 1]
    )
    np.testing.assert_array_equal(batch.observed, coded_blocks.observed)


def test_joint_values_put_measurements_and_categories_side_by_side(coded_blocks):
    data = TrainingSet(coded_blocks)
    batch = data.rows(tf.range(50))
    joint = np.asarray(data.joint(batch.values, batch.levels))
    layout = coded_blocks.layout
    np.testing.assert_array_equal(joint[:, :2], coded_blocks.values[:50] * layout.weight)
    np.testing.assert_array_equal(joint[:, 2:4], 0)  # atoms show in the value itself
    np.testing.assert_allclose(joint[:, 4:].sum(axis=1), 0.7 * (coded_blocks.codes[:50, 1] >= 0))


def counting(layouts, *, floor):
    """Blocks of 200 counting histograms, half of whose entries are 0."""
    layout = layouts["of_parts"](h={"shape": (12,), "latents": 2, "floor": floor}, n=())
    layout = replace(layout, step=np.full(13, 0.5, np.float32))
    values = 0.5 * np.random.default_rng(0).integers(0, 2, (200, 13)).astype(np.float32)
    return Blocks(
        conditions=np.zeros((200, 1), np.float32),
        values=values,
        observed=np.ones_like(values),
        codes=np.zeros((200, 0), np.int32),
        setting=np.arange(200),
        layout=layout,
    )


@pytest.mark.parametrize("floor", [False, True])
def test_counts_are_spread_out_by_less_than_one_but_a_floor_is_not(layouts, floor):
    blocks = counting(layouts, floor=floor)
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, (200, 13)).astype(np.float32)
    batch = TrainingSet(blocks).rows(tf.range(200), tf.constant(noise))
    moved = np.asarray(batch.values) - blocks.values
    still = np.zeros_like(blocks.values, bool)
    still[:, :12] = floor & (blocks.values[:, :12] == 0)
    np.testing.assert_array_equal(moved[still], 0)
    np.testing.assert_allclose(moved[~still], 0.5 * noise[~still], atol=1e-6)


@pytest.mark.parametrize("shape", [(3,), (2, 4)])
def test_rows_come_in_the_shape_of_their_index(coded_blocks, shape):
    index = tf.constant(np.arange(np.prod(shape)).reshape(shape))
    batch = TrainingSet(coded_blocks).rows(index)
    assert batch.values.shape == (*shape, 2)
    assert batch.joint_seen.shape == (*shape, 7)
