"""What a few members of an ensemble say of all of them."""

import numpy as np
import pytest

from virtlab import scores
from virtlab.training.panel import Panel

SIZE, TRIALS = 8, 4000


@pytest.fixture(scope="module")
def ensemble():
    """Draws of eight members who are off by 1 each, and what was measured: noise of 1."""
    rng = np.random.default_rng(0)
    off = rng.standard_normal((SIZE, 1, TRIALS, 1))
    draws = off + rng.standard_normal((SIZE, 24, TRIALS, 1))
    return draws, rng.standard_normal((TRIALS, 1))


def figures(panel, real):
    weight, rng = np.ones(TRIALS), np.random.default_rng(1)
    return [
        panel.energy_scores(real).mean(),
        *panel.coverage(real, (0.5, 0.9), rng),
        panel.dispersion(real, weight),
    ]


@pytest.mark.parametrize("members", [2, 3])
def test_a_few_members_tell_what_all_are_together(ensemble, members):
    draws, real = ensemble
    all_of_them = figures(Panel(draws, SIZE, SIZE), real)
    few = figures(Panel(draws[:members], members, SIZE), real)
    np.testing.assert_allclose(few, all_of_them, atol=0.025)
    alone = figures(Panel(draws[:1], 1, SIZE), real)
    assert (np.abs(np.subtract(alone, all_of_them)) > 0.05).all()


def test_all_members_together_have_the_score_of_their_pooled_draws(ensemble):
    draws, real = ensemble
    mixed = draws.swapaxes(0, 1).reshape(-1, TRIALS, 1)
    pooled = np.random.default_rng(2).permutation(mixed)
    expected = scores.energy_scores(pooled, real).mean()
    assert Panel(draws, SIZE, SIZE).energy_scores(real).mean() == pytest.approx(expected, abs=0.01)


def test_one_member_alone_speaks_for_itself(ensemble):
    draws, real = ensemble
    panel = Panel(draws[:1], 1, SIZE)
    np.testing.assert_allclose(panel.energy_scores(real), scores.energy_scores(draws[0], real))
    rank = scores.ranks(draws[0], real, np.random.default_rng(3))
    covered = panel.coverage(real, (0.5,), np.random.default_rng(3))
    assert covered == [scores.coverage(rank, 0.5)]


def test_members_whose_training_the_trials_ended_do_not_flatter_the_score(ensemble):
    draws, real = ensemble
    nearer = draws[:2].copy()
    nearer[1] += 0.5 * (real - nearer[1].mean(axis=0))  # half as far off
    fair = Panel(draws[:2], 2, SIZE).energy_scores(real).mean()
    flattered = Panel(nearer, 2, SIZE).energy_scores(real).mean()
    judged_by_one = Panel(nearer, 1, SIZE).energy_scores(real).mean()
    assert flattered < 0.95 * fair
    assert judged_by_one > flattered + 0.05


def test_what_is_missing_drops_out(ensemble):
    draws, real = ensemble
    wide = np.concatenate([draws[:2, :, :50], draws[:2, :, 50:100]], axis=-1)
    truth = np.concatenate([real[:50], np.full((50, 1), np.nan)], axis=-1)
    np.testing.assert_allclose(
        Panel(wide, 2, SIZE).energy_scores(truth),
        Panel(wide[..., :1], 2, SIZE).energy_scores(truth[:, :1]),
    )
    unseen = Panel(wide, 2, SIZE).energy_scores(np.full((50, 2), np.nan))
    assert np.isnan(unseen).all()
