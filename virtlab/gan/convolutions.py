"""Convolutions of a whole ensemble, 1-D and 2-D. Arrays are ``(member, row, *space, channel)``.

A grouped convolution is slow or missing on a CPU, so each member has its own. Those with strides,
which critics take, are one product for all members: places are cut into blocks of one stride, and
neighbouring blocks are put side by side. Second derivatives (gradient penalties) pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import tensorflow as tf

from virtlab.gan.blocks import Floats, Part
from virtlab.gan.layers import Weights, init_dense

Space = tuple[int, ...]
TILE = 16  # outputs that LiteRT's convolutions compute at once


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
        return _by_member(_convolve_alone, weights, name, x)
    for axis, step in enumerate(stride):
        x = _gather_taps(x, axis, step)
    members, rows, *space, channels = x.shape
    flat = tf.reshape(x, (members, rows * math.prod(space), channels))
    out = tf.matmul(flat, weights[f"{name}.w"]) + weights[f"{name}.b"]
    return tf.reshape(out, (members, rows, *space, out.shape[-1]))


def _convolve_alone(weights: Weights, name: str, x: tf.Tensor) -> tf.Tensor:
    """Three places along each axis, of one member.

    A library computes `TILE` outputs at a time: where there are fewer, neighbours along the last
    axis are outputs of one wider kernel, which takes steps of as many places.
    """
    kernel = _kernel(weights, name, x)
    *_, length, _ = x.shape
    outputs = kernel.shape[-1]
    block = max(n for n in range(1, max(1, TILE // outputs) + 1) if length % n == 0)
    before = [[0, 0]] * (kernel.shape.rank - 3)
    shifted = [tf.pad(kernel, [*before, [i, block - 1 - i], [0, 0], [0, 0]]) for i in range(block)]
    stride = [1] * (x.shape.rank - 4) + [block]
    wide = tf.concat(shifted, axis=-1)
    found = tf.nn.convolution(tf.reshape(x, x.shape[1:]), wide, strides=stride, padding="SAME")
    bias = tf.tile(tf.reshape(weights[f"{name}.b"], (-1,)), (block,))
    return tf.reshape(found + bias, (*x.shape[:-1], outputs))


def _kernel(weights: Weights, name: str, x: tf.Tensor) -> tf.Tensor:
    """One member's kernel, ``(3 along each axis, input, output)``."""
    flat = weights[f"{name}.w"]
    return tf.reshape(flat, (*(3 for _ in x.shape[2:-1]), x.shape[-1], flat.shape[-1]))


def _by_member(
    one: Callable[[Weights, str, tf.Tensor], tf.Tensor], weights: Weights, name: str, x: tf.Tensor
) -> tf.Tensor:
    """What a function of one member makes of each."""
    kernels, biases = (tf.split(weights[f"{name}.{kind}"], x.shape[0]) for kind in "wb")
    own = zip(kernels, biases, tf.split(x, x.shape[0]), strict=True)
    found = [one({f"{name}.w": w, f"{name}.b": b}, name, piece) for w, b, piece in own]
    return tf.concat(found, axis=0) if len(found) > 1 else found[0]


def taps_of(stride: Space) -> int:
    """Places that one kernel of `convolve` covers."""
    return math.prod(3 if step == 1 else 2 * step for step in stride)


def grow(weights: Weights, name: str, x: tf.Tensor, factor: Space, space: Space) -> tf.Tensor:
    """Repeat each place, convolve three places along each axis, and cut to `space`.

    Upsampling with a convolution after it is free of checkerboards (Odena et al. 2016). Of three
    neighbours on the fine grid some are one place of the coarse grid: their weights are summed,
    which takes less than half of the products, and nothing is repeated (sub-pixel convolution, Shi
    et al. 2016).
    """
    if len(space) > 2:  # there is no such transposed convolution
        for axis, times in enumerate(factor):
            x = tf.repeat(x, times, axis=2 + axis)
        return cut(convolve(weights, name, x, (1,) * len(space)), space)
    return cut(_by_member(partial(_grow_alone, factor=factor), weights, name, x), space)


def cut(x: tf.Tensor, space: Space) -> tf.Tensor:
    """The first places along each axis."""
    if tuple(x.shape[2:-1]) == space:
        return x
    return tf.slice(x, [0] * x.shape.rank, [*x.shape[:2], *space, x.shape[-1]])


def interleave(x: tf.Tensor, factor: Space) -> tf.Tensor:
    """Put channels that are the phases of a finer grid, ``(*factor, channel)``, in their places."""
    members, rows, *coarse, channels = x.shape
    channels //= math.prod(factor)
    # Members and rows as one: LiteRT transposes six dims at most.
    whole = tf.reshape(x, (members * rows, *coarse, *factor, channels))
    order = [axis for i in range(len(coarse)) for axis in (1 + i, 1 + len(coarse) + i)]
    turned = tf.transpose(whole, [0, *order, whole.shape.rank - 1])
    fine = (n * times for n, times in zip(coarse, factor, strict=True))
    return tf.reshape(turned, (members, rows, *fine, channels))


def _grow_alone(weights: Weights, name: str, x: tf.Tensor, factor: Space) -> tf.Tensor:
    """`grow` of one member, as in an exported generator: one transposed convolution."""
    kernel = _kernel(weights, name, x)
    for axis, times in enumerate(factor):
        reach = range(-1, times + 1)  # on the fine grid, of a place on the coarse one
        seen = [[float(0 <= at + tap - 1 < times) for tap in range(3)] for at in reach]
        order = [*range(1, axis + 1), 0, *range(axis + 1, kernel.shape.rank)]
        kernel = tf.transpose(tf.tensordot(tf.constant(seen), kernel, (1, axis)), order)
    rows, *coarse, channels = x.shape[1:]
    outputs = kernel.shape[-1]
    fine = [n * times for n, times in zip(coarse, factor, strict=True)]
    # The axis that signals lack comes first: several places along the last are computed at once.
    first = [1] * (2 - len(coarse))
    kernel = tf.reshape(kernel, (*first, *kernel.shape[: len(coarse)], channels, outputs))
    found = tf.nn.conv2d_transpose(
        tf.reshape(x, (rows, *first, *coarse, channels)),
        tf.transpose(kernel, (0, 1, 3, 2)),
        (rows, *first, *fine, outputs),
        (*first, *factor),
    )
    bias = tf.reshape(weights[f"{name}.b"], (-1,))
    return tf.reshape(found + bias, (1, rows, *fine, outputs))


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
