"""Pareto fronts, on settings whose front is plain, and against a count by hand."""

import numpy as np
import pytest

from virtlab.screening.front import front_probability, layers, on_front
from virtlab.screening.spread import expect, plausible, together


def by_hand(gains):
    """Whom nobody dominates, by comparing every pair."""
    better = (gains[:, None] >= gains).all(axis=2) & (gains[:, None] > gains).any(axis=2)
    return ~better.any(axis=0)


@pytest.mark.parametrize("goals", [2, 3, 4])
@pytest.mark.parametrize("levels", [3, 1000])  # few levels: many equals
def test_front_is_whom_nobody_dominates(goals, levels):
    rng = np.random.default_rng(goals * levels)
    for _ in range(20):
        gains = rng.integers(0, levels, (40, goals)).astype(float)
        np.testing.assert_array_equal(on_front(gains), by_hand(gains))


def test_layers_are_the_fronts_of_those_that_are_left():
    gains = np.array([[3.0, 1], [1, 3], [2, 0], [0, 2], [0, 0], [1, 3]])
    assert layers(gains).tolist() == [1, 1, 2, 2, 3, 1]


def test_a_setting_that_noise_alone_keeps_off_the_front_may_stand_on_it():
    draws = np.array([[[1.0, 1], [0, 0]], [[0, 0], [1, 1]], [[1, 0], [0, 1]], [[2, 2], [1, 1]]])
    assert front_probability(draws).tolist() == [0.75, 0.5]


def test_plausible_truths_spread_as_the_interval_says():
    rng = np.random.default_rng(0)
    member = np.tile(np.arange(60) % 6, (3, 1))
    values = rng.normal(0, 1, (3, 60)) + np.array([[0.0], [5], [10]]) + member
    found = expect(values, member, 6)
    draws = plausible(together([found]), draws=20_000, rng=rng)[..., 0]
    assert draws.shape == (20_000, 3)
    np.testing.assert_allclose(
        np.quantile(draws, [0.05, 0.95], axis=0), [found.low, found.high], rtol=0.05, atol=0.1
    )


def test_what_the_members_agree_on_holds_in_every_plausible_truth():
    """Members differ by a lot, but the second setting is better in all of them."""
    member = np.tile(np.arange(40) % 4, (2, 1))
    found = expect(10.0 * member + np.array([[0.0], [1.0]]), member, 4)
    draws = plausible(together([found]), draws=500, rng=np.random.default_rng(0))[..., 0]
    assert (draws[:, 1] > draws[:, 0]).all()
    assert draws[:, 0].std() > 5
