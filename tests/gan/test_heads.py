"""Encoders and decoders of signals and images."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit, log_expit
from scipy.stats import norm

from virtlab.gan.adam import trained_by
from virtlab.gan.blocks import Part
from virtlab.gan.heads import BEND, CONTEXT, Head

MEMBERS, ROWS, LATENTS = 2, 5, 3
SHAPES = [(9,), (31,), (50,), (65,), (4, 4), (7, 12), (5, 5, 2), (12, 7, 2), (2, 64), (64, 2)]
LOG = (-1.0, 0.8)


def head_of(shape=(9,), *, floor=False):
    size = int(np.prod(shape))
    return Head(Part("s", 4, 4 + size, shape, LATENTS, floor, LOG), 0, conditions=2)


def weights_of(head, *, noise=0.1, seed=0):
    """Random weights everywhere, zeros at the start included."""
    rng = np.random.default_rng(seed)
    start = head.init(rng, MEMBERS)
    return {
        name: tf.constant(value + noise * rng.standard_normal(value.shape), tf.float32)
        for name, value in start.items()
    }


def described(head, seed=1):
    """What a decoder might say of each value."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((MEMBERS, ROWS, head.values)) for _ in range(head.outputs)]


def tensors(arrays):
    return [tf.constant(array, tf.float32) for array in arrays]


def normal(*shape, seed=2):
    return tf.constant(np.random.default_rng(seed).standard_normal(shape), tf.float32)


