"""What each member sees and does not see."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.gan.folds import MOST_APART, split_by_setting
from virtlab.gan.presets import folds_for


def rows_of(padded, counts, member):
    return padded[member, : counts[member]]


@given(
    settings=st.integers(2, 30),
    trials=st.integers(2, 80),
    members=st.integers(1, 12),
    folds=st.integers(2, 5),
    seed=st.integers(0, 2**32),
)
def test_no_setting_is_both_trained_on_and_held_out(settings, trials, members, folds, seed):
    rng = np.random.default_rng(seed)
    setting = np.concatenate([np.arange(settings), rng.integers(0, settings, trials)])
    found = split_by_setting(setting, members=members, folds=min(folds, settings), rng=rng)
    for member in range(members):
        train = rows_of(found.train, found.train_count, member)
        held = rows_of(found.held, found.held_count, member)
        assert not set(setting[train]) & set(setting[held])
        assert sorted([*train, *held]) == list(range(len(setting)))


@pytest.mark.parametrize("folds", [2, 5])
def test_each_shuffle_holds_every_trial_out_once(folds):
    setting = np.arange(90) // 3
    rng = np.random.default_rng(0)
    found = split_by_setting(setting, members=2 * folds, folds=folds, rng=rng)
    for first in (0, folds):
        held = [rows_of(found.held, found.held_count, m) for m in range(first, first + folds)]
        np.testing.assert_array_equal(np.sort(np.concatenate(held)), np.arange(90))


def test_folds_are_of_nearly_equal_size_in_settings():
    found = split_by_setting(np.arange(103), members=5, folds=5, rng=np.random.default_rng(0))
    assert set(found.held_count.tolist()) == {20, 21}


def test_second_shuffle_differs_from_the_first():
    found = split_by_setting(np.arange(50), members=4, folds=2, rng=np.random.default_rng(0))
    assert set(found.held[0]) != set(found.held[2])


def test_padding_repeats_rows_of_the_same_member_and_is_masked():
    found = split_by_setting(np.arange(7), members=3, folds=3, rng=np.random.default_rng(0))
    for member in range(3):
        count = found.held_count[member]
        assert set(found.held[member, count:]) <= set(found.held[member, :count])
        assert found.held_mask[member].sum() == count


def test_few_of_many_held_out_trials_are_kept_for_scores_and_none_is_trained_on():
    setting = np.arange(400) // 4
    found = split_by_setting(setting, members=2, folds=2, rng=np.random.default_rng(0), max_held=30)
    np.testing.assert_array_equal(found.held_count, 30)
    np.testing.assert_array_equal(found.train_count, 200)
    for member in range(2):
        assert not set(setting[found.held[member]]) & set(setting[found.train[member]])


@pytest.mark.parametrize("members", range(2, 17))
def test_members_divide_evenly_into_folds(members):
    folds = folds_for(members, 100)
    assert members % folds == 0
    assert 2 <= folds <= members


@pytest.mark.parametrize("members", [5, 10])
def test_of_many_settings_some_are_kept_apart_from_all_members(members):
    setting = np.arange(9000) // 2
    rng = np.random.default_rng(0)
    found = split_by_setting(setting, members=members, folds=5, rng=rng)
    apart = set(found.apart)
    assert 200 < len(apart) <= 2 * MOST_APART
    assert {row ^ 1 for row in apart} == apart  # replicates stay together
    for member in range(members):
        train = set(rows_of(found.train, found.train_count, member))
        held = set(rows_of(found.held, found.held_count, member))
        assert not apart & (train | held)
        assert apart | train | held == set(range(9000)) or len(held) == 2000
        assert set(rows_of(found.judging.held, found.judging.held_count, member)) == apart
    assert found.repeated(2).judging.members == 2 * members


@pytest.mark.parametrize("members", [5, 10])
def test_completed_folds_hold_all_trials_out_equally_often(members):
    setting = np.arange(12_000) // 3
    rng = np.random.default_rng(0)
    found = split_by_setting(setting, members=members, folds=5, rng=rng, max_held=400)
    whole = found.complete(12_000)
    held = np.concatenate([rows_of(whole.held, whole.held_count, m) for m in range(members)])
    np.testing.assert_array_equal(np.bincount(held), np.full(12_000, members // 5))
    for member in range(members):
        train = rows_of(whole.train, whole.train_count, member)
        assert not np.intersect1d(train, rows_of(whole.held, whole.held_count, member)).size


def test_of_few_settings_each_member_judges_what_it_held_out():
    found = split_by_setting(np.arange(100), members=5, folds=5, rng=np.random.default_rng(0))
    assert found.judging is found


@given(
    judging=st.integers(1, 2),
    folds=st.integers(4, 12),
    more=st.integers(0, 20),
    seed=st.integers(0),
)
def test_what_ends_a_members_training_is_neither_learned_from_nor_judges_it(
    judging, folds, more, seed
):
    setting, rng = np.repeat(np.arange(folds + more), 2), np.random.default_rng(seed)
    how = {"members": folds, "folds": folds, "judging": judging, "stop": True}
    found = split_by_setting(setting, **how, rng=rng)
    ends, judged = found.stopping, np.zeros(len(setting), int)
    for member in range(folds):
        train = rows_of(found.train, found.train_count, member)
        held = rows_of(found.held, found.held_count, member)
        stop = rows_of(ends.held, ends.held_count, member)
        assert len(stop)
        assert sorted([*train, *held, *stop]) == list(range(len(setting)))
        assert not set(setting[held]) & set(setting[stop])
        assert not set(setting[train]) & set(setting[[*held, *stop]])
        judged[held] += 1
    assert set(judged) == {judging}
    assert found.unseen == judging + 1


def test_members_that_are_repeated_or_shared_out_keep_what_ends_their_training():
    rng = np.random.default_rng(0)
    found = split_by_setting(np.arange(40), members=4, folds=4, rng=rng, stop=True)
    some = found.repeated(3).some(slice(3, 6))
    np.testing.assert_array_equal(some.stopping.held, found.stopping.held[[1, 1, 1]])


def test_without_a_fold_of_its_own_training_ends_by_what_is_held_out():
    found = split_by_setting(np.arange(10), members=5, folds=5, rng=np.random.default_rng(0))
    assert found.stopping is found
