"""Gaussian processes: what they predict, out of fold and in the networks' arithmetic."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from virtlab.gan.process import (
    MOST_SETTINGS,
    _negative_evidence,
    fit_process,
    pack,
    pairs_of,
    predictions,
)


def wave(n=60, features=3, noise=0.1, seed=0):
    """Settings, and means of which only the first two features matter."""
    rng = np.random.default_rng(seed)
    places = rng.standard_normal((n, features))
    return places, np.sin(1.5 * places[:, 0]) + 0.5 * places[:, 1] + noise * rng.standard_normal(n)


def fitted(places, targets, counts=None, rows=None):
    counts = np.ones(len(places)) if counts is None else counts
    rows = np.arange(len(places)) if rows is None else rows
    return fit_process(places, targets, counts, rows, np.random.default_rng(1))


def test_prediction_is_as_good_as_scikit_learns():
    places, targets = wave()
    new, truth = wave(n=500, noise=0, seed=5)
    kernel = ConstantKernel() * Matern(np.ones(3), nu=2.5) + WhiteKernel(0.1)
    peer = GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=2)
    peer.fit(places, targets)
    ours = np.sqrt(np.mean((fitted(places, targets).predict(new) - truth) ** 2))
    theirs = np.sqrt(np.mean((peer.predict(new) - truth) ** 2))
    assert ours < 1.15 * theirs


def test_irrelevant_parameters_change_nothing():
    places, targets = wave(n=100, features=8)
    process = fitted(places, targets)
    before, new = np.zeros((100, 8)), wave(n=100, features=8, seed=4)[0]
    before[:, :2] = new[:, :2]
    assert np.std(process.predict(new) - process.predict(before)) < 0.1


def test_a_sum_of_what_each_parameter_does_is_known_far_from_all_settings():
    rng = np.random.default_rng(3)
    places, new = rng.uniform(-1.7, 1.7, (60, 6)), rng.uniform(-1.7, 1.7, (500, 6))

    def response(x):
        return np.sin(2 * x).sum(axis=1)

    found = fitted(places, response(places)).predict(new)
    # One kernel of all parameters together leaves 0.85 of the standard deviation.
    assert np.std(found - response(new)) < 0.1 * np.std(response(new))


def test_slope_of_the_evidence_is_that_of_small_steps():
    rng = np.random.default_rng(2)
    places, targets = wave(n=20)
    one, other = pairs_of(20)
    given = np.abs(places[one] - places[other]).T, targets, rng.integers(1, 4, 20).astype(float)
    logs = np.append(0.5 * rng.standard_normal(6) - 1, [-0.3, 0.2, -1.5])
    steps = 1e-5 * np.eye(len(logs))
    rise = [
        _negative_evidence(logs + step, *given)[0] - _negative_evidence(logs - step, *given)[0]
        for step in steps
    ]
    np.testing.assert_allclose(
        _negative_evidence(logs, *given)[1], np.array(rise) / 2e-5, rtol=1e-2
    )


def test_prediction_without_a_setting_does_not_know_its_target():
    places, targets = wave(n=30)
    process = fitted(places, targets)
    moved = targets.copy()
    moved[7] += 1e-4
    again = fitted(places, moved)
    assert again.without[7] == pytest.approx(process.without[7], abs=1e-5)
    assert again.predict(places)[7] > process.predict(places)[7] + 2e-5
    missed = process.without - targets
    assert process.error == pytest.approx(np.sqrt(np.mean(missed**2)), rel=1e-6)


def test_networks_compute_the_same_prediction():
    places, targets = wave()
    pair = [fitted(places, targets), fitted(places, targets**2, rows=np.arange(40))]
    weights = {name: tf.constant(value) for name, value in pack([pair, pair[::-1]]).items()}
    new, _ = wave(n=20, seed=3)
    found = predictions(weights, tf.constant(np.stack([new, new]), tf.float32)).numpy()
    expected = np.stack([process.predict(new) for process in pair], axis=-1)
    np.testing.assert_allclose(found[0], expected, atol=2e-3)
    np.testing.assert_allclose(found[1], expected[:, ::-1], atol=2e-3)


def test_a_mean_of_many_trials_is_trusted_more_than_one():
    places = np.linspace(-1, 1, 12)[:, None]
    rng = np.random.default_rng(0)
    targets = np.where(np.arange(12) == 6, 3.0, 0.0) + 0.1 * rng.standard_normal(12)
    counts = np.full(12, 10.0)
    pulled = [
        fitted(places, targets, counts=np.where(np.arange(12) == 6, count, counts)).predict(
            places[6:7]
        )[0]
        for count in (1.0, 1000.0)
    ]
    assert pulled[1] > pulled[0]


def test_few_settings_leave_the_mean_alone():
    places, targets = wave(n=4)
    process = fitted(places, targets)
    np.testing.assert_array_equal(process.predict(places), 0)
    assert process.error == 1


def test_many_settings_are_thinned_out():
    places, targets = wave(n=MOST_SETTINGS + 100, features=2)
    assert len(fitted(places, targets).places) == MOST_SETTINGS
