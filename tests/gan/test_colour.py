"""Noise whose neighbours are alike: drawn, whitened, and found in data."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.linalg import toeplitz
from scipy.stats import multivariate_normal

from virtlab.gan.blocks import Part
from virtlab.gan.colour import (
    BLOCK,
    MOST,
    MOST_BLOCKS,
    ORDER,
    colour_of,
    coloured,
    numbers,
    whitened,
)

MEMBERS = 2
SHAPES = [
    (3,),
    (50,),
    (BLOCK + 1,),
    (3 * BLOCK - 5,),
    (MOST_BLOCKS * BLOCK + 9,),
    (2, 100),
    (100, 2),
    (12, 15),
    (9, 10, 2),
]


def part_of(shape, *, gaps=False):
    size = int(np.prod(shape))
    return Part("s", 4, 4 + size, shape, latents=2, gaps=gaps)


def colours(part, *first):
    """The same colour for all members, axes and channels, from its partial autocorrelations."""
    partials = np.zeros(ORDER)
    partials[: len(first)] = first
    own = np.tile(np.repeat(np.arctanh(partials / MOST), part.channels), len(part.space))
    return tf.constant(np.tile(own, (MEMBERS, 1, 1)), tf.float32)


def random_colours(part, seed=0):
    rng = np.random.default_rng(seed)
    return tf.constant(rng.standard_normal((MEMBERS, 1, numbers(part))), tf.float32)


def white(part, rows, seed=1):
    rng = np.random.default_rng(seed)
    return tf.constant(rng.standard_normal((MEMBERS, rows, part.stop - part.start)), tf.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_whitening_undoes_colouring(shape):
    part = part_of(shape)
    colour, noise = random_colours(part), white(part, 7)
    drawn = coloured(part, colour, noise)
    assert np.abs(drawn - noise).max() > 0.5
    found, _ = whitened(part, colour, drawn, tf.ones_like(drawn))
    np.testing.assert_allclose(found, noise, atol=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_noise_without_colour_stays_as_it_is(shape):
    part = part_of(shape)
    noise = white(part, 4)
    np.testing.assert_allclose(coloured(part, colours(part), noise), noise, atol=1e-5)
    found, log_sd = whitened(part, colours(part), noise, tf.ones_like(noise))
    np.testing.assert_array_equal(found, noise)
    assert not np.any(log_sd)


def test_coloured_noise_has_unit_variance_at_every_place_and_the_correlation_that_is_stated():
    part = part_of((BLOCK + 20,))
    drawn = np.asarray(coloured(part, colours(part, 0.8), white(part, 40_000)))[0]
    correlation = drawn.T @ drawn / len(drawn)
    np.testing.assert_allclose(correlation, toeplitz(0.8 ** np.arange(BLOCK + 20)), atol=0.03)


def test_noise_of_an_image_is_alike_along_both_axes_and_never_across_channels():
    part = part_of((9, 10, 2))
    drawn = np.asarray(coloured(part, colours(part, 0.7), white(part, 20_000)))[0]
    drawn = drawn.reshape(-1, 9, 10, 2)
    for other, expected in [
        (drawn[:, 5, 4, 0], 0.7),
        (drawn[:, 4, 5, 0], 0.7),
        (drawn[:, 5, 6, 0], 0.7**3),
        (drawn[:, 4, 4, 1], 0),
    ]:
        np.testing.assert_allclose((drawn[:, 4, 4, 0] * other).mean(), expected, atol=0.04)


@pytest.mark.parametrize("shape", [(6,), (3, 4)])
def test_likelihood_of_innovations_is_that_of_the_correlated_gaussian(shape):
    part = part_of(shape)
    colour, noise = colours(part, 0.8), white(part, 5)
    found, log_sd = whitened(part, colour, noise, tf.ones_like(noise))
    got = np.sum(-0.5 * np.square(found) - log_sd - 0.5 * np.log(2 * np.pi), axis=-1)
    correlation = np.ones((1, 1))
    for length in shape:
        correlation = np.kron(correlation, toeplitz(0.8 ** np.arange(length)))
    expected = multivariate_normal(cov=correlation).logpdf(noise)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_likelihood_does_not_depend_on_whether_gaps_were_to_be_expected(shape):
    noise = white(part_of(shape), 3)
    (found, log_sd), (other, same) = (
        whitened(part, random_colours(part), noise, tf.ones_like(noise))
        for part in (part_of(shape), part_of(shape, gaps=True))
    )
    np.testing.assert_allclose(found, other, atol=1e-4)
    np.testing.assert_allclose(tf.broadcast_to(log_sd, same.shape), same, atol=1e-5)


def test_what_follows_a_gap_is_judged_by_what_was_observed_since():
    part = part_of((8,), gaps=True)
    seen = np.ones((MEMBERS, 3, 8), np.float32)
    seen[..., 4] = 0
    noise = white(part, 3) * seen
    colour = random_colours(part)
    found, log_sd = (np.asarray(x) for x in whitened(part, colour, noise, tf.constant(seen)))
    # As if it began there.
    short = part_of((3,))
    begun = whitened(short, colour, noise[..., 5:], tf.ones((MEMBERS, 3, 3)))
    np.testing.assert_allclose(found[..., 5:], begun[0], atol=1e-5)
    np.testing.assert_allclose(log_sd[..., 5:] - begun[1], 0, atol=1e-5)
    np.testing.assert_array_equal(found[..., 5], noise[..., 5])


@pytest.mark.parametrize("shape", [(60,), (2, 64), (12, 15)])
def test_colour_is_found_in_noise_with_gaps(shape):
    part = part_of(shape)
    colour = random_colours(part, seed=3)
    noise = np.asarray(coloured(part, colour, white(part, 3000)))[0]
    seen = (np.random.default_rng(4).random(noise.shape) < 0.9).astype(np.float32)
    found = colour_of(part, noise * seen, seen)
    np.testing.assert_allclose(np.tanh(found), np.tanh(colour[0, 0]), atol=0.03)


@pytest.mark.parametrize("gaps", [False, True])
def test_gradients_of_likelihood_and_of_draws_reach_the_colour(gaps):
    part = part_of((BLOCK + 1,), gaps=gaps)
    colour, noise = tf.Variable(random_colours(part)), white(part, 3)
    with tf.GradientTape(persistent=True) as tape:
        found, log_sd = whitened(part, colour, noise, tf.ones_like(noise))
        judged = tf.reduce_sum(tf.square(found) + log_sd)
        drawn = tf.reduce_sum(tf.square(coloured(part, colour, noise)))
    for result in (judged, drawn):
        gradient = np.asarray(tape.gradient(result, colour))
        assert np.isfinite(gradient).all()
        assert np.all(gradient != 0)
