"""The mixture core against scipy, and its draws against its own likelihood."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax
from scipy.stats import multivariate_normal, norm

from virtlab.gan.batches import Batch
from virtlab.gan.blocks import Tie
from virtlab.gan.draws import FAR, winner, with_tails
from virtlab.gan.heads import START_SD
from virtlab.gan.mixture import Mixture

MEMBERS, ROWS = 2, 5
SPREADS = ("spread.features", "spread.values")


def random_parameters(generator, seed=0, rows=ROWS):
    """Rows of `setting_part`, as a trained network might give them."""
    width = sum(length for _, length in generator.pieces)
    rng = np.random.default_rng(seed)
    raw = tf.constant(rng.standard_normal((MEMBERS, rows, width)), tf.float32)
    return generator.with_widths(raw)


def component(parts, m, r, k):
    """Mean and covariance of one component."""
    mean, sigma = np.asarray(parts["mean"])[m, r, k], np.asarray(parts["sigma"])[m, r, k]
    a = np.zeros((len(mean), len(mean)))
    a[np.tril_indices(len(mean), -1)] = np.asarray(parts["regression"])[m, r, k]
    inverse = np.linalg.inv(np.eye(len(mean)) - a)
    return mean.astype(float), inverse @ np.diag(sigma.astype(float) ** 2) @ inverse.T


def likelihood(generator, parameters, values, seen=None, codes=None, weights=None, noise=None):
    """`log_likelihood` of plain arrays."""
    seen = np.ones_like(values) if seen is None else seen
    levels = np.zeros((MEMBERS, ROWS, sum(generator.layout.levels))) if codes is None else codes
    conditions = np.zeros((MEMBERS, ROWS, generator.conditions))
    arrays = (conditions, values, seen, seen, levels, np.concatenate([seen, levels], axis=-1))
    batch = Batch(*(tf.constant(x, tf.float32) for x in arrays))
    latents = sum(part.latents for part in generator.layout.wide)
    noise = np.zeros((MEMBERS, ROWS, latents)) if noise is None else noise
    noise = tf.constant(noise, tf.float32)
    return np.asarray(generator.log_likelihood(weights or {}, parameters, batch, noise))


@pytest.mark.parametrize("components", [1, 4])
@pytest.mark.parametrize("features", [1, 3])
def test_likelihood_is_that_of_a_gaussian_mixture(layouts, components, features):
    generator = Mixture(2, layouts["plain"](features), components=components, width=8)
    parameters = random_parameters(generator)
    x = np.random.default_rng(1).standard_normal((MEMBERS, ROWS, features))
    found = likelihood(generator, parameters, x)
    parts = generator.split(parameters)
    for m in range(MEMBERS):
        for r in range(ROWS):
            weights = log_softmax(np.asarray(parts["pi"])[m, r].astype(float))
            each = [
                weights[k] + multivariate_normal(*component(parts, m, r, k)).logpdf(x[m, r])
                for k in range(components)
            ]
            assert found[m, r] == pytest.approx(np.logaddexp.reduce(each), rel=1e-4, abs=1e-4)


def test_each_feature_regresses_on_those_before_it_only(layouts):
    generator = Mixture(2, layouts["plain"](4), components=2, width=8)
    weights = generator.init(np.random.default_rng(0), MEMBERS)
    parameters, uniform = random_parameters(generator), tf.fill((MEMBERS, ROWS, 2), 0.5)
    still = np.random.default_rng(1).standard_normal((MEMBERS, ROWS, generator.normals))
    drawn, _ = generator.trial_part(weights, parameters, uniform, tf.constant(still, tf.float32))
    for shocked in range(4):
        noise = still.copy()
        noise[..., shocked] += 1
        moved, _ = generator.trial_part(
            weights, parameters, uniform, tf.constant(noise, tf.float32)
        )
        changed = np.abs(moved - drawn).max(axis=(0, 1)) > 1e-6
        np.testing.assert_array_equal(changed, np.arange(4) >= shocked)


def test_missing_last_features_leave_the_marginal_of_the_others(layouts):
    generator = Mixture(2, layouts["plain"](3), components=2, width=8)
    parameters = random_parameters(generator)
    x = np.random.default_rng(1).standard_normal((MEMBERS, ROWS, 3))
    found = likelihood(generator, parameters, x, seen=np.broadcast_to([1.0, 1, 0], x.shape))
    parts = generator.split(parameters)
    weights = log_softmax(np.asarray(parts["pi"])[0, 0].astype(float))
    each = []
    for k in range(2):
        mean, covariance = component(parts, 0, 0, k)
        marginal = multivariate_normal(mean[:2], covariance[:2, :2])
        each.append(weights[k] + marginal.logpdf(x[0, 0, :2]))
    assert found[0, 0] == pytest.approx(np.logaddexp.reduce(each), abs=1e-4)


def test_values_of_missing_features_do_not_matter(layouts):
    generator = Mixture(2, layouts["plain"](3), components=2, width=8)
    parameters = random_parameters(generator)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((MEMBERS, ROWS, 3))
    seen = (rng.random(x.shape) < 0.5).astype(float)
    other = np.where(seen > 0, x, 7.0)
    np.testing.assert_array_equal(
        likelihood(generator, parameters, x, seen), likelihood(generator, parameters, other, seen)
    )


def test_a_trial_of_which_nothing_was_measured_has_likelihood_one(layouts):
    generator = Mixture(2, layouts["coded"](), components=3, width=8)
    x = np.ones((MEMBERS, ROWS, 2))
    found = likelihood(generator, random_parameters(generator), x, np.zeros_like(x))
    np.testing.assert_allclose(found, 0, atol=1e-5)


def test_codes_multiply_the_likelihood_of_their_component(layouts):
    generator = Mixture(2, layouts["coded"](), components=2, width=8)
    parameters = random_parameters(generator)
    x = np.random.default_rng(1).standard_normal((MEMBERS, ROWS, 2))
    codes = np.broadcast_to([1.0, 0, 0, 0, 1], (MEMBERS, ROWS, 5))
    found = likelihood(generator, parameters, x, codes=codes)
    parts = generator.split(parameters)
    weights = log_softmax(np.asarray(parts["pi"])[1, 2].astype(float))
    logits = np.asarray(parts["codes"])[1, 2].astype(float)
    each = [
        weights[k]
        + multivariate_normal(*component(parts, 1, 2, k)).logpdf(x[1, 2])
        + log_softmax(logits[k, :2])[0]
        + log_softmax(logits[k, 2:])[2]
        for k in range(2)
    ]
    assert found[1, 2] == pytest.approx(np.logaddexp.reduce(each), abs=1e-4)


def test_probabilities_of_all_levels_sum_to_one(layouts):
    generator = Mixture(2, layouts["coded"](), components=3, width=8)
    parameters = random_parameters(generator)
    x = np.zeros((MEMBERS, ROWS, 2))
    total = 0
    for first in range(2):
        for second in range(3):
            codes = np.zeros((MEMBERS, ROWS, 5))
            codes[..., first], codes[..., 2 + second] = 1, 1
            total += np.exp(likelihood(generator, parameters, x, np.zeros_like(x), codes))
    np.testing.assert_allclose(total, 1, rtol=1e-5)


def linear_signal(generator, parameters, seed=5):
    """Weights of a linear Gaussian decoder and its exact posterior; its components and noise.

    One component, and latents that are independent of all else, so that the posterior is known.
    """
    rng = np.random.default_rng(seed)
    start = generator.init(rng, MEMBERS)
    weights = {name: np.zeros_like(value) for name, value in start.items()}
    basis = np.linalg.qr(rng.standard_normal((9, 2)))[0].T * [[2.0], [0.7]]
    center, sd = rng.standard_normal(9), np.array(0.4)
    weights["frame0.decoder"][:] = basis
    weights["decoder0.place"][:, 0, :9], weights["decoder0.place"][:, 0, 9:] = center, np.log(sd)
    parts = generator.split(parameters)
    mean, sigma = np.asarray(parts["mean"])[:, 0, 0, 1:], np.asarray(parts["sigma"])[:, 0, 0, 1:]
    precision = (basis**2).sum(axis=1) / sd**2 + sigma**-2.0
    for m in range(MEMBERS):
        weights["frame0.encoder"][m] = basis.T / sd**2 / precision[m]
        at = (mean[m] * sigma[m] ** -2.0 - center @ basis.T / sd**2) / precision[m]
        weights["frame0.center"][m, 0] = -at
        weights["encoder0.2.b"][m, 0, 2:] = -0.5 * np.log(precision[m]) - np.log(START_SD)
    return weights, basis, center, sd


def alike_and_independent(generator, seed=0):
    """Parameters of one component without regressions, the same in every row."""
    parameters = np.array(random_parameters(generator, seed))
    at = 0
    for name, length in generator.pieces:
        if name == "regression":
            parameters[..., at : at + length] = 0
        at += length
    return tf.constant(np.broadcast_to(parameters[:, :1], parameters.shape))


@pytest.mark.parametrize("missing", [0, 9])
def test_bound_of_a_linear_signal_is_its_likelihood_whatever_the_noise(layouts, missing):
    generator = Mixture(2, layouts["wide"](), components=1, width=8)
    parameters = alike_and_independent(generator)
    weights, basis, center, sd = linear_signal(generator, parameters)
    rng = np.random.default_rng(1)
    x, noise = rng.standard_normal((MEMBERS, ROWS, 10)), rng.standard_normal((MEMBERS, ROWS, 2))
    seen = np.ones_like(x)
    seen[..., :missing] = 0
    found = likelihood(generator, parameters, x, seen, weights=weights, noise=noise)
    parts = generator.split(parameters)
    for m in range(MEMBERS):
        mean, sigma = (np.asarray(parts[name])[m, 0, 0].astype(float) for name in ("mean", "sigma"))
        covariance = basis.T @ np.diag(sigma[1:] ** 2) @ basis + sd**2 * np.eye(9)
        expected = norm(mean[0], sigma[0]).logpdf(x[m, :, 9])
        if not missing:
            signal = multivariate_normal(center + mean[1:] @ basis, covariance)
            expected += signal.logpdf(x[m, :, :9])
        np.testing.assert_allclose(found[m], expected, rtol=1e-4, atol=1e-3)


def test_what_was_not_measured_of_a_signal_does_not_matter(layouts):
    generator = Mixture(2, layouts["heads"](), components=2, width=8)
    weights = generator.init(np.random.default_rng(0), MEMBERS)
    parameters = random_parameters(generator)
    rng = np.random.default_rng(1)
    x = np.abs(rng.standard_normal((MEMBERS, ROWS, generator.layout.values)))
    seen = (rng.random(x.shape) < 0.5).astype(float)
    seen[:, :2, 1:66], seen[:, 2, 67:151] = 0, 0  # whole measurements, too
    found, other = (
        likelihood(generator, parameters, np.where(seen > 0, x, filled), seen, weights=weights)
        for filled in (0.0, 7.0)
    )
    np.testing.assert_array_equal(found, other)
    full = likelihood(generator, parameters, x, weights=weights)
    assert np.isfinite(full).all()
    assert np.all(full != found)


def draws_of(generator, parameters, n=40_000, seed=2, weights=None):
    """Draws of member 0 at the first row of parameters."""
    rng = np.random.default_rng(seed)
    weights = generator.init(rng, MEMBERS) if weights is None else weights
    uniform = rng.random((MEMBERS, n, generator.uniforms))
    normal = rng.standard_normal((MEMBERS, n, generator.normals))
    values, levels = generator.trial_part(
        {name: tf.constant(value) for name, value in weights.items()},
        tf.repeat(parameters[:, :1], n, axis=1),
        tf.constant(uniform, tf.float32),
        tf.constant(normal, tf.float32),
    )
    return np.asarray(values)[0], np.asarray(levels)[0]


@pytest.mark.parametrize("components", [1, 3])
def test_draws_have_the_mixtures_mean_and_covariance(layouts, components):
    generator = Mixture(2, layouts["plain"](3), components=components, width=8)
    parameters = random_parameters(generator, seed=4)
    drawn, _ = draws_of(generator, parameters)
    parts = generator.split(parameters)
    pi = np.exp(log_softmax(np.asarray(parts["pi"])[0, 0].astype(float)))
    means, covariances = zip(*(component(parts, 0, 0, k) for k in range(components)), strict=True)
    mean = np.einsum("k,ki->i", pi, means)
    second = sum(p * (c + np.outer(m, m)) for p, m, c in zip(pi, means, covariances, strict=True))
    covariance = second - np.outer(mean, mean)
    scale = np.sqrt(np.diag(covariance))
    assert np.all(np.abs(drawn.mean(axis=0) - mean) < 0.03 * scale)
    assert np.all(np.abs(np.cov(drawn.T) - covariance) < 0.05 * np.outer(scale, scale))


def test_levels_are_drawn_as_often_as_the_likelihood_says(layouts):
    generator = Mixture(2, layouts["coded"](), components=1, width=8)
    parameters = random_parameters(generator, seed=4)
    values, levels = draws_of(generator, parameters)
    logits = np.asarray(generator.split(parameters)["codes"])[0, 0, 0].astype(float)
    expected = np.concatenate([np.exp(log_softmax(logits[:2])), np.exp(log_softmax(logits[2:]))])
    np.testing.assert_allclose(levels.mean(axis=0), expected, atol=0.01)
    np.testing.assert_array_equal(levels[:, :2].sum(axis=1), 1)
    np.testing.assert_array_equal(levels[:, 2:].sum(axis=1), 1)
    atom = generator.layout.atom[1, 1]
    np.testing.assert_array_equal(values[:, 1] == atom, levels[:, 1] == 1)


def test_draws_of_a_signal_have_the_likelihoods_mean_and_covariance(layouts):
    generator = Mixture(2, layouts["wide"](), components=1, width=8)
    parameters = alike_and_independent(generator)
    weights, basis, center, sd = linear_signal(generator, parameters)
    weights |= {name: np.ones_like(weights[name]) for name in SPREADS}
    weights |= {"spread.tails": np.zeros_like(weights["spread.tails"])}
    drawn, _ = draws_of(generator, parameters, weights=weights)
    parts = generator.split(parameters)
    mean, sigma = (np.asarray(parts[name])[0, 0, 0].astype(float) for name in ("mean", "sigma"))
    covariance = basis.T @ np.diag(sigma[1:] ** 2) @ basis + sd**2 * np.eye(9)
    scale = np.sqrt(np.diag(covariance))
    signal = drawn[:, :9]
    assert np.all(np.abs(signal.mean(axis=0) - center - mean[1:] @ basis) < 0.03 * scale)
    assert np.all(np.abs(np.cov(signal.T) - covariance) < 0.05 * np.outer(scale, scale))
    assert drawn[:, 9].mean() == pytest.approx(mean[0], abs=0.03 * sigma[0])


def test_residual_starts_at_zero_and_shapes_values_once_it_has_weights(layouts):
    generator = Mixture(2, layouts["plain"](2), components=1, width=8)
    weights = generator.init(np.random.default_rng(0), MEMBERS)
    parameters = random_parameters(generator)
    start, _ = draws_of(generator, parameters, n=100, weights=weights)
    shifted = weights | {"residual.1.b": np.full_like(weights["residual.1.b"], 0.5)}
    moved, _ = draws_of(generator, parameters, n=100, weights=shifted)
    np.testing.assert_allclose(moved - start, 0.5, rtol=1e-5)


def test_spread_scales_the_noise_and_leaves_the_mean(layouts):
    generator = Mixture(2, layouts["plain"](2), components=1, width=8)
    weights = generator.init(np.random.default_rng(0), MEMBERS)
    parameters = random_parameters(generator)
    mean = np.asarray(generator.split(parameters)["mean"])[0, 0, 0]
    narrow, _ = draws_of(generator, parameters, n=100, weights=weights)
    doubled = weights | {"spread.features": 2 * weights["spread.features"]}
    wide, _ = draws_of(generator, parameters, n=100, weights=doubled)
    np.testing.assert_allclose(wide - mean, 2 * (narrow - mean), rtol=1e-3, atol=1e-4)


def test_tails_make_rare_deviations_larger_and_none_absurd():
    normal = np.array([-5.0, -2.0, -0.1, 0.0, 0.1, 2.0, 5.0], np.float32)
    found = with_tails(normal, 0.3).numpy()
    np.testing.assert_allclose(found, -found[::-1])
    np.testing.assert_allclose(found[3:5], normal[3:5], rtol=2e-3)
    assert found[5] == pytest.approx(2 * np.exp(0.6), rel=1e-5)
    assert found[6] == pytest.approx(5 * np.exp(0.15 * FAR**2), rel=1e-5)
    np.testing.assert_array_equal(with_tails(normal, 0.0), normal)


def test_winner_is_one_hot_and_with_slope_has_the_softmaxs_gradient():
    scores = tf.Variable([[0.2, 1.5, -0.3]])
    for slope in (False, True):
        np.testing.assert_allclose(winner(scores, slope=slope), [[0, 1, 0]], atol=1e-6)
    with tf.GradientTape() as tape:
        drawn = winner(scores, slope=True)[0, 0]
    p = np.exp(log_softmax(scores.numpy()[0]))
    expected = [p[0] * (1 - p[0]), -p[0] * p[1], -p[0] * p[2]]
    np.testing.assert_allclose(tape.gradient(drawn, scores)[0], expected, rtol=1e-4)
    with tf.GradientTape() as tape:
        drawn = winner(scores, slope=False)[0, 0]
    assert tape.gradient(drawn, scores) is None


def test_a_tie_has_one_winner():
    drawn = winner(tf.constant([[1.0, 1.0, 0.0], [2.0, 2.0, 2.0]]), slope=False)
    np.testing.assert_array_equal(tf.reduce_sum(drawn, axis=-1), 1)


def test_slope_reaches_the_probabilities_of_components_and_levels(layouts):
    generator = Mixture(2, layouts["coded"](), components=3, width=8)
    weights = generator.init(np.random.default_rng(0), MEMBERS)
    parameters = tf.Variable(random_parameters(generator))
    rng = np.random.default_rng(1)
    uniform = tf.constant(rng.random((MEMBERS, ROWS, generator.uniforms)), tf.float32)
    normal = tf.constant(rng.standard_normal((MEMBERS, ROWS, generator.normals)), tf.float32)
    with tf.GradientTape() as tape:
        values, levels = generator.trial_part(weights, parameters, uniform, normal, slope=True)
        total = tf.reduce_sum(values) + tf.reduce_sum(levels[..., 0])
    slope = generator.split(tape.gradient(total, parameters))
    assert np.any(np.asarray(slope["pi"]) != 0)
    assert np.any(np.asarray(slope["codes"]) != 0)


def test_latents_at_the_ends_of_their_range_give_finite_trials(layout):
    generator = Mixture(2, layout, components=3, width=8)
    weights = generator.init(np.random.default_rng(0), MEMBERS)
    for end in (0.0, 1.0):
        values, levels = generator.trial_part(
            weights,
            random_parameters(generator),
            tf.fill((MEMBERS, ROWS, generator.uniforms), end),
            tf.fill((MEMBERS, ROWS, generator.normals), 8.0),
        )
        assert np.isfinite(values).all()
        assert np.isfinite(levels).all()


def test_one_feature_needs_no_regression(layouts):
    pieces = dict(Mixture(2, layouts["plain"](1), components=2, width=8).pieces)
    assert pieces["regression"] == 0
    pieces = dict(Mixture(2, layouts["plain"](3), components=2, width=8).pieces)
    assert pieces["regression"] == 2 * 3


def test_layout_says_which_features_belong_to_which_measurement(layouts):
    layout = layouts["heads"]()
    np.testing.assert_array_equal(layout.plain, [0, 66, *range(279, 284)])
    assert layout.features == 7 + 3 + 2 + 2
    found = {part.name: layout.features_of(part).tolist() for part in layout.parts}
    assert found == {
        "first": [0],
        "trace": [7, 8, 9],
        "second": [1],
        "image": [10, 11],
        "both": [12, 13],
        "short": [2, 3, 4, 5, 6],
    }


def test_a_value_that_follows_from_others_is_left_to_them(layouts):
    free = layouts["of_parts"](height=(), shares=(3,))
    layout = replace(free, ties=(Tie((2, 3, 1), (2.0, 0.5, 1.0), 0.7),))
    np.testing.assert_array_equal(layout.plain, [0, 1, 3])
    generator = Mixture(2, layout, components=2, width=8)
    parameters = random_parameters(generator)
    drawn, _ = draws_of(generator, parameters, n=1000)
    np.testing.assert_allclose(drawn[:, 1:] @ [1.0, 2.0, 0.5], 0.7, atol=1e-4)
    assert np.all(drawn.std(axis=0) > 0.1)
    x = np.random.default_rng(1).standard_normal((MEMBERS, ROWS, 4))
    other = np.where(np.arange(4) == 2, 9.0, x)
    np.testing.assert_array_equal(
        likelihood(generator, parameters, x), likelihood(generator, parameters, other)
    )


def test_values_come_back_in_the_order_of_the_measurements(layouts):
    layout = layouts["heads"]()
    generator = Mixture(2, layout, components=1, width=8)
    start = generator.init(np.random.default_rng(0), MEMBERS)
    weights = {name: np.zeros_like(value) for name, value in start.items()}  # without any noise
    mark = {0: 10.0, 2: 30.0}
    for head in generator.heads:
        size, place = head.values, weights[f"decoder{head.index}.place"][:, 0]
        if head.part.floor:
            place[:, :size] = 50.0  # never on the floor
            place[:, 2 * size :] = -7.0
            weights[f"decoder{head.index}.place"][:, 0, 2 * size : 4 * size] = 0.5
        else:
            place[:, :size], place[:, size:] = mark[head.index], -7.0
    parameters = np.zeros((MEMBERS, ROWS, sum(length for _, length in generator.pieces)))
    at = generator.components
    parameters[..., at : at + 7] = np.arange(1, 8)  # means of the scalars
    drawn, _ = draws_of(generator, tf.constant(parameters, tf.float32), n=3, weights=weights)
    lit = np.exp(-1.0 + 0.8 * 0.5)
    expected = [1, *[10] * 65, 2, *[lit] * 84, *[30] * 128, *range(3, 8)]
    np.testing.assert_allclose(drawn, [expected] * 3, rtol=1e-2)
