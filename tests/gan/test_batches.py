"""Trials as tensors: masks, atoms, gaps in signals."""

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


def test_a_value_on_its_atom_is_seen_but_is_no_feature_to_explain(coded_blocks):
    data = TrainingSet(coded_blocks)
    batch = data.rows(tf.range(len(coded_blocks)))
    on_atom = coded_blocks.codes[:, 0] == 1
    assert on_atom.any()
    np.testing.assert_array_equal(np.asarray(batch.features_observed)[on_atom, 1], 0)
    np.testing.assert_array_equal(
        np.asarray(batch.features_observed)[~on_atom, 1], coded_blocks.observed[~on_atom, 1]
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


def signals(layout, features, rng, gap):
    """Blocks of signals on the basis, with a gap in each."""
    n = len(features)
    values = (features @ layout.basis).astype(np.float32)
    observed = np.ones_like(values)
    observed[:, gap] = 0
    return Blocks(
        conditions=np.zeros((n, 1), np.float32),
        values=values * observed,
        observed=observed,
        codes=np.zeros((n, 0), np.int32),
        setting=np.arange(n),
        layout=layout,
    )


def test_gaps_in_signals_are_filled_from_what_was_observed(layouts):
    layout = layouts["wide"]()
    rng = np.random.default_rng(0)
    features = rng.standard_normal((20, layout.features))
    blocks = signals(layout, features, rng, gap=slice(3, 5))
    batch = TrainingSet(blocks).rows(tf.range(20))
    np.testing.assert_allclose(batch.features, features, atol=0.02)
    np.testing.assert_array_equal(batch.observed, blocks.observed)
    outside = TrainingSet(blocks).outside(batch)
    np.testing.assert_allclose(outside, 0, atol=0.02)


def test_signal_of_which_nothing_was_measured_counts_as_missing(layouts):
    layout = layouts["wide"]()
    rng = np.random.default_rng(0)
    blocks = signals(layout, rng.standard_normal((5, layout.features)), rng, gap=slice(0, 9))
    batch = TrainingSet(blocks).rows(tf.range(5))
    np.testing.assert_array_equal(batch.features_observed, [[0, 0, 1]] * 5)
    assert np.isfinite(batch.features).all()


@pytest.mark.parametrize("shape", [(3,), (2, 4)])
def test_rows_come_in_the_shape_of_their_index(coded_blocks, shape):
    index = tf.constant(np.arange(np.prod(shape)).reshape(shape))
    batch = TrainingSet(coded_blocks).rows(index)
    assert batch.values.shape == (*shape, 2)
    assert batch.joint_seen.shape == (*shape, 7)
