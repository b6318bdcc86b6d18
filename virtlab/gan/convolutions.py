"""Convolutions of a whole ensemble, 1-D and 2-D, as batched matrix products.

A grouped convolution is slow or missing on a CPU, and second derivatives (gradient penalties)
must pass. So places are cut into blocks of one stride, neighbouring blocks are put side by side,
and one matrix product serves all members: measured as fast as a convolution per member, and
built in a third of the time. Arrays are ``(member, row, *space, channel)``.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import tensorflow as tf

from virtlab.gan.blocks import Floats, Part
from virtlab.gan.layers import Weights, init_dense

Space = tuple[int, ...]


def arrange(part: Part, values: tf.Tensor) -> tf.Tensor:
    """One measurement's values, ``(member, row, value)``, as ``(member, row, *space, channel)``."""
    members, rows = values.shape[0], values.shape[1]
    shaped = tf.reshape(values, (members, rows, *part.shape))
    if part.channel_axis is None:
        return shaped[..., None]
    axes = [i for i in range(len(part.shape)) if i != part.channel_axis]
    return tf.transpose(shaped, (0, 1, *(2 + i for i in axes), 2 + part.channel_axis))


def flatten(part: Part, arranged: tf.Tensor) -> tf.Tensor:
    """Inverse of `arrange`."""
    if part.channel_axis is not None:
        axes = list(range(2, arranged.shape.rank - 1))
        axes.insert(part.channel_axis, arranged.shape.rank - 1)
        arranged = tf.transpose(arranged, (0, 1, *axes))
    return tf.reshape(arranged, (*arranged.shape[:2], part.stop - part.start))


def init_convolution(
    rng: np.random.Generator, name: str, taps: int, inputs: int, outputs: int, *, members: int
) -> dict[str, Floats]:
    """Initial weights of one convolution with so many taps; see `init_dense`."""
    return init_dense(rng, name, [taps * inputs, outputs], members=members)


def convolve(weights: Weights, name: str, x: tf.Tensor, stride: Space) -> tf.Tensor:
    """Convolution with a kernel of two strides along each axis (three places where it is 1).

    Places beyond the ends are zero. The space shrinks by the stride, rounded up.
    """
    if set(stride) == {1}:
        return _convolve_in_place(weights, name, x)
    for axis, step in enumerate(stride):
        x = _gather_taps(x, axis, step)
    members, rows, *space, channels = x.shape
    flat = tf.reshape(x, (members, rows * math.prod(space), channels))
    out = tf.matmul(flat, weights[f"{name}.w"]) + weights[f"{name}.b"]
    return tf.reshape(out, (members, rows, *space, out.shape[-1]))


def _convolve_in_place(weights: Weights, name: str, x: tf.Tensor) -> tf.Tensor:
    """Three places along each axis: a sum of products with the shifted whole.

    Twice to seven times as fast as putting the neighbours side by side first (2-D, two cores).
    """
    members, rows, *space, channels = x.shape
    if members == 1:  # as in an exported generator: where a library's own convolution is fastest
        return _convolve_alone(weights, name, x)
    padded = tf.pad(x, [[0, 0], [0, 0], *([1, 1] for _ in space), [0, 0]])
    kernel = weights[f"{name}.w"]
    total = tf.convert_to_tensor(weights[f"{name}.b"])
    for tap, shift in enumerate(product(range(3), repeat=len(space))):
        piece = tf.slice(padded, [0, 0, *shift, 0], [members, rows, *space, channels])
        flat = tf.reshape(piece, (members, rows * math.prod(space), channels))
        total += tf.matmul(flat, kernel[:, tap * channels : (tap + 1) * channels])
    return tf.reshape(total, (members, rows, *space, kernel.shape[-1]))


def _convolve_alone(weights: Weights, name: str, x: tf.Tensor) -> tf.Tensor:
    """Three places along each axis, of one member."""
    kernel = weights[f"{name}.w"]
    kernel = tf.reshape(kernel, (*(3 for _ in x.shape[2:-1]), x.shape[-1], kernel.shape[-1]))
    found = tf.nn.convolution(tf.reshape(x, x.shape[1:]), kernel, padding="SAME")
    bias = tf.reshape(weights[f"{name}.b"], (-1,))
    return tf.reshape(found + bias, (1, *found.shape))


def taps_of(stride: Space) -> int:
    """Places that one kernel of `convolve` covers."""
    return math.prod(3 if step == 1 else 2 * step for step in stride)


def upsample(x: tf.Tensor, factor: Space) -> tf.Tensor:
    """Repeat each place: with a convolution after it free of checkerboards (Odena et al. 2016)."""
    for axis, times in enumerate(factor):
        if times == 1:
            continue
        shape = list(x.shape)
        repeated = tf.stack([x] * times, axis=3 + axis)
        shape[2 + axis] *= times
        x = tf.reshape(repeated, shape)
    return x


def _gather_taps(x: tf.Tensor, axis: int, stride: int) -> tf.Tensor:
    """What the kernel sees along one axis, moved into the channels."""
    at = 2 + axis
    length, blocks = x.shape[at], 3 if stride == 1 else 2
    places = -(-length // stride)
    before = 1 if stride == 1 else stride // 2
    padding = [[0, 0]] * x.shape.rank
    padding[at] = [before, stride * (places + blocks - 1) - length - before]
    shape = list(x.shape)
    shape[at : at + 1] = [places + blocks - 1, stride]
    cut = tf.reshape(tf.pad(x, padding), shape)
    # The places within a block go beside the channels.
    order = [i for i in range(cut.shape.rank) if i != at + 1]
    order.insert(-1, at + 1)
    cut = tf.transpose(cut, order)
    cut = tf.reshape(cut, (*cut.shape[:-2], stride * cut.shape[-1]))
    pieces = [_along(cut, at, first, places) for first in range(blocks)]
    return tf.concat(pieces, axis=-1)


def _along(x: tf.Tensor, axis: int, first: int, count: int) -> tf.Tensor:
    """So many entries along an axis."""
    begin, size = [0] * x.shape.rank, list(x.shape)
    begin[axis], size[axis] = first, count
    return tf.slice(x, begin, size)