@pytest.mark.parametrize("floor", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_of_every_sort_are_encoded_and_decoded(shape, floor):
    head = head_of(shape, floor=floor)
    weights = weights_of(head)
    values, seen = tf.abs(normal(MEMBERS, ROWS, head.values)), tf.ones((MEMBERS, ROWS, head.values))
    mean, log_sd = head.encode(weights, values, seen, normal(MEMBERS, ROWS, 2))
    assert mean.shape == log_sd.shape == (MEMBERS, ROWS, LATENTS)
    found = head.decode(weights, mean, normal(MEMBERS, ROWS, CONTEXT))
    assert [x.shape for x in found] == [values.shape] * (6 if floor else 2)
    for x in found:
        assert np.isfinite(x).all()
        # Every entry, the last ones too, hears of the latents and differs between members.
        assert np.all(np.asarray(x).std(axis=1) > 0)
        assert np.all(np.asarray(x)[0] != np.asarray(x)[1])


def test_long_signals_and_images_are_decoded_by_convolution_and_short_ones_are_not():
    kinds = {shape: "decoder0.fine.0.w" in weights_of(head_of(shape)) for shape in SHAPES}
    assert kinds == {shape: shape not in [(9,), (31,), (4, 4)] for shape in SHAPES}


def test_convolved_neighbours_are_alike_and_channels_are_not():

    head = head_of((2, 64))
    weights = {
        **weights_of(head, noise=0),
        "decoder0.fine.0.b": tf.constant([[[1.0, 5, 1, 5, 0, 0, 0, 0]]] * 2),
    }
    found = head.decode(weights, normal(MEMBERS, ROWS, LATENTS), normal(MEMBERS, ROWS, CONTEXT))
    mean = np.asarray(found[0]).reshape(MEMBERS, ROWS, 2, 64)
    np.testing.assert_allclose(mean[:, :, 0].mean(), 1, atol=0.3)
    np.testing.assert_allclose(mean[:, :, 1].mean(), 5, atol=0.3)
    near, far = (np.abs(mean[..., k:] - mean[..., :-k]).mean() for k in (1, 20))
    assert near < 0.7 * far


def test_what_is_missing_is_not_encoded():
    head = head_of((50,), floor=True)
    weights, seen = weights_of(head), tf.constant(np.arange(50) % 3 > 0, tf.float32)
    seen = tf.broadcast_to(seen, (MEMBERS, ROWS, 50))
    values, conditions = tf.abs(normal(MEMBERS, ROWS, 50)), normal(MEMBERS, ROWS, 2)
    found = head.encode(weights, values, seen, conditions)
    other = head.encode(weights, tf.where(seen > 0, values, 7.0), seen, conditions)
    for x, y in zip(found, other, strict=True):
        np.testing.assert_array_equal(x, y)
    full = head.encode(weights, values, tf.ones_like(seen), conditions)
    assert np.all(full[0] != found[0])


def test_likelihood_of_a_signal_is_that_of_independent_gaussians():
    head = head_of()
    found = described(head)
    values = np.random.default_rng(3).standard_normal((MEMBERS, ROWS, 9))
    seen = (np.random.default_rng(4).random(values.shape) < 0.6).astype(float)
    given = tensors(found), *tensors([values, seen])
    got = head.log_likelihood(weights_of(head, noise=0), *given)
    each = norm(found[0], np.exp(found[1])).logpdf(values)
    np.testing.assert_allclose(got, (seen * each).sum(axis=-1), rtol=1e-4, atol=1e-4)


def one_value(head, grid):
    """Likelihood of each value of a grid in place of the first, all others unseen."""
    found = [np.repeat(x[:, :1], len(grid), axis=1) for x in described(head)]
    values = np.zeros((MEMBERS, len(grid), head.values))
    values[..., 0] = grid
    seen = np.zeros_like(values)
    seen[..., 0] = 1
    given = tensors(found), *tensors([values, seen])
    got = np.asarray(head.log_likelihood(weights_of(head, noise=0), *given), float)
    return [x[:, 0, 0] for x in found], got


def test_likelihood_of_a_floor_and_what_is_above_it_add_up_to_one():
    head = head_of(floor=True)
    t = np.linspace(-25, 25, 20_001)  # standardised logarithms: the density is per unit of these
    found, got = one_value(head, np.append(0, np.exp(LOG[0] + LOG[1] * t)))
    np.testing.assert_allclose(got[:, 0], log_expit(-found[0]), rtol=1e-4)
    above = np.trapezoid(np.exp(got[:, 1:]), t, axis=-1)
    np.testing.assert_allclose(above, expit(found[0]), rtol=2e-3)


def test_likelihood_above_a_floor_is_a_mixture_of_two_lognormals():
    head = head_of(floor=True)
    values = np.array([1e-3, 0.1, 0.4, 3.0])
    (lit, weight, first, second, narrow, wide), got = one_value(head, values)
    t = ((np.log(values) - LOG[0]) / LOG[1])[None]
    lit, share, first, second = (x[:, None] for x in (lit, expit(weight), first, second))
    density = share * norm(first, np.exp(narrow)[:, None]).pdf(t)
    density += (1 - share) * norm(second, np.exp(wide)[:, None]).pdf(t)
    np.testing.assert_allclose(got, log_expit(lit) + np.log(density), rtol=1e-3, atol=1e-3)


def drawn(head, found, *, n=20_000, spread=1.0):
    """Draws of the first member at the first row, ``(draw, value)``."""
    rng = np.random.default_rng(5)
    found = [np.repeat(x[:, :1], n, axis=1) for x in found]
    uniform = rng.random((MEMBERS, n, head.uniforms))
    noise = rng.standard_normal((MEMBERS, n, head.normals))
    spread = np.full((1, 1, head.values), spread)
    given = tensors(found), *tensors([uniform, noise, spread])
    return np.asarray(head.draw(weights_of(head, noise=0), *given, slope=False), float)[0]


@pytest.mark.parametrize("spread", [1.0, 0.5])
def test_draws_of_a_signal_are_as_wide_as_stated_times_the_spread(spread):
    head = head_of()
    found = described(head)
    values = drawn(head, found, spread=spread)
    sd = spread * np.exp(found[1][0, 0])
    np.testing.assert_allclose(values.std(axis=0), sd, rtol=0.03)
    assert np.all(np.abs(values.mean(axis=0) - found[0][0, 0]) < 0.04 * sd)


def test_noise_stays_near_what_components_leave_of_each_place():
    head = head_of()
    weights = weights_of(head, noise=30.0)
    place = np.split(np.asarray(weights["decoder0.place"]), 2, axis=-1)[1]
    _, log_sd = head.decode(weights, normal(MEMBERS, ROWS, LATENTS), normal(MEMBERS, ROWS, CONTEXT))
    away = np.abs(log_sd - place)
    assert away.max() <= BEND + 1e-4
    assert away.max() > 0.9 * BEND


def test_what_bends_a_signal_counts_in_units_of_what_components_leave():
    head = head_of()
    weights = weights_of(head)
    latents, context = normal(MEMBERS, ROWS, LATENTS), normal(MEMBERS, ROWS, CONTEXT)
    center, log_left = np.split(np.asarray(weights["decoder0.place"]), 2, axis=-1)
    straight = latents @ weights["frame0.decoder"] + center

    def bend(louder):
        place = np.concatenate([center, log_left + np.float32(np.log(louder))], axis=-1)
        return head.decode(weights | {"decoder0.place": place}, latents, context)[0] - straight

    assert np.abs(bend(1.0)).max() > 0.1
    np.testing.assert_allclose(bend(0.01), 0.01 * bend(1.0), rtol=1e-3, atol=1e-6)


def test_what_bends_latents_counts_in_units_of_doubt_about_them():
    head = head_of()
    weights = {name: np.array(value) for name, value in weights_of(head).items()}
    values, conditions = normal(MEMBERS, ROWS, head.values), normal(MEMBERS, ROWS, 2)
    straight = values @ weights["frame0.encoder"] - weights["frame0.center"]

    def bend(surer):
        bias = weights["encoder0.2.b"].copy()
        bias[..., LATENTS:] -= np.log(surer)
        own = weights | {"encoder0.2.b": bias}
        return head.encode(own, values, tf.ones_like(values), conditions)[0] - straight

    assert np.abs(bend(1.0)).max() > 0.01
    np.testing.assert_allclose(bend(10.0), 0.1 * bend(1.0), rtol=1e-3, atol=1e-6)


def test_draws_are_zero_exactly_as_often_as_stated_and_lognormal_above():
    head = head_of(floor=True)
    found = described(head)
    values = drawn(head, found, n=40_000)
    lit, weight, first, second, narrow, wide = (x[0, 0] for x in found)
    assert (values >= 0).all()
    np.testing.assert_allclose((values == 0).mean(axis=0), expit(-lit), atol=0.01)
    share = expit(weight)
    for i in range(head.values):
        t = (np.log(values[values[:, i] > 0, i]) - LOG[0]) / LOG[1]
        for q in (-1.0, 0.0, 1.5):
            expected = share[i] * norm(first[i], np.exp(narrow[i])).cdf(q)
            expected += (1 - share[i]) * norm(second[i], np.exp(wide[i])).cdf(q)
            assert (t < q).mean() == pytest.approx(expected, abs=0.015)


def test_extreme_descriptions_and_latents_give_finite_draws_and_likelihoods():
    for floor in (False, True):
        head = head_of(floor=floor)
        weights = weights_of(head, noise=0)
        for end in (-1e4, 1e4):
            found = [np.full((MEMBERS, ROWS, 9), end)] * head.outputs
            values = tf.fill((MEMBERS, ROWS, 9), 0.5)
            seen, noise = tf.ones_like(values), tf.fill((MEMBERS, ROWS, 9), 8.0)
            assert np.isfinite(head.log_likelihood(weights, tensors(found), values, seen)).all()
            for uniform in (0.0, 1.0):
                latents = tf.fill((MEMBERS, ROWS, head.uniforms), uniform)
                given = weights, tensors(found), latents, noise, tf.ones((1, 1, 9))
                got = head.draw(*given, slope=False)
                assert np.isfinite(got).all()


def test_slope_passes_gradients_through_every_draw_and_changes_no_value():
    head = head_of(floor=True)
    found = [tf.Variable(x) for x in tensors(described(head))]
    rng = np.random.default_rng(5)
    uniform = tf.constant(rng.random((MEMBERS, ROWS, head.uniforms)), tf.float32)
    noise, spread = normal(MEMBERS, ROWS, 9), tf.ones((1, 1, 9))
    weights = weights_of(head)
    with tf.GradientTape() as tape:
        values = head.draw(weights, found, uniform, noise, spread, slope=True)
    for slope in tape.gradient(values, found):
        assert np.isfinite(slope).all()
        assert np.any(np.asarray(slope) != 0)
    still = head.draw(weights, found, uniform, noise, spread, slope=False)
    np.testing.assert_allclose(values, still, rtol=1e-5, atol=1e-6)


def test_signal_passes_gradients_to_all_that_it_learns():
    for shape, floor in (((9,), False), ((65,), False), ((7, 12), True)):
        head = head_of(shape, floor=floor)
        weights = {name: tf.Variable(value) for name, value in weights_of(head).items()}
        values = tf.maximum(normal(MEMBERS, ROWS, head.values), 0.0)
        seen = tf.ones_like(values)
        with tf.GradientTape() as tape:
            mean, log_sd = head.encode(weights, values, seen, normal(MEMBERS, ROWS, 2))
            latents = mean + tf.exp(log_sd) * normal(MEMBERS, ROWS, LATENTS)
            found = head.decode(weights, latents, normal(MEMBERS, ROWS, CONTEXT))
            total = tf.reduce_sum(head.log_likelihood(weights, found, values, seen))
        slopes = tape.gradient(total, trained_by(weights))
        assert all(np.any(np.asarray(slope) != 0) for slope in slopes.values())
