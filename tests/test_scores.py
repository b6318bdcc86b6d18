"""Scores against their definitions, and what they say of a true model."""

import numpy as np
import pytest

from virtlab import scores


def brute_force(draws, real):
    """Energy score over all ordered pairs of different draws, by the definition."""

    def rms(x):
        return np.sqrt(np.nanmean(x**2, axis=-1))

    n = len(draws)
    error = np.mean([rms(x - real) for x in draws], axis=0)
    gap = 0 * real  # NaN where nothing was measured
    pairs = [rms(draws[i] - draws[j] + gap) for i in range(n) for j in range(n) if i != j]
    return error - 0.5 * np.mean(pairs, axis=0)


@pytest.mark.parametrize("n", [2, 3, 8, 17])
def test_energy_scores_are_those_of_all_pairs(n):
    rng = np.random.default_rng(n)
    draws, real = rng.normal(size=(n, 6, 4)), rng.normal(size=(6, 4))
    real[1, 2:], real[2, 0] = np.nan, np.nan
    np.testing.assert_allclose(scores.energy_scores(draws, real), brute_force(draws, real))


def test_many_draws_are_scored_by_some_of_their_pairs_without_bias():
    rng = np.random.default_rng(0)
    draws, real = rng.normal(size=(100, 400, 1)), rng.normal(size=(400, 1))
    found = scores.energy_scores(draws, real).mean()
    assert found == pytest.approx(brute_force(draws, real).mean(), rel=0.02)


def test_score_does_not_depend_on_the_number_of_draws():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(40_000, 1))
    true = 1 / np.sqrt(np.pi)  # of a standard normal by itself
    for n in (2, 5, 20):
        found = scores.energy_scores(rng.normal(size=(n, 40_000, 1)), real).mean()
        assert found == pytest.approx(true, rel=0.02)


@pytest.mark.parametrize(("shift", "stretch"), [(0.3, 1), (0, 0.5), (0, 2)])
def test_true_distribution_has_the_least_score(shift, stretch):
    rng = np.random.default_rng(0)
    draws, real = rng.normal(size=(20, 5000, 1)), rng.normal(size=(5000, 1))
    true = scores.energy_scores(draws, real).mean()
    assert scores.energy_scores(shift + stretch * draws, real).mean() > true + 0.01


def test_missing_values_drop_out_and_a_trial_without_any_has_no_score():
    rng = np.random.default_rng(0)
    draws, real = rng.normal(size=(5, 3, 4)), rng.normal(size=(3, 4))
    real[0, 1:] = np.nan
    real[2] = np.nan
    found = scores.energy_scores(draws, real)
    assert found[0] == pytest.approx(scores.energy_scores(draws[..., :1], real[:, :1])[0])
    assert np.isfinite(found[1])
    assert np.isnan(found[2])


def test_distance_of_a_signal_is_comparable_with_that_of_a_scalar():
    signal = np.full((1, 50), 3.0)
    np.testing.assert_allclose(scores.distance(signal, np.zeros((1, 50))), [3.0])


def test_ranks_of_a_true_model_are_uniform_even_where_values_tie():
    rng = np.random.default_rng(0)
    for draw in (rng.normal, lambda size: rng.poisson(1, size).astype(float)):
        rank = scores.ranks(draw(size=(50, 20_000, 1)), draw(size=(20_000, 1)), rng)
        share, _ = np.histogram(rank, bins=10, range=(0, 1))
        np.testing.assert_allclose(share / 20_000, 0.1, atol=0.01)
        assert scores.coverage(rank, 0.5) == pytest.approx(0.5, abs=0.015)
        assert scores.coverage(rank, 0.9) == pytest.approx(0.9, abs=0.01)


def test_too_narrow_a_model_covers_too_little():
    rng = np.random.default_rng(0)
    rank = scores.ranks(0.4 * rng.normal(size=(50, 4000, 1)), rng.normal(size=(4000, 1)), rng)
    assert scores.coverage(rank, 0.9) < 0.6


def test_ranks_of_missing_values_are_missing_and_not_covered():
    rng = np.random.default_rng(0)
    real = np.array([[0.0], [np.nan]])
    rank = scores.ranks(np.array([[[-1.0], [0.0]], [[1.0], [0.0]]]), real, rng)
    assert np.isnan(rank[1])
    assert 1 / 3 <= rank[0, 0] <= 2 / 3
    assert scores.coverage(rank, 0.5) == 1.0
    assert np.isnan(scores.coverage(rank[1:], 0.5))


@pytest.mark.parametrize(("settings", "replicates"), [(8000, 2), (2000, 5), (20, 600)])
def test_floor_of_gaussian_noise_is_known(settings, replicates):
    rng = np.random.default_rng(0)
    setting = rng.permutation(np.repeat(np.arange(settings), replicates))
    real = 10.0 * setting[:, None] + 0.7 * rng.normal(size=(len(setting), 1))
    found = scores.replicate_floor(real, setting)
    assert found == pytest.approx(0.7 / np.sqrt(np.pi), rel=0.03)


def test_floor_is_the_score_of_the_true_model():
    rng = np.random.default_rng(0)
    setting = np.repeat(np.arange(2000), 4)
    center = rng.normal(size=2000)[setting, None]
    real = center + rng.exponential(size=(8000, 3))
    true = scores.energy_scores(center + rng.exponential(size=(30, 8000, 3)), real).mean()
    assert scores.replicate_floor(real, setting) == pytest.approx(true, rel=0.02)


def test_without_replicates_there_is_no_floor():
    assert np.isnan(scores.replicate_floor(np.ones((5, 1)), np.arange(5)))


def test_settings_measured_once_do_not_disturb_the_floor():
    rng = np.random.default_rng(0)
    setting = np.concatenate([np.repeat(np.arange(500), 3), np.arange(500, 700)])
    real = rng.normal(size=(1700, 1))
    assert scores.replicate_floor(real, setting) == pytest.approx(
        scores.replicate_floor(real[:1500], setting[:1500])
    )


def test_the_energy_score_is_that_of_a_library_kept_by_others():
    import scoringrules

    rng = np.random.default_rng(2)
    draws, real = rng.normal(size=(12, 30, 1)), rng.normal(size=(30, 1))
    expected = scoringrules.crps_ensemble(
        real[:, 0], np.moveaxis(draws[..., 0], 0, 1), estimator="fair"
    )
    np.testing.assert_allclose(scores.energy_scores(draws, real), expected, rtol=1e-9)
    draws, real = rng.normal(size=(12, 30, 4)), rng.normal(size=(30, 4))
    expected = scoringrules.es_ensemble(real, np.moveaxis(draws, 0, 1), estimator="fair")
    # One unit of our distance is the root mean square over the values.
    np.testing.assert_allclose(scores.energy_scores(draws, real), expected / 2, rtol=1e-9)
