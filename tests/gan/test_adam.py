"""The optimiser of a whole ensemble."""

import numpy as np
import tensorflow as tf

from virtlab.gan.adam import adam_step, slots


def take_steps(weights, gradients, steps=1, **options):
    """Weights after some steps along fixed gradients; `gradients` in the order of weights."""
    weights = {name: tf.Variable(value, dtype=tf.float32) for name, value in weights.items()}
    moments = slots(weights)
    for step in range(steps):
        adam_step(
            weights,
            [tf.constant(g, tf.float32) for g in gradients],
            moments,
            step=tf.constant(step),
            rate=tf.constant(0.1),
            **options,
        )
    return {name: weight.numpy() for name, weight in weights.items()}


def test_first_step_has_the_length_of_the_rate_whatever_the_gradients_size():
    found = take_steps({"a": np.zeros((2, 3))}, [[[1e-3, -1e-3, 1e-3], [2, -2, 2]]])
    np.testing.assert_allclose(found["a"], [[-0.1, 0.1, -0.1]] * 2, rtol=1e-3)


def test_steps_follow_the_published_rule():
    rng = np.random.default_rng(0)
    start, gradient = rng.standard_normal((1, 4)), 0.1 * rng.standard_normal((1, 4))
    found = take_steps({"a": start}, [gradient], steps=5, beta1=0.9, beta2=0.99)
    expected, first, second = start.copy(), 0.0, 0.0
    for t in range(1, 6):
        first = 0.9 * first + 0.1 * gradient
        second = 0.99 * second + 0.01 * gradient**2
        expected -= 0.1 * (first / (1 - 0.9**t)) / np.sqrt(second / (1 - 0.99**t))
    np.testing.assert_allclose(found["a"], expected, rtol=1e-4)


def test_member_whose_gradient_is_not_finite_keeps_its_weights_and_others_move():
    start = {"a": np.ones((3, 2)), "b": np.ones((3, 1, 2))}
    fine = np.full((3, 1, 2), 0.5)
    for bad in (np.nan, np.inf):
        gradient = np.full((3, 2), 0.5)
        gradient[1, 0] = bad
        found = take_steps(start, [gradient, fine], decay=0.1)
        usual = take_steps(start, [np.full((3, 2), 0.5), fine], decay=0.1)
        for name in start:
            np.testing.assert_array_equal(found[name][1], 1)
            np.testing.assert_array_equal(found[name][[0, 2]], usual[name][[0, 2]])


def test_member_recovers_after_a_gradient_that_was_not_finite():
    weights = {"a": tf.Variable(tf.zeros((2, 1)))}
    moments = slots(weights)
    for step, bad in enumerate([np.nan, 0.5, 0.5]):
        gradient = tf.constant([[0.5], [bad]], tf.float32)
        adam_step(weights, [gradient], moments, step=tf.constant(step), rate=tf.constant(0.1))
    assert np.isfinite(weights["a"]).all()
    assert weights["a"][1, 0] < 0


def test_long_gradients_are_shortened_member_by_member():
    gradient = np.array([[3.0, 4.0], [30.0, 40.0]])
    weights = {"a": tf.Variable(tf.zeros((2, 2)))}
    moments = slots(weights)
    adam_step(
        weights,
        [tf.constant(gradient, tf.float32)],
        moments,
        step=tf.constant(0),
        rate=tf.constant(0.1),
        beta1=0.0,
        clip=5.0,
    )
    np.testing.assert_allclose(moments["adam1"], [[3, 4], [3, 4]], rtol=1e-5)


def test_decay_shrinks_matrices_and_leaves_offsets():
    start = {"x.w": np.ones((1, 2)), "x.b": np.ones((1, 2))}
    found = take_steps(start, [np.zeros((1, 2)), np.zeros((1, 2))], decay=0.5)
    np.testing.assert_allclose(found["x.w"], 0.95, rtol=1e-6)
    np.testing.assert_array_equal(found["x.b"], 1)


def test_weights_without_a_gradient_stay_as_they_are():
    start = {"a.w": np.ones((2, 2, 1)), "b.w": np.ones((2, 3)), "c.b": np.ones((2, 1, 1))}
    weights = {name: tf.Variable(value, dtype=tf.float32) for name, value in start.items()}
    gradients = [tf.ones((2, 2, 1)), None, tf.ones((2, 1, 1))]
    adam_step(
        weights,
        gradients,
        slots(weights),
        step=tf.constant(0),
        rate=tf.constant([0.1, 0.2]),
        decay=0.5,
    )
    np.testing.assert_array_equal(weights["b.w"], 1)
    np.testing.assert_allclose(np.ravel(weights["a.w"]), [0.85, 0.85, 0.7, 0.7], rtol=1e-5)
    np.testing.assert_allclose(np.ravel(weights["c.b"]), [0.9, 0.8], rtol=1e-5)
