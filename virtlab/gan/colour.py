"""Coloured noise: what a head leaves of a signal or an image is alike at neighbouring places.

Detectors smooth, and baselines wander. Along each axis the noise, in units of its standard
deviation at each place, is a stationary autoregression; along several it is their product, as
in kriging. It is given by partial autocorrelations: any numbers between -1 and 1 are those of
one stationary process (Barndorff-Nielsen & Schou 1973). The lattice filter (Itakura & Saito 1971)
turns noise into independent innovations: likelihood costs a few products per value.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from virtlab.gan.blocks import Floats, Part
from virtlab.gan.convolutions import arrange, flatten

ORDER = 3  # neighbours before a place that it follows
MOST = 0.999  # of a partial autocorrelation's magnitude: innovations are no smaller than rounding
BLOCK, MOST_BLOCKS = 64, 32  # places that one product draws, or more where the blocks are many

_Partial = Callable[[int, tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
"""A partial autocorrelation: of an order, given errors of prediction from either side."""


def numbers(part: Part) -> int:
    """How many numbers give a measurement's colour."""
    return len(part.space) * ORDER * part.channels


def whitened(
    part: Part, colour: tf.Tensor, noise: tf.Tensor, observed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Innovations of standardised noise, each given what is before it.

    In a measurement with gaps a place is judged by what was observed since the last one.

    Parameters
    ----------
    part
        The measurement.
    colour
        `numbers` of any size, ``(member, 1, number)``; 0 is white.
    noise, observed
        ``(member, row, value)``; noise is 0 where it was not observed.

    Returns
    -------
    innovations, log_sd
        Standardised, and the logarithms of what they were divided by, ``(member, row, value)``;
        without gaps these are the same for all, one row.
    """
    x, seen = arrange(part, noise), arrange(part, observed)
    log_sd = tf.zeros_like(x if part.gaps else x[:, :1])
    for axis, partials in enumerate(_partials(part, colour)):
        if part.gaps:
            own = partial(_known, partials)
            x, narrower = _innovations(x, seen, 2 + axis, own)
        else:
            x, narrower = _whitened_along(x, 2 + axis, partials)
        log_sd += narrower
    return flatten(part, x), flatten(part, log_sd)


def coloured(part: Part, colour: tf.Tensor, white: tf.Tensor) -> tf.Tensor:
    """Noise of unit variance, ``(member, row, value)``, from white noise: `whitened` inverted."""
    x = arrange(part, white)
    for axis, partials in enumerate(_partials(part, colour)):
        x = _drawn_along(x, 2 + axis, partials)
    return flatten(part, x)


def colour_of(part: Part, noise: NDArray[np.float64], observed: Floats) -> NDArray[np.float64]:
    """Colour of standardised noise, ``(row, value)``, by Burg's method (1975); ``(number,)``."""
    found = []

    def burg(_order: int, forward: tf.Tensor, before: tf.Tensor, both: tf.Tensor) -> tf.Tensor:
        axes = list(range(forward.shape.rank - 1))
        product = tf.reduce_sum(both * forward * before, axes)
        power = tf.reduce_sum(both * (tf.square(forward) + tf.square(before)), axes)
        found.append(tf.clip_by_value(2 * product / (power + 1e-12), -0.99, 0.99))
        return found[-1]

    x, seen = (arrange(part, tf.constant(a[None], tf.float32)) for a in (noise, observed))
    for axis in range(len(part.space)):
        _innovations(x, seen, 2 + axis, burg)
    return np.arctanh(np.concatenate(found).astype(np.float64) / MOST)


def _partials(part: Part, colour: tf.Tensor) -> list[list[tf.Tensor]]:
    """By axis and order, ``(member, 1, …, channel)`` each."""
    axes = len(part.space)
    each = tf.split(MOST * tf.tanh(colour), axes * ORDER, axis=-1)
    shaped = [tf.reshape(x, (x.shape[0], 1, *(1,) * axes, part.channels)) for x in each]
    return [shaped[axis * ORDER : (axis + 1) * ORDER] for axis in range(axes)]


def _innovations(
    x: tf.Tensor, seen: tf.Tensor, axis: int, partial: _Partial
) -> tuple[tf.Tensor, tf.Tensor]:
    """Standardised innovations along one axis, and the logarithms of their deviations."""
    found, narrower = x, tf.zeros_like(x)
    forward, backward, run, log_sd = x, x, seen, 0.0
    for order in range(ORDER):
        # Observed in a row, this place and as many before it.
        before, run = _moved(backward, axis), seen * _moved(run, axis)
        own = partial(order, forward, before, run)
        forward, backward = forward - own * before, before - own * forward
        log_sd += 0.5 * tf.math.log(1 - tf.square(own))
        found = run * forward * tf.exp(-log_sd) + (1 - run) * found
        narrower = run * log_sd + (1 - run) * narrower
    return found, narrower


def _moved(x: tf.Tensor, axis: int) -> tf.Tensor:
    """Each place's predecessor along an axis; 0 at the first."""
    padding = [[0, 0]] * x.shape.rank
    padding[axis] = [1, 0]
    return tf.slice(tf.pad(x, padding), [0] * x.shape.rank, x.shape)


def _known(partials: list[tf.Tensor], order: int, *_: tf.Tensor) -> tf.Tensor:
    return partials[order]


def _whitened_along(
    x: tf.Tensor, axis: int, partials: list[tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """`_innovations` where all was observed, by products with a band of the whole triangle."""
    flat, back = _turned(x, axis)
    length, block = flat.shape[-1], _block(flat.shape[-1])
    whiten, log_sd = _triangle(partials, block)
    found = [tf.matmul(flat[:, :, :block], whiten[:, :block, :block])]
    for at in range(block, length, block):
        size = min(block, length - at)
        seen = flat[:, :, at - ORDER : at + size]
        found.append(tf.matmul(seen, whiten[:, : ORDER + size, ORDER : ORDER + size]))
    # From `ORDER` on all places are alike.
    last = tf.repeat(log_sd[:, -1:], length - block, axis=1)
    narrower = tf.concat([log_sd[:, :block], last], axis=1)
    shape = [x.shape[0], x.shape[-1], *(1,) * (x.shape.rank - 3), length]
    order = np.argsort(_order(x, axis))
    return back(tf.concat(found, axis=-1)), tf.transpose(tf.reshape(narrower, shape), order)


def _drawn_along(x: tf.Tensor, axis: int, partials: list[tf.Tensor]) -> tf.Tensor:
    """Colour white noise along one axis, block by block: each follows the end of the last."""
    flat, back = _turned(x, axis)
    length, block = flat.shape[-1], _block(flat.shape[-1])
    whiten, _ = _triangle(partials, block)
    found = [tf.matmul(flat[:, :, :block], _inverse(whiten[:, :block, :block]))]
    later = _inverse(whiten[:, ORDER:, ORDER:])
    carry = -tf.matmul(whiten[:, :ORDER, ORDER:], later)
    for at in range(block, length, block):
        size = min(block, length - at)
        follows = tf.matmul(found[-1][:, :, -ORDER:], carry[:, :, :size])
        own = tf.matmul(flat[:, :, at : at + size], later[:, :size, :size])
        found.append(own + follows)
    return back(tf.concat(found, axis=-1))


def _block(length: int) -> int:
    """Places that one product is made of."""
    return min(length, max(BLOCK, -(-length // MOST_BLOCKS)))


def _order(x: tf.Tensor, axis: int) -> list[int]:
    """Axes of ``(member, row, *space, channel)``, channels second and one axis last."""
    last = x.shape.rank - 1
    return [0, last, *(i for i in range(1, last) if i != axis), axis]


def _turned(x: tf.Tensor, axis: int) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Lines along one axis, ``(member x channel, line, place)``, and what puts them back."""
    order = _order(x, axis)
    turned = tf.transpose(x, order)
    flat = tf.reshape(turned, (x.shape[0] * x.shape[-1], -1, x.shape[axis]))
    return flat, lambda found: tf.transpose(tf.reshape(found, turned.shape), np.argsort(order))


def _triangle(partials: list[tf.Tensor], block: int) -> tuple[tf.Tensor, tf.Tensor]:
    """What turns rows of coloured noise, a block and `ORDER` places, into innovations.

    Returns
    -------
    whiten, log_sd
        ``(member x channel, place, place)``, upper triangles, and `_innovations`' ``log_sd``,
        ``(member x channel, place)``.
    """
    flat = [tf.reshape(own, (-1, 1, 1)) for own in partials]
    unit = tf.eye(block + ORDER, batch_shape=[flat[0].shape[0]])
    # Row i: the innovations, place by place, of noise that is 1 at place i alone.
    whiten, log_sd = _innovations(unit, tf.ones_like(unit), 2, partial(_known, flat))
    return whiten, log_sd[:, 0]


def _inverse(upper: tf.Tensor) -> tf.Tensor:
    """Of upper triangles, ``(matrix, size, size)``."""
    unit = tf.eye(upper.shape[-1], batch_shape=[upper.shape[0]])
    return tf.linalg.triangular_solve(upper, unit, lower=False)
