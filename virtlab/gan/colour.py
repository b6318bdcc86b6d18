"""Coloured noise: what a head leaves of a signal or an image is alike at neighbouring places.

Detectors smooth, and baselines wander. Along each axis the noise, in units of its standard
deviation at each place, is a stationary autoregression; along several it is their product, as
in kriging. It is given by partial autocorrelations: any numbers between -1 and 1 are those of
one stationary process (Barndorff-Nielsen & Schou 1973). The lattice filter (Itakura & Saito 1971)
turns noise into independent innovations: likelihood costs a few products per value.
"""

from __future__ import annotations

from collections.abc import Callable

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
    """Innovations of standardised noise, each given those before it.

    After a gap a place is judged by what was observed since.

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
        Standardised, and the logarithms of what they were divided by, ``(member, row, value)``.
    """
    x, seen = arrange(part, noise), arrange(part, observed)
    log_sd = tf.zeros_like(x)
    for axis, partials in enumerate(_partials(part, colour)):
        x, narrower = _innovations(x, seen, 2 + axis, lambda order, *_, own=partials: own[order])
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


def _drawn_along(x: tf.Tensor, axis: int, partials: list[tf.Tensor]) -> tf.Tensor:
    """Colour white noise along one axis, block by block: each follows the end of the last."""
    members, length, channels = x.shape[0], x.shape[axis], x.shape[-1]
    rest = [i for i in range(1, x.shape.rank - 1) if i != axis]
    order = [0, x.shape.rank - 1, *rest, axis]
    turned = tf.transpose(x, order)
    flat = tf.reshape(turned, (members * channels, -1, length))
    block = min(length, max(BLOCK, -(-length // MOST_BLOCKS)))
    first, later, carry = _mixing(partials, block)
    drawn: list[tf.Tensor] = []
    for at in range(0, length, block):
        size = min(block, length - at)
        own = flat[:, :, at : at + size]
        if not drawn:
            drawn.append(tf.matmul(own, first))
            continue
        follows = tf.matmul(drawn[-1][:, :, -ORDER:], carry[:, :, :size])
        drawn.append(tf.matmul(own, later[:, :size, :size]) + follows)
    found = tf.concat(drawn, axis=-1) if len(drawn) > 1 else drawn[0]
    return tf.transpose(tf.reshape(found, turned.shape), np.argsort(order))


def _mixing(partials: list[tf.Tensor], size: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """What turns rows of white noise into a block of coloured noise.

    Returns
    -------
    first, later
        Factors of the first block and of a later one, ``(member x channel, size, size)``.
    carry
        Factor of the `ORDER` places before a later one, ``(member x channel, order, size)``.
    """
    flat = [tf.reshape(own, (-1, 1, 1)) for own in partials]
    places = size + ORDER
    unit = tf.eye(places, batch_shape=[flat[0].shape[0]])
    # Row i: the innovations, place by place, of noise that is 1 at place i alone.
    whiten, _ = _innovations(unit, tf.ones_like(unit), 2, lambda order, *_: flat[order])
    first = _inverse(whiten[:, :size, :size])
    later = _inverse(whiten[:, ORDER:, ORDER:])
    return first, later, -tf.matmul(whiten[:, :ORDER, ORDER:], later)


def _inverse(upper: tf.Tensor) -> tf.Tensor:
    """Of upper triangles, ``(matrix, size, size)``."""
    unit = tf.eye(upper.shape[-1], batch_shape=[upper.shape[0]])
    return tf.linalg.triangular_solve(upper, unit, lower=False)
