"""Losses against definitions written out, and the facts that make them useful."""

import numpy as np
import pytest
import tensorflow as tf

from virtlab.gan import losses


def reference_energy_score(draws, real, seen):
    """By the definition, over all ordered pairs of different draws."""
    n = len(draws)
    error = np.mean([np.linalg.norm(seen * (x - real), axis=-1) for x in draws], axis=0)
    pairs = [
        np.linalg.norm(seen * (draws[i] - draws[j]), axis=-1)
        for i in range(n)
        for j in range(n)
        if i != j
    ]
    return error - 0.5 * np.mean(pairs, axis=0)


@pytest.mark.parametrize("n", [2, 3, 4, 7, 16])
def test_energy_score_is_that_of_all_pairs(n):
    rng = np.random.default_rng(n)
    draws = rng.standard_normal((n, 2, 5, 3)).astype(np.float32)
    real = rng.standard_normal((2, 5, 3)).astype(np.float32)
    seen = (rng.random((2, 5, 3)) < 0.7).astype(np.float32)
    found = losses.energy_score(tf.constant(draws), tf.constant(real), tf.constant(seen))
    np.testing.assert_allclose(found, reference_energy_score(draws, real, seen), atol=2e-5)


def test_energy_score_of_a_scalar_is_its_crps():
    rng = np.random.default_rng(0)
    draws, real = rng.standard_normal(40), 0.4
    # CRPS as the integral of the squared difference of distribution functions, made fair.
    grid = np.linspace(-8, 8, 160_001)
    below = (draws[:, None] <= grid).mean(axis=0)
    crps = np.sum((below - (grid >= real)) ** 2) * (grid[1] - grid[0])
    pairs = np.abs(draws[:, None] - draws).sum() / 2
    fair = crps + pairs / 40**2 - pairs / (40 * 39)
    shape = (40, 1, 1, 1)
    found = losses.energy_score(
        tf.constant(draws.reshape(shape), tf.float32),
        tf.constant([[[real]]], tf.float32),
        tf.ones((1, 1, 1)),
    )
    assert float(found[0, 0]) == pytest.approx(fair, abs=1e-3)


@pytest.mark.parametrize(("shift", "stretch"), [(0.4, 1.0), (-0.4, 1.0), (0, 0.6), (0, 1.6)])
def test_energy_score_is_least_for_the_true_distribution(shift, stretch):
    rng = np.random.default_rng(1)
    real = rng.standard_normal((1, 4000, 2)).astype(np.float32)
    draws = rng.standard_normal((8, 1, 4000, 2)).astype(np.float32)
    seen = tf.ones((1, 4000, 2))
    true = tf.reduce_mean(losses.energy_score(tf.constant(draws), tf.constant(real), seen))
    wrong = tf.constant((shift + stretch * draws).astype(np.float32))
    other = tf.reduce_mean(losses.energy_score(wrong, tf.constant(real), seen))
    assert float(true) < float(other) - 0.01


def test_energy_score_of_equal_draws_has_a_finite_slope():
    draws = tf.Variable(tf.ones((4, 1, 3, 2)))
    with tf.GradientTape() as tape:
        score = losses.energy_score(draws, tf.ones((1, 3, 2)), tf.ones((1, 3, 2)))
    assert np.isfinite(tape.gradient(score, draws).numpy()).all()


CRITICS = [
    losses.relativistic_critic,
    losses.bce_critic,
    losses.least_squares_critic,
    losses.wasserstein_critic,
    losses.hinge_critic,
]
GENERATORS = [
    losses.relativistic_generator,
    losses.bce_generator,
    losses.least_squares_generator,
    losses.linear_generator,
]


@pytest.mark.parametrize("loss", CRITICS)
def test_critic_gains_when_real_scores_rise_and_fake_ones_fall(loss):
    real, fake = tf.constant([[0.3, -1.0]]), tf.constant([[0.1, 0.5]])
    assert float(loss(real + 0.1, fake)[0]) < float(loss(real, fake)[0])
    assert float(loss(real, fake - 0.1)[0]) < float(loss(real, fake)[0])


