"""Steps of training, many per call; and the first way of learning, by likelihood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from virtlab.gan.adam import Tensors, Variables, adam_step, trained_by
from virtlab.gan.batches import Batch, Random, TrainingSet, dequantising_noise, for_all
from virtlab.gan.folds import Folds
from virtlab.gan.generators import Generator
from virtlab.gan.heads import of_head
from virtlab.gan.layers import Weights
from virtlab.gan.mixture import Mixture

SEEDS_APART = 101  # more than there are draws per trial
WORTH_COMPILING = 1000  # steps: compiling a stage takes as long as some hundreds of them

Feed = Any
"""What minibatches are read from: an iterator of tf.data, or () where all trials are at hand."""

Draw = Callable[[int], Batch]
"""The minibatch of a turn within a step."""

Signs = dict[str, tf.Tensor]
"""How training goes, each ``(member,)``: the last ``loss``, and what a stage adds to it."""

Advance = Callable[[tf.Tensor, tf.Tensor], Signs]
"""``advance(first_step, steps)``: trains in place."""


@dataclass(frozen=True)
class Rates:
    """Learning rate at `start` for as long as that teaches, then falling to `end` along a cosine.

    How long it teaches is not known beforehand, and only a rate that has fallen settles in the
    minimum (Hägele et al. 2024).

    Parameters
    ----------
    start, end
        The rate before and after its fall.
    fall
        First and last step of the fall, ``(2,)``; see `virtlab.gan.state`.
    pace
        Slows members down, one factor each: see `virtlab.gan.monitor`.
    """

    start: float
    end: float
    fall: tf.Variable
    pace: tf.Variable

    def at(self, step: tf.Tensor) -> tf.Tensor:
        """Rate of each member at a step, ``(member,)``."""
        first, last = tf.unstack(tf.cast(self.fall, tf.float32))
        at = tf.cast(step, tf.float32)
        part = tf.clip_by_value((at - first) / (last - first), 0.0, 1.0)
        warm = tf.minimum(1.0, (at + 1) / 50)
        fall = 0.5 * (1 + tf.cos(3.14159265 * part))
        return self.pace * warm * (self.end + (self.start - self.end) * fall)


@dataclass(frozen=True)
class Minibatches:
    """Random rows for every member, a pure function of seed and step.

    Rows come in proportion to their weights: every loss is then one of the weighted trials.

    Parameters
    ----------
    data
        The trials.
    folds
        Which of them each member learns from.
    size
        Rows per member.
    seed
        Decides everything random.
    among
        The members are those from the first number on, of as many as the second says; None:
        they are all.
    """

    data: TrainingSet
    folds: Folds
    size: int
    seed: int
    among: tuple[int, int] | None = None

    def random(
        self, draw: Callable[[tuple[int, ...]], tf.Tensor], shape: tuple[int, ...]
    ) -> tf.Tensor:
        """Random numbers ``(member, …)``, or for each critic; the same on any device.

        `draw` takes a shape: where these are some members among others, that of all.
        """
        if self.among is None:
            return draw(shape)
        first, whole = (number * shape[0] // self.folds.members for number in self.among)
        return draw((whole, *shape[1:]))[first : first + shape[0]]

    def at(self, step: tf.Tensor, turn: int = 0) -> Batch:
        """A minibatch of a step; those of its other turns have other rows."""
        shape, seed = (self.folds.members, self.size), self.seed + SEEDS_APART * turn
        part = self.random(lambda s: tf.random.stateless_uniform(s, (seed, step * 8)), shape)
        if self.data.weight is None:
            count = tf.cast(self.folds.train_count[:, None], tf.float32)
            place = tf.minimum(tf.cast(part * count, tf.int32), self.folds.train_count[:, None] - 1)
        else:
            rungs = tf.constant(self.folds.ladder(self.data.weight))
            place = tf.searchsorted(rungs, part, side="right")
        index = tf.gather(tf.constant(self.folds.train), place, batch_dims=1)
        noise = dequantising_noise(self.data.layout, shape, seed, step, self.random)
        return self.data.rows(index, noise)

    @property
    def compiles(self) -> bool:
        """Whether XLA makes training faster: twice as fast without convolutions, slower with."""
        return not self.data.layout.wide

    def feed(self, _first: int, _steps: int, _turns: int) -> Feed:
        """What `drawn` reads from while some steps run: nothing, all trials are at hand."""
        return ()

    def drawn(self, step: tf.Tensor, _feed: Feed) -> Draw:
        """The minibatches of a step, by turn."""
        return lambda turn: self.at(step, turn)


def latents(
    generator: Generator,
    shape: tuple[int, ...],
    seed: tuple[int | tf.Tensor, tf.Tensor],
    random: Random = for_all,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Uniform and normal latents for training, a pure function of the seed."""
    other = (seed[0], seed[1] + 1)
    uniform = random(lambda s: tf.random.stateless_uniform(s, seed), (*shape, generator.uniforms))
    normal = random(lambda s: tf.random.stateless_normal(s, other), (*shape, generator.normals))
    return uniform, normal


