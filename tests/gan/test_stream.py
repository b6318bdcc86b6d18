"""Minibatches of trials that memory does not hold."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from virtlab.gan.batches import TrainingSet
from virtlab.gan.blocks import joined
from virtlab.gan.folds import split_by_setting
from virtlab.gan.stages import Minibatches
from virtlab.gan.stream import Stream, streamed

SETTINGS, REPLICATES = 200, 20


@pytest.fixture
def streaming(gaussian_blocks):
    """Batches of 4,000 trials at 200 settings, of which a sample holds 150; and which is where.

    The condition tells the setting, the value the trial.
    """
    rng = np.random.default_rng(0)
    full = gaussian_blocks(SETTINGS, REPLICATES)
    full = full.take(rng.permutation(len(full)))
    full = replace(full, values=np.arange(len(full), dtype=np.float32)[:, None])
    keys = rng.integers(-(2**62), 2**62, SETTINGS)
    there = replace(full, setting=keys[full.setting])
    known = rng.permutation(SETTINGS)[:150]
    number = np.full(SETTINGS, -1)
    number[known] = np.arange(150)
    picked = np.flatnonzero(number[full.setting] >= 0)[::3]
    sample = replace(full.take(picked), setting=number[full.setting[picked]])

    def read(start, count):
        return there.take(np.arange(start, start + count) % len(there))

    def weighted(weight):
        trials = replace(there, weight=weight)
        return lambda start, n: trials.take(np.arange(start, start + n) % len(there))

    def make(members=4, folds=2, size=32, seed=7, generators=1, weight=None):
        split = split_by_setting(
            sample.setting, members=members, folds=folds, rng=np.random.default_rng(1)
        ).repeated(generators)
        stream = Stream(read if weight is None else weighted(weight), len(there), keys[known])
        streams.append(stream)
        mine = sample if weight is None else replace(sample, weight=weight[picked])
        batches = Minibatches(TrainingSet(mine), split, size, seed)
        return streamed(batches, stream, sample.setting, folds, generators)

    streams = []
    make.full, make.sample, make.known = full, sample, known
    yield make
    for stream in streams:
        stream.close()


def taken(batches, first, steps, turns=1):
    """Trial numbers, ``(step, turn, member, row)``; without the turns where there is one."""
    feed = batches.feed(first, steps, turns)
    found = []
    for step in range(first, first + steps):
        drawn = batches.drawn(tf.constant(step), feed)
        found.append([drawn(turn).values[..., 0] for turn in range(turns)])
    numbers = np.array(found).astype(int)
    return numbers[:, 0] if turns == 1 else numbers


def test_no_member_meets_a_setting_that_it_holds_out(streaming):
    batches = streaming()
    found = taken(batches, 0, 40)
    for member in range(4):
        held = batches.folds.held[member, : batches.folds.held_count[member]]
        out = streaming.known[streaming.sample.setting[held]]
        assert not np.isin(streaming.full.setting[found[:, member]], out).any()


def test_settings_outside_the_sample_belong_to_one_fold_each(streaming):
    batches = streaming()
    found = taken(batches, 0, 150)
    met = [set(streaming.full.setting[found[:, m]].ravel()) for m in range(4)]
    unknown = set(range(SETTINGS)) - set(streaming.known)
    for first in (0, 2):  # members of one shuffle share out what they do not see
        mine, other = (met[first + i] & unknown for i in range(2))
        assert mine.isdisjoint(other)
        assert mine | other == unknown
    assert met[0] & unknown != met[2] & unknown


def test_every_trial_is_met_about_once_before_any_comes_again(streaming):
    batches = streaming(size=30)
    steps = len(streaming.full) // 2 // 30  # each member learns from half of the trials
    for rows in taken(batches, 0, steps).transpose(1, 0, 2):
        times = np.bincount(rows.ravel(), minlength=len(streaming.full))
        learned = times > 0
        assert learned.sum() > 0.85 * len(streaming.full) / 2
        assert (times[learned] == 1).mean() > 0.85


def test_members_read_from_different_places(streaming):
    found = taken(streaming(), 0, 1)[0]
    assert not np.isin(found[0], found[2]).any()


def test_minibatch_is_a_function_of_seed_and_step(streaming):
    whole = taken(streaming(), 0, 12)
    np.testing.assert_array_equal(taken(streaming(), 7, 5), whole[7:])
    again = streaming()
    np.testing.assert_array_equal(taken(again, 0, 5), whole[:5])
    np.testing.assert_array_equal(taken(again, 5, 7), whole[5:])  # the same feed, further on
    np.testing.assert_array_equal(taken(again, 3, 2), whole[3:5])  # and back
    assert not np.array_equal(taken(streaming(seed=8), 0, 12), whole)


def test_closed_stream_lets_go_of_what_is_read_ahead_and_can_be_read_again(streaming):
    batches = streaming()
    whole = taken(batches, 0, 3)
    feed = weakref.ref(batches.feed(3, 1, 1))
    assert feed() is not None
    batches.stream.close()
    gc.collect()
    assert feed() is None
    np.testing.assert_array_equal(taken(batches, 0, 3), whole)


def test_each_turn_of_a_step_has_rows_of_its_own(streaming):
    found = taken(streaming(), 0, 6, turns=3)
    assert found.shape == (6, 3, 4, 32)
    for member in range(4):
        times = np.bincount(found[:, :, member].ravel())
        assert (times[times > 0] == 1).mean() > 0.85
    np.testing.assert_array_equal(taken(streaming(), 4, 2, turns=3), found[4:])


def test_several_generators_of_a_member_hold_out_the_same(streaming):
    met = taken(streaming(members=2, generators=2), 0, 150)
    settings = [set(streaming.full.setting[met[:, i]].ravel()) for i in range(4)]
    assert settings[0] == settings[1]
    assert settings[2] == settings[3]
    assert settings[0].isdisjoint(settings[2])


def test_rows_come_in_proportion_to_their_weights(streaming):
    weight = np.where(np.arange(len(streaming.full)) % 2, 3.0, 1.0)
    found = taken(streaming(weight=weight), 0, 200)
    assert (found % 2).mean() == pytest.approx(0.75, abs=0.02)
    np.testing.assert_array_equal(taken(streaming(weight=weight), 150, 5), found[150:155])


def test_batch_is_what_rows_of_the_blocks_would_be(coded_blocks):
    split = split_by_setting(coded_blocks.setting, members=2, folds=2, rng=np.random.default_rng(0))
    keys = np.random.default_rng(0).integers(-(2**62), 2**62, 24)
    there = replace(coded_blocks, setting=keys[coded_blocks.setting])
    stream = Stream(lambda start, n: there.take(np.arange(start, start + n) % 120), 120, keys)
    data = TrainingSet(coded_blocks)
    batches = streamed(Minibatches(data, split, 16, 0), stream, coded_blocks.setting, 2, 1)
    batch = batches.drawn(tf.constant(0), batches.feed(0, 1, 1))(0)
    stream.close()
    whole = data.rows(tf.range(120))

    def named(rows):
        return np.concatenate([rows.conditions, rows.values], axis=-1)

    order = {tuple(row): i for i, row in enumerate(named(whole))}
    index = [[order[tuple(row)] for row in rows] for rows in named(batch)]
    expected = data.rows(tf.constant(index))
    for name in ("conditions", "observed", "free", "levels", "joint_seen"):
        np.testing.assert_allclose(getattr(batch, name), getattr(expected, name), atol=1e-6)


def test_joined_blocks_are_one_after_the_other(coded_blocks):
    parts = [coded_blocks.take(np.arange(50)), coded_blocks.take(np.arange(50, 120))]
    whole = joined(parts)
    np.testing.assert_array_equal(whole.values, coded_blocks.values)
    np.testing.assert_array_equal(whole.setting, coded_blocks.setting)
