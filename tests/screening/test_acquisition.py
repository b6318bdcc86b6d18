"""Batches chosen on beliefs whose best choice is known."""

import numpy as np
import pytest

from virtlab.screening.acquisition import Choice, expected_improvement, exploring, improving
from virtlab.screening.belief import Belief, believe
from virtlab.screening.ignorance import Ignorance, learn_ignorance, matern
from virtlab.screening.record import Record


def belief(mean, deviation, correlation=None):
    mean = np.atleast_2d(mean).astype(float)
    deviation = np.broadcast_to(deviation, mean.shape[1])
    correlation = np.eye(mean.shape[1]) if correlation is None else correlation
    covariance = correlation * np.multiply.outer(deviation, deviation)
    return Belief(mean, np.repeat(covariance[None], len(mean), axis=0))


def choice(size, *, likely=1.0, cost=1.0, barred=(), pending=()):
    allowed = np.ones(size, bool)
    allowed[list(barred)] = False
    wide = np.ones(size)
    return Choice(likely * wide, cost * wide, allowed, pending)


def improve(known, given, count, best=0.0, seed=0):
    reached = np.full((len(known.mean), 1), best)
    return improving(known, reached, given, count, np.random.default_rng(seed))


def test_one_choice_is_by_expected_improvement():
    known = belief([0.0, 1.0, 0.5], [2.0, 0.1, 1.0])
    alone = expected_improvement(known.mean[0], known.deviation[0], 0.8)
    found = improve(known, choice(3), 1, best=0.8)
    assert found.settings == [int(np.argmax(alone))]
    assert found.adds[0] == pytest.approx(alone.max(), rel=0.1)


def test_what_is_good_only_with_one_already_chosen_adds_nothing():
    twins = np.array([[1, 0.999, 0], [0.999, 1, 0], [0, 0, 1]])
    known = belief([1.0, 0.99, 0.8], 1.0, twins)
    assert improve(known, choice(3), 2).settings == [0, 2]
    independent = belief([1.0, 0.99, 0.8], 1.0)
    assert improve(independent, choice(3), 2).settings == [0, 1]


def test_what_a_pending_trial_will_tell_is_not_asked_again():
    twins = np.array([[1, 0.999, 0], [0.999, 1, 0], [0, 0, 1]])
    known = belief([1.0, 0.99, 0.8], 1.0, twins)
    assert improve(known, choice(3, pending=[0]), 1).settings == [2]
    explored = exploring(known, np.array([0.01]), choice(3, pending=[0]), 1)
    assert explored.settings == [2]


def test_a_setting_that_will_hardly_meet_the_requirements_is_passed_over():
    known = belief([1.0, 0.8], 0.3)
    assert improve(known, choice(2), 1).settings == [0]
    assert improve(known, choice(2, likely=np.array([0.2, 1.0])), 1).settings == [1]


def test_improvement_is_per_cost():
    known = belief([1.0, 0.8], 0.3)
    assert improve(known, choice(2, cost=np.array([3.0, 1.0])), 1).settings == [1]


def test_only_what_is_allowed_is_chosen_and_never_twice():
    known = belief(np.linspace(0, 1, 6), 0.5)
    found = improve(known, choice(6, barred=[5], pending=[4]), 10)
    assert sorted(found.settings) == [0, 1, 2, 3]


def test_without_hope_what_comes_nearest_is_chosen():
    known = belief([0.0, 0.5, 0.2], 1e-3)
    found = improve(known, choice(3), 1, best=100.0)
    assert found.settings == [1]
    assert found.adds == [0]


def test_several_goals_are_improved_from_both_ends():
    known = belief([[1.0, 0.4, 0.3, 0.0], [0.4, 1.0, 0.3, 0.0]], 0.05)
    found = improving(known, np.zeros((2, 1)), choice(4), 2, np.random.default_rng(0))
    assert sorted(found.settings) == [0, 1]


def test_exploring_spreads_over_what_is_unknown():
    x = np.linspace(0, 1, 21)
    known = belief(np.zeros(21), 1.0, matern(abs(x[:, None] - x) / 0.3))
    found = exploring(known, np.array([0.01]), choice(21), 3)
    assert np.diff(np.sort(found.settings)).min() >= 6
    assert found.adds == sorted(found.adds, reverse=True)


def test_members_that_agree_between_far_settings_by_chance_are_not_believed():
    rng = np.random.default_rng(0)
    places = np.array([[0.0], [0.1], [50.0]])
    own = rng.standard_normal((1, 1, 4))
    nothing_else = Ignorance(places[:1], np.zeros(1), length=1.0, variance=1e-12)
    known = believe(np.repeat(own, 3, axis=1), np.zeros((1, 3)), 400, places, [nothing_else])
    near, far = known.covariance[0, 0, 1:] / known.covariance[0, 0, 0]
    assert near > 0.9
    assert far < 0.1


