"""The two ways of learning: by likelihood, and against a critic. Many steps per call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from virtlab.gan import losses
from virtlab.gan.adam import Variables, adam_step
from virtlab.gan.batches import Batch, TrainingSet
from virtlab.gan.critic import critic_scores
from virtlab.gan.folds import Folds
from virtlab.gan.generators import Generator
from virtlab.gan.mixture import Mixture

Advance = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""``advance(first_step, steps)``: trains in place, returns the last loss per member."""


@dataclass(frozen=True)
class Rates:
    """Learning rate falling from `start` to `end` along a cosine over `steps`."""

    start: float
    end: float
    steps: int

    def at(self, step: tf.Tensor) -> tf.Tensor:
        """Rate at a step."""
        part = tf.clip_by_value(tf.cast(step, tf.float32) / self.steps, 0.0, 1.0)
        warm = tf.minimum(1.0, (tf.cast(step, tf.float32) + 1) / 50)
        fall = 0.5 * (1 + tf.cos(3.14159265 * part))
        return warm * (self.end + (self.start - self.end) * fall)


@dataclass(frozen=True)
class Minibatches:
    """Random rows for every member, a pure function of seed and step.

    Rows come in proportion to their weights: every loss is then one of the weighted trials.
    """

    data: TrainingSet
    folds: Folds
    size: int
    seed: int

    def at(self, step: tf.Tensor) -> Batch:
        """The minibatch of a step."""
        shape = (self.folds.members, self.size)
        part = tf.random.stateless_uniform(shape, seed=(self.seed, step * 8))
        if self.data.weight is None:
            count = tf.cast(self.folds.train_count[:, None], tf.float32)
            place = tf.minimum(tf.cast(part * count, tf.int32), self.folds.train_count[:, None] - 1)
        else:
            rungs = tf.constant(self.folds.ladder(self.data.weight))
            place = tf.searchsorted(rungs, part, side="right")
        index = tf.gather(tf.constant(self.folds.train), place, batch_dims=1)
        noise = None
        if self.data.layout.step.any():
            wide = (*shape, self.data.layout.values)
            noise = tf.random.stateless_uniform(wide, (self.seed, step * 8 + 1), -0.5, 0.5)
        return self.data.rows(index, noise)