@pytest.mark.parametrize("loss", GENERATORS)
def test_generator_gains_when_fake_scores_rise(loss):
    real, fake = tf.constant([[0.3, -1.0]]), tf.constant([[0.1, 0.5]])
    assert float(loss(real, fake + 0.1)[0]) < float(loss(real, fake)[0])


def test_relativistic_losses_see_only_the_difference_of_a_pair():
    real, fake = tf.constant([[0.3, -1.0]]), tf.constant([[0.1, 0.5]])
    for loss in (losses.relativistic_critic, losses.relativistic_generator):
        np.testing.assert_allclose(loss(real + 5, fake + 5), loss(real, fake), rtol=1e-5)


@pytest.mark.parametrize("loss", [*CRITICS, *GENERATORS])
def test_losses_stay_finite_at_extreme_scores(loss):
    far = tf.constant([[1e4, -1e4]])
    assert np.isfinite(loss(far, -far).numpy()).all()


def test_losses_keep_members_apart():
    real, fake = tf.constant([[0.3, -1.0], [2.0, 1.0]]), tf.constant([[0.1, 0.5], [0.0, 3.0]])
    for loss in (*CRITICS, *GENERATORS):
        both = loss(real, fake)
        np.testing.assert_allclose(both[1:], loss(real[1:], fake[1:]), rtol=1e-6)


def test_gradient_penalty_of_unit_slope_is_one_half():
    slope = tf.constant([0.6, 0.8])
    at = tf.constant(np.random.default_rng(0).standard_normal((3, 7, 2)), tf.float32)
    found = losses.gradient_penalty(lambda x: tf.reduce_sum(slope * x, axis=-1), at)
    np.testing.assert_allclose(found, [0.5] * 3, rtol=1e-6)


def test_gradient_penalty_averages_squared_slopes():
    at = tf.constant([[[1.0], [3.0]]])
    found = losses.gradient_penalty(lambda x: tf.reduce_sum(x**2, axis=-1), at)
    assert float(found[0]) == pytest.approx(0.5 * (2.0**2 + 6.0**2) / 2)


def test_gradient_penalty_can_be_trained_through():
    weight = tf.Variable(3.0)
    at = tf.ones((1, 4, 1))
    with tf.GradientTape() as tape:
        found = losses.gradient_penalty(lambda x: weight * tf.reduce_sum(x, axis=-1), at)
    assert float(tape.gradient(found, weight)) == pytest.approx(3.0)


def test_unit_slope_penalty_is_zero_for_a_unit_slope_critic_wherever_it_looks():
    slope, mix = tf.constant([0.6, 0.8]), tf.constant([[[0.0], [0.3], [1.0]]])
    real, fake = tf.ones((1, 3, 2)), tf.zeros((1, 3, 2))
    for factor, expected in ((1, 0.0), (3, 4.0)):
        found = losses.unit_slope_penalty(
            lambda x, factor=factor: factor * tf.reduce_sum(slope * x, axis=-1), real, fake, mix
        )
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_unit_slope_penalty_looks_between_real_and_fake():
    real, fake = tf.constant([[[4.0]]]), tf.constant([[[0.0]]])
    found = losses.unit_slope_penalty(
        lambda x: tf.reduce_sum(x**2, axis=-1), real, fake, tf.constant([[[0.75]]])
    )
    assert float(found[0]) == pytest.approx((2 * 3.0 - 1) ** 2)


def test_zero_centred_penalty_is_that_of_both_ends():
    real, fake = tf.constant([[[1.0], [2.0]]]), tf.constant([[[0.0], [-3.0]]])
    found = losses.zero_centred_penalty(lambda x: tf.reduce_sum(x**2, axis=-1), real, fake, None)
    assert float(found[0]) == pytest.approx(0.5 * (2.0**2 + 4.0**2) / 2 + 0.5 * 6.0**2 / 2)
