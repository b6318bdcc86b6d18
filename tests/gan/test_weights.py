"""Trials that do not all count alike: in minibatches and in held-out scores."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from virtlab.gan.batches import TrainingSet
from virtlab.gan.blocks import effective_size
from virtlab.gan.folds import Folds, split_by_setting
from virtlab.gan.judge import Judge
from virtlab.gan.presets import sizes_for
from virtlab.gan.stages import Minibatches


def test_effective_size_is_that_of_kish():
    assert effective_size(np.ones(7)) == pytest.approx(7)
    assert effective_size(np.array([1.0, 1.0, 2.0])) == pytest.approx(16 / 6)
    assert effective_size(np.full(5, 1e-200)) == pytest.approx(5)


def test_rows_come_in_proportion_to_their_weights(gaussian_blocks):
    blocks = gaussian_blocks(settings=5, replicates=2)
    weight = np.arange(1.0, 11)
    marked = replace(blocks, values=np.arange(10, dtype=np.float32)[:, None], weight=weight)
    train = np.array([[0, 1, 2, 3, 4], [5, 6, 7, 5, 5]], np.int32)
    folds = Folds(train, np.array([5, 3], np.int32), train, np.array([5, 3], np.int32))
    rows = np.asarray(
        Minibatches(TrainingSet(marked), folds, 20_000, seed=1).at(tf.constant(0)).values
    )
    for member, own in enumerate(([0, 1, 2, 3, 4], [5, 6, 7])):
        found = np.bincount(rows[member, :, 0].astype(int), minlength=10) / 20_000
        np.testing.assert_allclose(found[own], weight[own] / weight[own].sum(), atol=0.015)
        assert found[own].sum() == 1


def test_every_uniform_number_finds_a_real_row():
    train = np.array([[0, 1, 2, 0]], np.int32)
    folds = Folds(train, np.array([3], np.int32), train, np.array([3], np.int32))
    rungs = folds.ladder(np.array([1.0, 1e-12, 1e9]))[0]
    places = np.searchsorted(rungs, np.array([0, 0.5, 1 - 2**-24], np.float32), side="right")
    assert set(places) <= {0, 1, 2}


class Level:
    """Draws its weight `level`, whatever the condition; `scale` apart."""

    conditions, uniforms, normals = 1, 0, 1

    def __init__(self, layout):
        self.layout = layout

    def setting_part(self, _weights, conditions):
        return conditions

    def trial_part(self, weights, parameters, uniform, normal, **_):
        return 0 * parameters + 0.1 * normal + weights["level"], uniform


def court(blocks):
    folds = split_by_setting(blocks.setting, members=2, folds=2, rng=np.random.default_rng(0))
    return Judge(Level(blocks.layout), TrainingSet(blocks), folds, seed=4)


def at(level):
    return {"level": tf.constant(level, shape=(1, 1, 1))}


def test_held_out_score_is_that_of_the_weighted_trials(gaussian_blocks):
    blocks = gaussian_blocks(settings=40, replicates=10)
    above = np.arange(400) % 2 == 0
    values = np.where(above, 1.0, -1.0).astype(np.float32)[:, None]
    blocks = replace(blocks, values=values)
    heavy = replace(blocks, weight=np.where(above, 9.0, 1.0))
    plain, weighted = court(blocks), court(heavy)
    assert plain.scores(at(1.0)) == pytest.approx(plain.scores(at(-1.0)), rel=0.1)
    assert (weighted.scores(at(1.0)) < 0.2 * weighted.scores(at(-1.0))).all()
    # Rows drawn at random score E|a - b| / 2 of a distribution with 90 % at one value.
    np.testing.assert_allclose(weighted.marginal, 0.9 * 0.1 * 2, rtol=0.35)
    gain, error = weighted.gain(at(-1.0), at(1.0), blocks.setting)
    assert gain > 4 * error > 0
    assert abs(plain.gain(at(-1.0), at(1.0), blocks.setting)[0]) < 0.1 * gain


def test_equal_weights_score_as_none(gaussian_blocks):
    blocks = gaussian_blocks()
    same = replace(blocks, weight=np.full(len(blocks), 1.0))
    np.testing.assert_allclose(
        court(blocks).scores(at(0.0)) * court(blocks).marginal,
        court(same).scores(at(0.0)) * court(same).marginal,
    )
    change = at(0.0), at(0.5), blocks.setting
    assert court(blocks).gain(*change) == pytest.approx(court(same).gain(*change))


def test_networks_follow_the_trials_that_count(gaussian_blocks):
    blocks = gaussian_blocks(settings=80, replicates=5)
    few = replace(blocks, weight=np.where(np.arange(400) < 40, 1.0, 1e-4))
    assert few.effective == pytest.approx(40, rel=0.01)
    assert sizes_for(few, "auto", None).decay > 5 * sizes_for(blocks, "auto", None).decay
