"""Numbers of replicates, beside what theory says of normal noise and counting of coins."""

import numpy as np
import pytest

from virtlab.screening.replicates import replicates

TRIALS = 400
MEMBER = np.arange(TRIALS) % 8


def needed(values, against, *, power=0.8, seed=0):
    """Of one setting, against another's trials or a value."""
    member = MEMBER[: len(values)]
    theirs = member if isinstance(against, np.ndarray) else None
    rng = np.random.default_rng(seed)
    (found,) = replicates(values[None], member[None], against, theirs, power=power, rng=rng)
    return found


def normal(mean, seed, sd=1.0):
    """Trials whose mean and spread are exactly these."""
    drawn = np.random.default_rng(seed).normal(0, 1, TRIALS)
    drawn -= np.array([drawn[m == MEMBER].mean() for m in range(8)])[MEMBER]
    return mean + sd * drawn / np.sqrt((drawn**2).sum() / (TRIALS - 8))


@pytest.mark.parametrize(("difference", "theory"), [(0.5, 64), (1.0, 17), (2.0, 6)])
def test_normal_noise_needs_what_the_t_test_needs(difference, theory):
    assert needed(normal(0, 1), normal(difference, 2)) == pytest.approx(theory, rel=0.15)


@pytest.mark.parametrize(("difference", "theory"), [(0.5, 34), (1.0, 10)])
def test_threshold_needs_fewer_than_a_second_setting(difference, theory):
    assert needed(normal(0, 1), difference) == pytest.approx(theory, rel=0.2)


def test_more_power_needs_more_replicates():
    few, many = (needed(normal(0, 1), normal(0.8, 2), power=p) for p in (0.6, 0.95))
    assert many > 2 * few


def test_what_the_virtual_trials_do_not_tell_apart_is_told_as_such():
    assert needed(normal(0, 1), normal(0.05, 2)) == np.inf
    assert needed(normal(0, 1), normal(0, 1)) == np.inf


def test_trials_that_always_differ_need_two():
    assert needed(np.zeros(TRIALS), np.ones(TRIALS)) == 2


def test_coins_of_ten_and_of_sixty_percent():
    """Discrete noise: a test by counts needs 13 to 15 of each."""
    rng = np.random.default_rng(0)
    rare, often = (
        rng.permutation(np.arange(TRIALS) < s * TRIALS).astype(float) for s in (0.1, 0.6)
    )
    assert needed(rare, often) == pytest.approx(14, abs=4)


def test_rare_large_values_need_more_than_a_normal_of_their_spread():
    """One trial in fifty is a thousand: mean and spread of the normal, but no such test."""
    rare = np.where(np.arange(TRIALS) % 50 == 0, 1000.0, 0.0)
    alike = normal(rare.mean(), 3, sd=rare.std())
    assert needed(alike, 100.0) < 30
    assert needed(rare, 100.0) > 90


def test_members_that_disagree_are_no_noise():
    shifted = normal(0, 1) + 5.0 * (MEMBER - 3.5)
    assert needed(shifted, normal(1, 2)) == pytest.approx(17, abs=3)
