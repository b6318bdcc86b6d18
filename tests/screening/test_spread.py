"""Noise, ignorance and probability, on draws whose answer is known."""

import numpy as np
import pytest
from scipy.special import ndtr

from virtlab.screening.spread import expect, missed_probability, probability


def drawn_in_turn(settings, trials, members):
    return np.tile(np.arange(trials) % members, (settings, 1)).astype(np.int16)


def test_ignorance_is_zero_when_members_agree():
    member = drawn_in_turn(2, 40, 4)
    values = np.where(np.arange(40) // 4 % 2, 1.0, -1.0) + np.array([[0.0], [1e6]])
    found = expect(values, member, 4)
    np.testing.assert_allclose(found.mean, [0, 1e6])
    assert found.ignorance.tolist() == [0, 0]
    np.testing.assert_allclose(found.noise, np.sqrt(40 / 36))
    np.testing.assert_allclose([found.low, found.high], [found.mean] * 2)


def test_noise_is_zero_when_only_members_differ():
    member = drawn_in_turn(1, 40, 4)
    means = np.array([1.0, 2.0, 3.0, 6.0])
    found = expect(means[member], member, 4)
    assert found.noise == 0
    assert found.mean == 3
    np.testing.assert_allclose(found.ignorance, means.std(ddof=1))


def test_interval_takes_the_truth_for_one_more_member():
    member = drawn_in_turn(1, 20, 5)
    found = expect(np.arange(5.0)[member], member, 5)
    # Student's t with 4 degrees of freedom: 95 % lie below 2.132
    half = 2.1318 * np.sqrt(2.5) * np.sqrt(1 + 1 / 5)
    np.testing.assert_allclose([found.low, found.high], [[2 - half], [2 + half]], rtol=1e-4)


def test_noise_and_ignorance_are_told_apart():
    rng = np.random.default_rng(0)
    member = drawn_in_turn(4000, 60, 6)
    means = rng.normal(0, 0.5, (4000, 6))
    values = np.take_along_axis(means, member.astype(int), axis=1) + rng.normal(0, 2, (4000, 60))
    found = expect(values, member, 6)
    assert np.sqrt((found.noise**2).mean()) == pytest.approx(2, rel=0.02)
    raw = np.stack([values[:, m::6].mean(axis=1) for m in range(6)]).var(axis=0, ddof=1).mean()
    assert raw == pytest.approx(0.5**2 + 2**2 / 10, rel=0.05)  # what a naive spread would say
    assert (found.ignorance**2).mean() < 0.6 * raw


def test_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    member = drawn_in_turn(4000, 60, 6)
    means = rng.normal(0, 1, (4000, 7))  # the seventh is the truth
    noise = rng.normal(0, 1, (4000, 60))
    values = np.take_along_axis(means[:, :6], member.astype(int), axis=1) + noise
    found = expect(values, member, 6)
    held = (found.low <= means[:, 6]) & (means[:, 6] <= found.high)
    assert held.mean() == pytest.approx(0.9, abs=0.02)


def test_members_may_have_drawn_unequally_often():
    member = np.array([[0, 0, 0, 0, 0, 0, 1, 1]])
    found = expect(np.where(member == 0, 1.0, 5.0), member, 2)
    assert found.mean == 2
    np.testing.assert_allclose(found.ignorance, np.sqrt(8))


def test_probability_is_the_share_of_trials():
    member = drawn_in_turn(3, 20, 4)
    met = np.zeros((3, 20), bool)
    met[0, :5] = True
    met[2] = True
    share, _ = probability(met, member, 4)
    assert share.tolist() == [0.25, 0, 1]


def test_error_of_a_probability_takes_the_truth_for_one_more_member():
    member = drawn_in_turn(1, 4000, 4)
    _, error = probability(member < 2, member, 4)  # two say always, two say never
    np.testing.assert_allclose(error, np.sqrt((1 / 3) * (1 + 1 / 4)), rtol=1e-3)


def test_error_of_a_probability_is_as_large_as_errors_are():
    rng = np.random.default_rng(2)
    member = drawn_in_turn(3000, 60, 6)
    chance = rng.beta(4, 2, (3000, 7))  # the seventh is the truth
    met = rng.random((3000, 60)) < np.take_along_axis(chance[:, :6], member.astype(int), axis=1)
    share, error = probability(met, member, 6)
    off = np.sqrt(((share - chance[:, 6]) ** 2).mean())
    assert np.sqrt((error**2).mean()) == pytest.approx(off, rel=0.1)


def test_what_all_members_miss_of_a_margin_moves_its_probability():
    member = drawn_in_turn(1, 4000, 4)
    noise = np.random.default_rng(0).standard_normal((1, 4000))
    near, far = noise[None], noise[None] + 9
    off = np.array([[0.5]])
    found = missed_probability(near, off, member, 4)
    assert found == pytest.approx((ndtr(0.5) - ndtr(-0.5)) / 2, abs=0.02)
    assert missed_probability(far, off, member, 4) == 0  # nothing comes near the limit
    assert missed_probability(near, 0 * off, member, 4) == 0
    both = np.concatenate([near, np.full((1, 1, 4000), -np.inf)])  # and what is never met
    assert missed_probability(both, np.array([[0.5, 0]]), member, 4) == 0


def test_error_of_a_probability_is_never_below_that_of_independent_trials():
    member = drawn_in_turn(3, 100, 4)
    met = np.stack([np.arange(100) // 4 % 2 == 0, np.zeros(100, bool), np.ones(100, bool)])
    _, error = probability(met, member, 4)
    assert error[0] == pytest.approx(0.05, rel=0.02)
    assert (error[1:] > 0.005).all()


def test_what_is_always_the_same_has_neither_noise_nor_ignorance():
    member = drawn_in_turn(1, 100, 10)
    found = expect(np.full((1, 100), 0.1 + 0.2), member, 10)
    assert found.mean == found.low == found.high == 0.1 + 0.2
    assert found.noise == found.ignorance == found.ignorance_high == 0
