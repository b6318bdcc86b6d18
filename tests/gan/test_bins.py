"""Bins of conditions: where their edges lie, and what the core sees of them."""

import numpy as np
import pytest
import tensorflow as tf

from virtlab.gan.bins import bin_edges, bin_weights, encoded
from virtlab.gan.blocks import Blocks


def blocks_of(layout, *columns, setting=None):
    conditions = np.stack(columns, axis=1).astype(np.float32)
    n = len(conditions)
    return Blocks(
        conditions=conditions,
        values=np.zeros((n, 1), np.float32),
        observed=np.ones((n, 1), np.float32),
        codes=np.zeros((n, 0), np.int32),
        setting=np.arange(n) if setting is None else setting,
        layout=layout,
    )


@pytest.mark.parametrize(("settings", "bins"), [(120, 16), (900, 30), (9000, 64)])
def test_each_of_the_roots_number_of_bins_holds_about_as_many_settings(layouts, settings, bins):
    values = np.random.default_rng(0).permutation(np.linspace(0, 10, settings)) ** 1.5
    edges = bin_edges(blocks_of(layouts["plain"](1), values))
    assert len(edges) == bins
    held, _ = np.histogram(values, np.append(edges[:, 1], edges[-1, 2]))
    assert held == pytest.approx(settings / bins, abs=2)


def test_replicates_of_a_setting_count_once(layouts):
    values, setting = np.r_[np.zeros(900), np.arange(100)], np.r_[np.zeros(900), np.arange(100)]
    blocks = blocks_of(layouts["plain"](1), values, setting=setting.astype(int))
    assert bin_edges(blocks)[:, 1:] == pytest.approx(
        bin_edges(blocks_of(layouts["plain"](1), np.arange(100)))[:, 1:]
    )


def test_a_condition_of_two_values_has_no_bins(layouts):
    blocks = blocks_of(layouts["plain"](1), np.arange(50) % 2, np.arange(50))
    assert set(bin_edges(blocks)[:, 0]) == {1}
    assert len(bin_edges(blocks_of(layouts["plain"](1), np.arange(50) % 2))) == 0


def test_rare_values_have_bins_although_most_settings_have_one(layouts):
    values = np.r_[np.zeros(300), 1, 2, 3, 4]
    edges = bin_edges(blocks_of(layouts["plain"](1), values))
    assert edges[:, 1:].tolist() == [[0, 1], [1, 2], [2, 3], [3, 4]]


def test_values_that_hardly_differ_make_no_bins(layouts):
    values = np.repeat([0.0, 1.0, 2.0], 20) + 1e-6 * np.arange(60)
    edges = bin_edges(blocks_of(layouts["plain"](1), values))
    assert edges[:, 1:] == pytest.approx(np.array([[0, 1], [1, 2]]), abs=1e-4)


def test_a_condition_comes_through_its_bins_one_after_the_other(layouts):
    rng = np.random.default_rng(1)
    blocks = blocks_of(layouts["plain"](1), rng.normal(size=200), rng.normal(size=200))
    edges = bin_edges(blocks)
    weights = {n: tf.constant(w) for n, w in bin_weights(edges, 2, members=3).items()}
    rows = np.stack([np.linspace(-9, 9, 400), np.zeros(400)], axis=1).astype(np.float32)
    found = encoded(weights, tf.constant(np.broadcast_to(rows, (3, 400, 2)))).numpy()
    assert (found[0] == found[2]).all()
    first, other = found[0][:, edges[:, 0] == 0], found[0][:, edges[:, 0] == 1]
    assert (np.diff(first, axis=0) >= 0).all()
    assert (np.diff(other, axis=0) == 0).all()
    assert (first[0] == -0.5).all()  # below all edges, and beyond them
    assert (first[-1] == 0.5).all()
    between = (first > -0.5) & (first < 0.5)
    assert (between.sum(axis=1) <= 1).all()
    place = first.sum(axis=1) + first.shape[1] / 2
    low, high = edges[edges[:, 0] == 0][:, 1].min(), edges[edges[:, 0] == 0][:, 2].max()
    inside = (rows[:, 0] > low) & (rows[:, 0] < high)
    assert (np.diff(place[inside]) > 0).all()
