"""Convolutions of all members at once against TensorFlow's own, member by member."""

import numpy as np
import pytest
import tensorflow as tf

from virtlab.gan.blocks import Part
from virtlab.gan.convolutions import (
    arrange,
    convolve,
    flatten,
    init_convolution,
    taps_of,
    upsample,
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


def test_upsampling_repeats_each_place():
    x = tf.constant(np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3, 1))
    found = np.asarray(upsample(x, (2, 1)))
    np.testing.assert_array_equal(found[0, 0, ..., 0], [[0, 1, 2], [0, 1, 2], [3, 4, 5], [3, 4, 5]])
