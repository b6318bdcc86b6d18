"""Convolutions of all members at once against TensorFlow's own, member by member."""

import numpy as np
import pytest
import tensorflow as tf

from virtlab.gan.blocks import Part
from virtlab.gan.convolutions import (
    arrange,
    convolve,
    flatten,
    grow,
    init_convolution,
    interleave,
    taps_of,
)

MEMBERS, ROWS = 2, 3


@pytest.mark.parametrize(
    ("space", "stride"),
    [((16,), (4,)), ((10,), (4,)), ((7,), (2,)), ((5,), (1,)), ((8, 6), (2, 2)), ((9, 3), (4, 1))],
)
def test_convolution_is_tensorflows(space, stride):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((MEMBERS, ROWS, *space, 2)).astype(np.float32)
    weights = init_convolution(rng, "c", taps_of(stride), 2, 5, members=MEMBERS)
    found = convolve(weights, "c.0", tf.constant(x), stride)
    kernel_size = [3 if step == 1 else 2 * step for step in stride]
    padding = [[0, 0]]
    for length, step, size in zip(space, stride, kernel_size, strict=True):
        before = 1 if step == 1 else step // 2
        padding.append([before, step * (-(-length // step) - 1) + size - length - before])
    for member in range(MEMBERS):
        # Taps are ordered block by block, place by place, the last axis outermost.
        w = weights["c.0.w"][member]
        if len(space) == 1:
            kernel = w.reshape(kernel_size[0], 2, 5)
        else:
            split = [(3, 1) if step == 1 else (2, step) for step in stride]
            (b0, s0), (b1, s1) = split
            kernel = w.reshape(b1, s1, b0, s0, 2, 5).transpose(2, 3, 0, 1, 4, 5)
            kernel = kernel.reshape(b0 * s0, b1 * s1, 2, 5)
        padded = np.pad(x[member], [*padding, [0, 0]])
        expected = tf.nn.convolution(padded, kernel, strides=list(stride), padding="VALID")
        np.testing.assert_allclose(found[member], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "space", "channels"),
    [
        ((24,), (24,), 1),
        ((2, 24), (24,), 2),
        ((24, 3), (24,), 3),
        ((6, 6), (6, 6), 1),
        ((3, 16, 12), (16, 12), 3),
        ((2, 3), (2, 3), 1),
    ],
)
def test_a_short_dim_beside_long_ones_is_of_channels(shape, space, channels):
    part = Part("x", 0, int(np.prod(shape)), shape)
    assert (part.space, part.channels) == (space, channels)
    values = np.arange(2 * 3 * np.prod(shape), dtype=np.float32).reshape(2, 3, -1)
    arranged = arrange(part, tf.constant(values))
    assert arranged.shape == (2, 3, *space, channels)
    np.testing.assert_array_equal(flatten(part, arranged), values)
    if part.channel_axis is not None:
        own = values[0, 0].reshape(shape)
        np.testing.assert_array_equal(arranged[0, 0, ..., 1], own.take(1, part.channel_axis))


@pytest.mark.parametrize("members", [1, 2])  # one: as in an exported generator
@pytest.mark.parametrize(
    ("factor", "inputs", "space"),
    [
        ((2,), (5,), (10,)),
        ((2, 2), (4, 3), (8, 6)),
        ((2, 1), (3, 4), (6, 4)),
        ((2, 2), (4, 3), (7, 5)),
        ((2, 2, 1), (3, 4, 2), (6, 7, 2)),
    ],
)
def test_growing_repeats_each_place_convolves_and_cuts(factor, inputs, space, members):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((members, ROWS, *inputs, 2)).astype(np.float32)
    weights = init_convolution(rng, "c", 3 ** len(inputs), 2, 5, members=members)
    weights["c.0.b"] = rng.standard_normal(weights["c.0.b"].shape).astype(np.float32)
    weights = {name: tf.constant(value) for name, value in weights.items()}
    repeated = x
    for axis, times in enumerate(factor):
        repeated = repeated.repeat(times, axis=2 + axis)
    for member in range(members):
        kernel = tf.reshape(weights["c.0.w"][member], (*(3 for _ in inputs), 2, 5))
        expected = tf.nn.convolution(repeated[member], kernel, padding="SAME")
        expected += tf.reshape(weights["c.0.b"][member], (-1,))
        whole = tuple(slice(length) for length in space)
        found = grow(weights, "c.0", tf.constant(x), factor, space)[member]
        np.testing.assert_allclose(found, expected[:, *whole], atol=1e-5)


@pytest.mark.parametrize("factor", [(2,), (2, 2), (1, 2)])
def test_phases_are_put_between_their_neighbours(factor):
    coarse = (3, 4)[: len(factor)]
    fine = [n * times for n, times in zip(coarse, factor, strict=True)]
    expected = np.arange(2 * ROWS * np.prod(fine) * 5).reshape(2, ROWS, *fine, 5)
    phases = [
        expected[:, :, *(slice(start, None, n) for start, n in zip(at, factor, strict=True))]
        for at in np.ndindex(factor)
    ]
    found = interleave(tf.constant(np.concatenate(phases, axis=-1)), factor)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("space", [(8,), (7,), (4, 12), (5, 5)])
@pytest.mark.parametrize("outputs", [1, 2, 6, 20])
def test_few_outputs_are_convolved_like_many(space, outputs):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.standard_normal((2, ROWS, *space, 3)), tf.float32)
    weights = init_convolution(rng, "c", 3 ** len(space), 3, outputs, members=2)
    weights["c.0.b"] = rng.standard_normal(weights["c.0.b"].shape).astype(np.float32)
    found = convolve(weights, "c.0", x, (1,) * len(space))
    for member in range(2):
        kernel = weights["c.0.w"][member].reshape(*(3 for _ in space), 3, outputs)
        expected = tf.nn.convolution(x[member], kernel, padding="SAME")
        np.testing.assert_allclose(found[member], expected + weights["c.0.b"][member], atol=1e-5)