def latents(
    generator: Generator, shape: tuple[int, ...], seed: tuple[int, tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Uniform and normal latents for training, a pure function of the seed."""
    uniform = tf.random.stateless_uniform((*shape, generator.uniforms), seed)
    normal = tf.random.stateless_normal((*shape, generator.normals), (seed[0], seed[1] + 1))
    return uniform, normal


def average(ema: Variables, weights: Variables, step: tf.Tensor, decay: float) -> None:
    """Exponential moving average with a warm-up: early averages must forget the start."""
    t = tf.cast(step, tf.float32)
    keep = tf.minimum(decay, (1 + t) / (10 + t))
    for name, mean in ema.items():
        mean.assign(keep * mean + (1 - keep) * weights[name])


def by_likelihood(
    generator: Mixture,
    batches: Minibatches,
    weights: Variables,
    ema: Variables,
    moments: Variables,
    rates: Rates,
    decay: float,
) -> Advance:
    """Maximum likelihood of the mixture core."""
    data = batches.data
    trained = _trained(weights, without="residual")

    def step_loss(step: tf.Tensor) -> tf.Tensor:
        batch = batches.at(step)
        with tf.GradientTape() as tape:
            parameters = generator.setting_part(weights, batch.conditions)
            fit = generator.log_likelihood(
                parameters,
                batch.features,
                batch.features_observed,
                data.outside(batch),
                batch.observed,
                batch.levels,
            )
            loss = -tf.reduce_mean(fit, axis=-1)
            total = tf.reduce_sum(loss)
        gradients = tape.gradient(total, list(trained.values()))
        adam_step(trained, gradients, moments, step=step, rate=rates.at(step), decay=decay)
        average(ema, weights, step, 0.99)
        return loss

    return _many(step_loss, batches.folds.members)


@dataclass(frozen=True)
class Game:
    """How generator and critic play: the losses and their weights.

    Parameters
    ----------
    critic_loss, generator_loss
        Of real and fake scores, see `virtlab.gan.losses`.
    penalty
        Weight of the zero-centred penalties on real and fake (0: none).
    adversarial, energy
        Weights of the critic's verdict and of the energy score in the generator's loss.
    draws
        Draws per trial for the energy score.
    """

    critic_loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    generator_loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    penalty: float
    adversarial: float
    energy: float
    draws: int = 4


def by_game(
    generator: Generator,
    batches: Minibatches,
    weights: Variables,
    ema: Variables,
    moments: Variables,
    critic: Variables,
    critic_moments: Variables,
    rates: Rates,
    decay: float,
    game: Game,
) -> Advance:
    """Alternate one step of the critic and one of the generator."""
    data, members, size = batches.data, batches.folds.members, batches.size
    trained = _trained(weights)

    def fake(parameters: tf.Tensor, step: tf.Tensor, which: int, batch: Batch) -> tf.Tensor:
        seed = (batches.seed + 1 + which, step * 8 + 2)
        values, levels = generator.trial_part(
            weights, parameters, *latents(generator, (members, size), seed), slope=True
        )
        return data.joint(values, levels) * batch.joint_seen

    def step_loss(step: tf.Tensor) -> tf.Tensor:
        batch = batches.at(step)
        real = data.joint(batch.values, batch.levels) * batch.joint_seen
        rate = rates.at(step)

        def score(joint: tf.Tensor) -> tf.Tensor:
            return critic_scores(critic, batch.conditions, joint)

        if game.adversarial:
            drawn = fake(generator.setting_part(weights, batch.conditions), step, 0, batch)
            with tf.GradientTape() as tape:
                loss = game.critic_loss(score(real), score(drawn))
                if game.penalty:
                    loss += game.penalty * losses.gradient_penalty(score, real)
                    loss += game.penalty * losses.gradient_penalty(score, drawn)
                total = tf.reduce_sum(loss)
            gradients = tape.gradient(total, list(critic.values()))
            adam_step(critic, gradients, critic_moments, step=step, rate=rate, beta1=0.0)
        with tf.GradientTape() as tape:
            parameters = generator.setting_part(weights, batch.conditions)
            draws = [fake(parameters, step, 1 + i, batch) for i in range(game.draws)]
            loss = tf.zeros(members)
            if game.adversarial:
                loss += game.adversarial * game.generator_loss(score(real), score(draws[0]))
            if game.energy:
                spread = losses.energy_score(tf.stack(draws), real, batch.joint_seen)
                loss += game.energy * tf.reduce_mean(spread, axis=-1)
            total = tf.reduce_sum(loss)
        gradients = tape.gradient(total, list(trained.values()), unconnected_gradients="zero")
        adam_step(trained, gradients, moments, step=step, rate=rate, beta1=0.5, decay=decay)
        average(ema, weights, step, 0.995)
        return loss

    return _many(step_loss, members)


def _trained(weights: Variables, without: str = "spread") -> dict[str, tf.Variable]:
    """The weights that a stage changes; the spread is calibration's alone."""
    fixed = ("spread", without)
    return {name: weight for name, weight in weights.items() if not name.startswith(fixed)}


def _many(step_loss: Callable[[tf.Tensor], tf.Tensor], members: int) -> Advance:
    """Run a step many times inside one call: small kernels, few crossings into TensorFlow."""

    @tf.function(autograph=False)
    def advance(first: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
        _, loss = tf.while_loop(
            lambda step, _loss: step < first + steps,
            lambda step, _loss: (step + 1, step_loss(step)),
            (first, tf.zeros(members)),
            parallel_iterations=1,
        )
        return loss

    return advance
