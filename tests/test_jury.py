"""What a few members of an ensemble say of all of them."""

import numpy as np
import pytest

from virtlab import scores
from virtlab.jury import Jury

SIZE, TRIALS = 8, 4000


@pytest.fixture(scope="module")
def ensemble():
    """Draws of eight members who are off by 1 each, and what was measured: noise of 1."""
    rng = np.random.default_rng(0)
    off = rng.standard_normal((SIZE, 1, TRIALS, 1))
    draws = off + rng.standard_normal((SIZE, 24, TRIALS, 1))
    return draws, rng.standard_normal((TRIALS, 1))


def figures(jury, draws, real):
    weight, rng = np.ones(TRIALS), np.random.default_rng(1)
    return [
        jury.energy_scores(draws, real).mean(),
        *jury.coverage(draws, real, (0.5, 0.9), rng),
        jury.dispersion(draws, real, weight),
    ]


def of_first(draws, members):
    """Draws of some members, one after another."""
    return draws[:members].reshape(-1, *draws.shape[2:])


@pytest.mark.parametrize("members", [2, 3])
def test_a_few_members_tell_what_all_are_together(ensemble, members):
    draws, real = ensemble
    all_of_them = figures(Jury(SIZE, 0, SIZE), of_first(draws, SIZE), real)
    few = figures(Jury(members, 0, SIZE), of_first(draws, members), real)
    np.testing.assert_allclose(few, all_of_them, atol=0.025)
    alone = figures(Jury(1, 0, SIZE), draws[0], real)
    assert (np.abs(np.subtract(alone, all_of_them)) > 0.05).all()


def test_all_members_together_have_the_score_of_their_pooled_draws(ensemble):
    draws, real = ensemble
    mixed = draws.swapaxes(0, 1).reshape(-1, TRIALS, 1)
    pooled = np.random.default_rng(2).permutation(mixed)
    expected = scores.energy_scores(pooled, real).mean()
    found = Jury(SIZE, 0, SIZE).energy_scores(of_first(draws, SIZE), real).mean()
    assert found == pytest.approx(expected, abs=0.01)


def test_one_member_alone_speaks_for_itself(ensemble):
    draws, real = ensemble
    jury = Jury(1, 0, SIZE)
    found = jury.energy_scores(draws[0], real)
    np.testing.assert_allclose(found, scores.energy_scores(draws[0], real))
    rank = scores.ranks(draws[0], real, np.random.default_rng(3))
    covered = jury.coverage(draws[0], real, (0.5,), np.random.default_rng(3))
    assert covered == [scores.coverage(rank, 0.5)]
    assert jury.shares == [1]


def test_members_whose_training_the_trials_ended_do_not_flatter_the_score(ensemble):
    draws, real = ensemble
    nearer = draws[:2].copy()
    nearer[1] += 0.5 * (real - nearer[1].mean(axis=0))  # half as far off
    fair = Jury(2, 0, SIZE).energy_scores(of_first(draws, 2), real).mean()
    flattered = Jury(2, 0, SIZE).energy_scores(of_first(nearer, 2), real).mean()
    judged_by_one = Jury(1, 1, SIZE).energy_scores(of_first(nearer, 2), real).mean()
    assert flattered < 0.95 * fair
    assert judged_by_one > flattered + 0.05
    assert len(Jury(1, 1, SIZE).of_judges(of_first(nearer, 2))) == 24


def test_views_share_what_they_say(ensemble):
    draws, _ = ensemble
    jury = Jury(1, 1, 10)
    assert [len(view) for view in jury.views(of_first(draws, 2))] == [24, 24, 48]
    np.testing.assert_allclose(jury.shares, [1 - 0.9, -0.9, 1.8])


def test_what_is_missing_drops_out(ensemble):
    draws, real = ensemble
    narrow, jury = of_first(draws, 2)[:, :50], Jury(2, 0, SIZE)
    wide = np.concatenate([narrow, of_first(draws, 2)[:, 50:100]], axis=-1)
    truth = np.concatenate([real[:50], np.full((50, 1), np.nan)], axis=-1)
    found = jury.energy_scores(wide, truth)
    np.testing.assert_allclose(found, jury.energy_scores(narrow, real[:50]))
    assert np.isnan(jury.energy_scores(wide, np.full((50, 2), np.nan))).all()
