"""What the critic makes of one measurement: a few features, by convolution or a recurrent unit."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import tensorflow as tf

from virtlab.gan.blocks import Floats, Part
from virtlab.gan.convolutions import Space, arrange, convolve, init_convolution, taps_of
from virtlab.gan.layers import Weights, dense, init_dense, leaky

Encoder = Literal["auto", "dense", "conv", "gru"]
"""How signals and images are looked at; `auto` convolves those that are worth it."""

FEATURES = 32  # of one measurement
WORTH_CONVOLVING = 16  # values: fewer are as well seen side by side
SMALLEST = 4  # values that have neighbours at all
CHANNELS = (8, 16, 32)  # of successive convolutions, the last for all that follow
SHORT = 4  # places along an axis that are not shrunk further
GRU_STEPS = 24  # most steps of the recurrent unit: longer signals are cut into frames
GRU_UNITS = 32


def encoder_of(part: Part, wanted: Encoder) -> Literal["dense", "conv", "gru"]:
    """How one measurement is looked at."""
    axes, values = len(part.space), part.stop - part.start
    least = WORTH_CONVOLVING if wanted == "auto" else SMALLEST
    if wanted == "dense" or axes not in (1, 2) or values < least:
        return "dense"
    return "gru" if wanted == "gru" and axes == 1 else "conv"


def init_encoder(
    rng: np.random.Generator, part: Part, kind: str, *, members: int
) -> dict[str, Floats]:
    """Weights to start from, of a measurement that is not merely dense."""
    name = f"critic.{part.name}"
    if kind == "gru":
        frame = _frame(part) * part.channels
        weights = init_dense(rng, f"{name}.in", [frame, 3 * GRU_UNITS], members=members)
        # Twice smaller than for ReLU-like units: saturated gates pass no gradient.
        again = init_dense(rng, f"{name}.again", [GRU_UNITS, 3 * GRU_UNITS], members=members)
        return weights | {key: 0.5 * value for key, value in again.items()}
    weights, channels, space = {}, part.channels, part.space
    for i, stride in enumerate(strides(part.space)):
        outputs = CHANNELS[min(i, len(CHANNELS) - 1)]
        taps = taps_of(stride)
        weights |= init_convolution(
            rng, f"{name}.conv{i}", taps, channels, outputs, members=members
        )
        space = tuple(-(-n // step) for n, step in zip(space, stride, strict=True))
        channels = outputs
    flat = math.prod(space) * channels
    return weights | init_dense(rng, f"{name}.flat", [flat, FEATURES], members=members)


def encode(weights: Weights, part: Part, kind: str, values: tf.Tensor) -> tf.Tensor:
    """Features of one measurement, ``(member, row, feature)``, from ``(member, row, value)``."""
    name, x = f"critic.{part.name}", arrange(part, values)
    if kind == "gru":
        return _recur(weights, name, _framed(x, _frame(part)))
    for i, stride in enumerate(strides(part.space)):
        x = leaky(convolve(weights, f"{name}.conv{i}.0", x, stride))
    flat = tf.reshape(x, (*x.shape[:2], math.prod(x.shape[2:])))
    return leaky(dense(weights, f"{name}.flat.0", flat))


def strides(space: Space) -> list[Space]:
    """Strides of successive convolutions, until every axis is short."""
    found = []
    while max(space) > SHORT:
        coarse = 8 if len(space) == 1 else 32  # longer: a quarter at once
        step = tuple(4 if n > coarse else 2 if n > SHORT else 1 for n in space)
        found.append(step)
        space = tuple(-(-n // s) for n, s in zip(space, step, strict=True))
    return found


def _frame(part: Part) -> int:
    """Samples of a signal that the recurrent unit takes in one step."""
    return -(-part.space[0] // GRU_STEPS)


def _framed(x: tf.Tensor, frame: int) -> tf.Tensor:
    """Cut ``(member, row, place, channel)`` into frames side by side, zeros after the end."""
    members, rows, length, channels = x.shape
    steps = -(-length // frame)
    padded = tf.pad(x, [[0, 0], [0, 0], [0, steps * frame - length], [0, 0]])
    return tf.reshape(padded, (members, rows, steps, frame * channels))


def _recur(weights: Weights, name: str, frames: tf.Tensor) -> tf.Tensor:
    """Last state of a gated recurrent unit (Cho et al. 2014) over ``(member, row, step, in)``."""
    members, rows, steps, width = frames.shape
    flat = tf.reshape(frames, (members, rows * steps, width))
    driven = dense(weights, f"{name}.in.0", flat)
    driven = tf.unstack(tf.reshape(driven, (members, rows, steps, 3 * GRU_UNITS)), axis=2)
    state = tf.zeros((members, rows, GRU_UNITS))
    for drive in driven:
        update, reset, new = tf.split(drive, 3, axis=-1)
        back = tf.split(dense(weights, f"{name}.again.0", state), 3, axis=-1)
        keep = tf.sigmoid(update + back[0])
        proposal = tf.tanh(new + tf.sigmoid(reset + back[1]) * back[2])
        state = keep * state + (1 - keep) * proposal
    return state