def test_what_few_trials_make_of_means_is_taken_out_and_draws_stay_as_wide_as_stated():
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 1, (200, 2))
    true = 0.5 * rng.standard_normal((1, 1, 10))
    means = true + rng.standard_normal((1, 200, 10))  # of two trials each, with variance 2
    known = believe(means, np.full((1, 200), 2.0), 20, places, [None])
    assert known.deviation.mean() == pytest.approx(0.5, abs=0.25)
    drawn = known.draws(4000, rng)[0]
    np.testing.assert_allclose(drawn.std(axis=0), known.deviation[0], atol=0.06)


def test_draws_have_the_beliefs_mean_and_covariance():
    known = belief([1.0, 2.0], [1.0, 0.5], np.array([[1, 0.7], [0.7, 1]]))
    drawn = known.draws(20_000, np.random.default_rng(0))[0]
    np.testing.assert_allclose(drawn.mean(axis=0), [1, 2], atol=1e-9)
    np.testing.assert_allclose(np.cov(drawn.T), known.covariance[0], atol=0.03)


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_ignorance_states_errors_as_large_as_they_are(noise):
    rng = np.random.default_rng(3)
    places = rng.uniform(0, 4, (400, 2))
    truth = np.linalg.cholesky(np.exp(-matern_distance(places)) + 1e-9 * np.eye(400)) @ (
        rng.standard_normal(400)
    )
    measured = truth[:60] + noise / np.sqrt(3) * rng.standard_normal(60)
    # A prediction that knows nothing: it misses all there is.
    known = learn_ignorance(
        places[:60], measured, np.full(60, 3.0), noise**2, measured - measured.mean()
    )
    assert known is not None
    near = known.deviation(places[:60])
    far = known.deviation(np.array([[40.0, 40.0]]))
    assert near.max() < far[0]
    covariance = known.covariance(places[60:90])
    np.testing.assert_allclose(known.deviation(places[60:90]) ** 2, np.diag(covariance))
    # Left out, each place is missed by what was said, on average.
    spread = [
        Ignorance(
            np.delete(known.places, i, 0), np.delete(known.noise, i), *known_scale(known)
        ).deviation(known.places[[i]])[0]
        for i in range(60)
    ]
    stated = np.mean(np.square(spread)) + noise**2 / 3
    assert stated == pytest.approx(np.var(measured), rel=0.1)


def test_without_replicates_noise_is_not_taken_for_ignorance():
    """A prediction that is right misses noise alone; one that is off by much is told from it."""
    rng = np.random.default_rng(5)
    places = rng.uniform(0, 4, (200, 2))
    truth = 5 * np.sin(places[:, 0]) + 3 * np.cos(places[:, 1])
    measured = truth + rng.standard_normal(200)

    def stated(missed):
        known = learn_ignorance(places, measured, np.ones(200), 0.0, missed)
        centre = known.deviation(np.array([[2.0, 2.0]]))[0]
        return centre, np.sqrt(known.variance)

    right, wrong = stated(measured - truth), stated(measured - truth - 2 * np.sin(5 * places[:, 0]))
    assert right[0] < 0.35 * np.std(measured - truth)
    assert wrong[1] > 2 * right[1]


def known_scale(known):
    return known.length, known.variance


def matern_distance(places):
    return np.sqrt(((places[:, None] - places) ** 2).sum(-1)) / 2


def test_too_few_measured_settings_teach_no_ignorance():
    places = np.arange(5.0)[:, None]
    assert learn_ignorance(places, places[:, 0], np.ones(5), 0.0, places[:, 0]) is None


def test_near_trials_that_yielded_nothing_success_is_less_likely():
    places = np.array([[0.0], [0.2], [5.0], [5.2]])
    record = Record(
        conditions=places.astype(np.float32),
        places=places,
        goals=np.array([[np.nan, 1.0, 2.0, 3.0]]),
        counts=np.array([0.0, 1, 3, 3]),
        trials=np.full(4, 3.0),
        met=np.array([0.0, 1, 3, 3]),
        noise=np.zeros(1),
        missed=np.zeros((1, 4)),
    )
    assert record.failed == 5
    bad, good, unknown = record.yields(np.array([[0.1], [5.1], [99.0]]), [None])
    assert bad < 0.4 < unknown < 0.9 < good
    assert unknown == pytest.approx(7 / 12)
