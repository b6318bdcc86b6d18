"""The mixture core against scipy, and its draws against its own likelihood."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax
from scipy.stats import multivariate_normal, norm

from virtlab.gan.mixture import Mixture, winner

MEMBERS, ROWS = 2, 5


def random_parameters(generator, seed=0, rows=ROWS):
    """Rows of `setting_part`, as a trained network might give them."""
    width = sum(length for _, length in generator.pieces)
    rng = np.random.default_rng(seed)
    return tf.constant(rng.standard_normal((MEMBERS, rows, width)), tf.float32)


def component(parts, m, r, k):
    """Mean and covariance of one component."""
    mean, sigma = np.asarray(parts["mean"])[m, r, k], np.asarray(parts["sigma"])[m, r, k]
    a = np.asarray(parts["regression"])[m, r, k] if len(mean) > 1 else np.zeros((1, 1))
    inverse = np.linalg.inv(np.eye(len(mean)) - a)
    return mean.astype(float), inverse @ np.diag(sigma.astype(float) ** 2) @ inverse.T


def likelihood(generator, parameters, features, seen=None, codes=None, outside=None, observed=None):
    """`log_likelihood` of plain arrays."""
    shape = (MEMBERS, ROWS, generator.layout.values)
    levels = np.zeros((MEMBERS, ROWS, sum(generator.layout.levels)))
    given = [
        features,
        np.ones_like(features) if seen is None else seen,
        np.zeros(shape) if outside is None else outside,
        np.ones(shape) if observed is None else observed,
        levels if codes is None else codes,
    ]
    found = generator.log_likelihood(parameters, *(tf.constant(x, tf.float32) for x in given))
    return np.asarray(found)


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
    regression = np.asarray(generator.split(random_parameters(generator))["regression"])
    assert np.all(regression == np.tril(regression, -1))
    assert np.any(regression != 0)


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


def test_noise_outside_the_basis_is_judged_where_it_was_observed(layouts):
    layout = layouts["wide"]()
    generator = Mixture(2, layout, components=1, width=8)
    parameters = random_parameters(generator)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((MEMBERS, ROWS, layout.features))
    rest = rng.standard_normal((MEMBERS, ROWS, layout.values))
    observed = (rng.random(rest.shape) < 0.6).astype(float)
    none = likelihood(generator, parameters, x, outside=rest, observed=np.zeros_like(rest))
    found = likelihood(generator, parameters, x, outside=rest, observed=observed)
    sigma = np.asarray(generator.split(parameters)["outside"]).astype(float)
    each = norm(0, (sigma * layout.outside)[..., :-1]).logpdf(rest[..., :-1]) * observed[..., :-1]
    np.testing.assert_allclose(found - none, each.sum(axis=-1), rtol=1e-4)


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


def test_noise_outside_the_basis_has_the_width_that_the_likelihood_judges(layouts):
    layout = layouts["wide"]()
    generator = Mixture(2, layout, components=1, width=8)
    parameters = random_parameters(generator)
    weights = generator.init(np.random.default_rng(0), MEMBERS)
    still = weights | {"spread.outside": 0 * weights["spread.outside"]}
    noisy, _ = draws_of(generator, parameters, n=20_000, weights=weights)
    smooth, _ = draws_of(generator, parameters, n=20_000, weights=still)
    rest = noisy - smooth
    sigma = np.asarray(generator.split(parameters)["outside"])[0, 0]
    np.testing.assert_allclose(rest.std(axis=0), sigma * layout.outside, rtol=0.05, atol=1e-6)
    assert np.all(rest[:, -1] == 0)  # the scalar beside the signal lies on the basis


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


def test_layout_says_which_values_its_basis_leaves_something_of(layouts):
    assert not layouts["plain"](3).is_wide
    layout = layouts["wide"]()
    assert layout.is_wide
    np.testing.assert_array_equal(layout.has_outside, [1] * 9 + [0])
