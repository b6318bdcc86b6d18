"""Draws by members that never saw the settings."""

from dataclasses import replace

import numpy as np
import pytest

from virtlab.gan.fit import Fit
from virtlab.gan.folds import split_by_setting
from virtlab.gan.generators import Textbook
from virtlab.gan.predict import held_out_draws
from virtlab.jury import Jury


@pytest.fixture
def signed(gaussian_blocks):
    """A fit whose member m always draws exactly m."""
    blocks = gaussian_blocks(settings=12, replicates=2)
    generator = Textbook(1, blocks.layout, width=2)
    weights = {
        name: np.zeros_like(value)
        for name, value in generator.init(np.random.default_rng(0), 6).items()
    }
    weights["dense.2.b"] += np.arange(6, dtype=np.float32)[:, None, None]
    folds = split_by_setting(blocks.setting, members=6, folds=3, rng=np.random.default_rng(0))
    return Fit(generator, weights, {}, folds, np.ones(6), "x", 0, 0, [], "done"), blocks


def test_trials_are_drawn_in_turn_by_all_members_that_held_them_out(signed):
    fit, blocks = signed
    held = held_out_draws(fit, blocks, draws=10, max_rows=100, seed=0)
    np.testing.assert_array_equal(held.rows, np.arange(24))
    assert held.values.shape == (10, 24, 1)
    for row in held.rows:
        allowed = {m for m in range(6) if row in fit.folds.held[m, : fit.folds.held_count[m]]}
        drawn, counts = np.unique(held.values[:, row, 0], return_counts=True)
        assert set(drawn) == allowed
        assert set(counts) == {5}


def test_draws_round_up_to_all_members_alike(signed):
    fit, blocks = signed
    assert held_out_draws(fit, blocks, draws=9, max_rows=100, seed=0).values.shape[0] == 10


def test_no_more_rows_than_asked_for_and_no_row_twice(signed):
    fit, blocks = signed
    held = held_out_draws(fit, blocks, draws=2, max_rows=7, seed=0)
    assert len(set(held.rows.tolist())) == 7
    assert held.values.shape[1] == 7
    again = held_out_draws(fit, blocks, draws=2, max_rows=7, seed=0)
    np.testing.assert_array_equal(held.rows, again.rows)


def test_trials_kept_apart_are_drawn_by_all_members_and_alone(signed):
    fit, blocks = signed
    apart = np.array([3, 4], np.int32)
    fit = replace(fit, folds=replace(fit.folds, apart=apart))
    held = held_out_draws(fit, blocks, draws=12, max_rows=100, seed=0)
    np.testing.assert_array_equal(held.rows, apart)
    assert held.jury == Jury(judges=6, enders=0, members=6)
    for drawn in held.values[:, :, 0].T:
        np.testing.assert_array_equal(np.unique(drawn, return_counts=True)[1], [2] * 6)


def test_members_whose_training_a_trial_ended_draw_after_its_judges(signed):
    fit, blocks = signed
    folds = split_by_setting(
        blocks.setting, members=6, folds=6, rng=np.random.default_rng(1), judging=2, stop=True
    )
    held = held_out_draws(replace(fit, folds=folds), blocks, draws=8, max_rows=100, seed=0)
    assert held.jury == Jury(judges=2, enders=1, members=6)
    assert len(held.values) == 12
    for row in held.rows:
        drawn = held.values[:, row, 0]
        judges = {m for m in range(6) if row in folds.held[m, : folds.held_count[m]]}
        (ender,) = {m for m in range(6) if row in folds.stop[m, : folds.stop_count[m]]}
        assert set(drawn[:8]) == judges
        assert set(drawn[8:]) == {ender}