def side_by_side(
    generator: Generator,
    weights: Weights,
    parameters: tf.Tensor,
    seed: tuple[int | tf.Tensor, tf.Tensor],
    count: int,
    random: Random = for_all,
    *,
    slope: bool = False,
) -> tuple[tf.Tensor, tf.Tensor]:
    """So many draws at each row of `setting_part`, as if they were rows.

    Returns
    -------
    values, levels
        As `trial_part`, ``(member, count * row, …)``: all rows of one draw, then of the next.
    """
    members, rows = parameters.shape[:2]
    many = tf.tile(parameters, (1, count, 1))
    noise = latents(generator, (members, count * rows), seed, random)
    return generator.trial_part(weights, many, *noise, slope=slope)


def by_draw(trials: tf.Tensor, count: int) -> tf.Tensor:
    """Draws that stand `side_by_side`, ``(member, count * row, value)``, draws leading."""
    members, rows, values = trials.shape
    apart = tf.reshape(trials, (members, count, rows // count, values))
    return tf.transpose(apart, (1, 0, 2, 3))


def average(ema: Variables, weights: Variables, step: tf.Tensor, decay: float) -> None:
    """Exponential moving average with a warm-up: early averages must forget the start."""
    t = tf.cast(step, tf.float32)
    keep = tf.minimum(decay, (1 + t) / (10 + t))
    for name, mean in trained_by(ema).items():
        mean.assign(keep * mean + (1 - keep) * weights[name])


def by_likelihood(
    generator: Mixture,
    batches: Minibatches,
    weights: Variables,
    ema: Variables,
    moments: Variables,
    rates: Rates,
    decay: float,
    toward: Tensors | None = None,
    *,
    settled: bool = False,
    compiled: bool = False,
) -> Advance:
    """Maximum likelihood of the mixture core and its heads; a `settled` core stays as it is."""
    latents = sum(head.part.latents for head in generator.heads)
    shape = (batches.folds.members, batches.size, latents)
    trained = trained_by(weights)
    learning = {name: w for name, w in trained.items() if not settled or of_head(name)}

    def step_loss(step: tf.Tensor, drawn: Draw) -> tf.Tensor:
        batch = drawn(0)
        with tf.GradientTape() as tape:
            parameters = generator.setting_part(weights, batch.conditions)
            noise = batches.random(
                lambda s: tf.random.stateless_normal(s, (batches.seed, step * 8 + 2)), shape
            )
            fit = generator.log_likelihood(weights, parameters, batch, noise)
            loss = -tf.reduce_mean(fit, axis=-1)
            total = tf.reduce_sum(loss)
        slopes = tape.gradient(total, learning)
        gradients = [slopes.get(name) for name in trained]
        rate = rates.at(step)
        adam_step(trained, gradients, moments, step=step, rate=rate, decay=decay, toward=toward)
        average(ema, weights, step, 0.99)
        return loss

    return many_steps(step_loss, batches, compiled=compiled)


def many_steps(
    step_loss: Callable[[tf.Tensor, Draw], tf.Tensor],
    batches: Minibatches,
    look: Callable[[tf.Tensor], Signs] = lambda _step: {},
    turns: int = 1,
    *,
    compiled: bool = False,
) -> Advance:
    """Run a step many times inside one call: small kernels, few crossings into TensorFlow.

    `look` sees the networks once, after the last step; a step draws minibatches for `turns`.
    `compiled` by XLA, small kernels become few: twice to three times as many steps a second.
    """

    @tf.function(autograph=False, jit_compile=compiled or None)
    def run(first: tf.Tensor, steps: tf.Tensor, feed: Feed) -> Signs:
        end, loss = tf.while_loop(
            lambda step, _loss: step < first + steps,
            lambda step, _loss: (step + 1, step_loss(step, batches.drawn(step, feed))),
            (first, tf.zeros(batches.folds.members)),
            parallel_iterations=1,
        )
        return {"loss": loss} | look(end)

    def advance(first: tf.Tensor, steps: tf.Tensor) -> Signs:
        return run(first, steps, batches.feed(int(first), int(steps), turns))

    return advance
