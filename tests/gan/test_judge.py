"""Held-out scores, and the evidence for a change."""

from dataclasses import dataclass

import numpy as np
import pytest
import tensorflow as tf

from virtlab.gan.batches import TrainingSet
from virtlab.gan.blocks import Layout
from virtlab.gan.folds import split_by_setting
from virtlab.gan.judge import Judge


@dataclass(frozen=True)
class Known:
    """The true generator, shifted and stretched by its weights."""

    layout: Layout
    noise: float = 0.5
    conditions: int = 1
    uniforms: int = 0
    normals: int = 1

    def setting_part(self, _weights, conditions):
        return conditions

    def trial_part(self, weights, parameters, uniform, normal, **_):
        values = parameters * weights["slope"] + self.noise * normal + weights["shift"]
        return values, uniform


@pytest.fixture
def court(gaussian_blocks):
    """Blocks, and a judge of the `Known` generator over two folds."""
    blocks = gaussian_blocks(settings=60, replicates=5)
    folds = split_by_setting(blocks.setting, members=2, folds=2, rng=np.random.default_rng(0))
    return blocks, folds, Judge(Known(blocks.layout), TrainingSet(blocks), folds, seed=4)


def weights(shift=(0.0, 0.0), slope=(1.0, 1.0)):
    return {
        "shift": tf.reshape(tf.constant(shift), (2, 1, 1)),
        "slope": tf.reshape(tf.constant(slope), (2, 1, 1)),
    }


def test_true_generator_scores_as_its_noise_allows(court):
    _, _, judge = court
    floor = 0.5 / np.sqrt(np.pi)
    np.testing.assert_allclose(judge.scores(weights()) * judge.marginal, floor, rtol=0.1)


def test_unit_is_the_score_of_training_trials_whatever_the_setting(court):
    blocks, folds, judge = court
    for member in range(2):
        train, held = (
            blocks.values[rows[member, : count[member]], 0].astype(float)
            for rows, count in ((folds.train, folds.train_count), (folds.held, folds.held_count))
        )
        error = np.abs(held[:, None] - train).mean()
        spread = np.abs(train[:, None] - train).mean() / 2
        assert judge.marginal[member] == pytest.approx(error - spread, rel=0.1)


def test_each_member_is_judged_by_itself(court):
    _, _, judge = court
    both, one = judge.scores(weights()), judge.scores(weights(shift=(0.0, 1.0)))
    assert one[0] == both[0]
    assert one[1] > both[1] + 0.1


def test_scores_repeat(court):
    _, _, judge = court
    np.testing.assert_array_equal(judge.scores(weights()), judge.scores(weights()))


def test_states_are_compared_by_other_draws_than_those_that_chose_them(court):
    _, folds, judge = court
    looked, compared = judge.look(weights()), judge.row_scores(weights(), 64)
    rows = looked.error - 0.5 * looked.spread  # the energy score of each row
    assert rows.shape == compared.shape == folds.held.shape
    assert (np.abs(rows - compared) > 1e-6).all()
    np.testing.assert_allclose(rows, compared, atol=0.3)


def test_no_change_is_no_gain(court):
    blocks, _, judge = court
    assert judge.gain(weights(), weights(), blocks.setting) == (0.0, 0.0)


def test_gain_is_clear_where_a_shift_is_mended_and_has_the_other_sign_backwards(court):
    blocks, _, judge = court
    gain, error = judge.gain(weights(shift=(0.6, 0.6)), weights(), blocks.setting)
    assert gain > 4 * error > 0
    back, same = judge.gain(weights(), weights(shift=(0.6, 0.6)), blocks.setting)
    assert (back, same) == pytest.approx((-gain, error))


def test_replicates_are_not_independent_evidence(court):
    blocks, _, judge = court
    change = weights(shift=(0.1, -0.1)), weights()
    _, by_setting = judge.gain(*change, blocks.setting)
    _, by_trial = judge.gain(*change, np.arange(len(blocks)))
    one = np.zeros(len(blocks), np.int64)
    assert by_setting != by_trial
    assert judge.gain(*change, one)[1] == np.inf


def test_true_generator_scatters_as_replicates_do(court):
    blocks, folds, judge = court
    look = judge.look(weights())
    real = judge.real_spread(blocks.setting)
    expected = 2 * 0.5 / np.sqrt(np.pi)  # mean distance of two Gaussian draws
    for member in range(2):
        count = folds.held_count[member]
        assert look.spread[member, :count].mean() == pytest.approx(expected, rel=0.1)
        assert look.error[member, :count].mean() == pytest.approx(expected, rel=0.1)
        assert real[member, :count].mean() == pytest.approx(expected, rel=0.15)
    assert np.all(judge.share.sum(axis=1) == pytest.approx(1))


def test_rows_without_replicates_have_no_real_spread(court):
    blocks, _, judge = court
    assert np.isnan(judge.real_spread(np.arange(len(blocks)))).all()
