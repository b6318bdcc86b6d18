"""The second way of learning, against critics: the games that presets name, and one loop for all.

Presets differ in plain functions and numbers, never in the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import tensorflow as tf

from virtlab.gan import losses
from virtlab.gan.adam import Tensors, Variables, adam_step, trained_by
from virtlab.gan.batches import Batch
from virtlab.gan.critic import Critic
from virtlab.gan.generators import Generator
from virtlab.gan.losses import Scores
from virtlab.gan.stages import (
    SEEDS_APART,
    Advance,
    Draw,
    Minibatches,
    Rates,
    Signs,
    average,
    by_draw,
    many_steps,
    side_by_side,
)

Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
Penalty = Callable[[Scores, tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class Game:
    """How generator and critic play.

    Parameters
    ----------
    critic_loss, generator_loss
        Of real and fake scores, see `virtlab.gan.losses`.
    penalty, penalty_weight
        What keeps the critic's slope in bounds, and how much it counts; None: nothing does.
    adversarial, energy
        Weights of the critic's verdict and of the energy score in the generator's loss.
    draws
        Draws per trial for the energy score.
    critic_steps
        Steps of the critic for each of the generator.
    critic_rate
        The critic's learning rate over the generator's.
    generator_memory
        Adam's first decay rate for the generator; the critic's is 0.
    spectral
        Normalise the critic's weights, see `Critic`.
    generator
        ``mixture`` (warm-started by likelihood), or textbook: ``dense``, ``convolutional``.
    """

    critic_loss: Loss
    generator_loss: Loss
    penalty: Penalty | None = None
    penalty_weight: float = 0.0
    adversarial: float = 1.0
    energy: float = 0.0
    draws: int = 1
    critic_steps: int = 1
    critic_rate: float = 1.0
    generator_memory: float = 0.5
    spectral: bool = False
    generator: Literal["mixture", "dense", "convolutional"] = "dense"


GAMES = {
    "auto": Game(
        losses.relativistic_critic,
        losses.relativistic_generator,
        penalty=losses.zero_centred_penalty,
        penalty_weight=0.5,
        adversarial=0.2,
        energy=1.0,
        draws=4,
        generator="mixture",
    ),
    "energy": Game(
        losses.relativistic_critic,
        losses.relativistic_generator,
        adversarial=0.0,
        energy=1.0,
        draws=4,
        generator="mixture",
    ),
    "vanilla": Game(losses.bce_critic, losses.bce_generator),
    "dcgan": Game(losses.bce_critic, losses.bce_generator, generator="convolutional"),
    "lsgan": Game(losses.least_squares_critic, losses.least_squares_generator),
    "wgan-gp": Game(
        losses.wasserstein_critic,
        losses.linear_generator,
        penalty=losses.unit_slope_penalty,
        penalty_weight=10.0,
        critic_steps=5,
        generator_memory=0.0,
    ),
    "hinge": Game(
        losses.hinge_critic,
        losses.linear_generator,
        critic_steps=5,
        generator_memory=0.0,
        spectral=True,
    ),
}


@dataclass(frozen=True)
class Table:
    """Who plays whom: each member's generators share its critics.

    Arrays of generators lead with member x generator, those of critics with member x critic.

    Parameters
    ----------
    critic
        The critics' sizes.
    members
        Members: each with its own trials held out.
    generators, critics
        Of each member.
    """

    critic: Critic
    members: int
    generators: int = 1
    critics: int = 1

    def to_critics(self, x: tf.Tensor) -> tf.Tensor:
        """Rows of all generators of a member, to each of its critics: ``(critic, row, …)``."""
        if self.generators > 1:
            rows = self.generators * x.shape[1]
            x = tf.reshape(x, (self.members, rows, *x.shape[2:]))
        return tf.repeat(x, self.critics, axis=0) if self.critics > 1 else x

    def to_generators(self, scores: tf.Tensor) -> tf.Tensor:
        """Scores ``(critic, row)`` to each generator's own, of all its critics."""
        if self.generators == self.critics == 1:
            return scores
        apart = (self.members, self.critics, self.generators, -1)
        by_generator = tf.transpose(tf.reshape(scores, apart), (0, 2, 1, 3))
        return tf.reshape(by_generator, (self.members * self.generators, -1))

    def mean_over_critics(self, x: tf.Tensor) -> tf.Tensor:
        """One number per critic ``(critic,)`` to one per generator."""
        mean = tf.reduce_mean(tf.reshape(x, (self.members, self.critics)), axis=1)
        return tf.repeat(mean, self.generators)

    def mean_over_generators(self, x: tf.Tensor) -> tf.Tensor:
        """One number per generator ``(generator,)`` to one per critic."""
        mean = tf.reduce_mean(tf.reshape(x, (self.members, self.generators)), axis=1)
        return tf.repeat(mean, self.critics)


@dataclass(frozen=True)
class Players:
    """What a game changes.

    Parameters
    ----------
    weights, ema, moments
        The generators, their averages, their optimiser's moments.
    critic, critic_moments
        The critics, and theirs.
    """

    weights: Variables
    ema: Variables
    moments: Variables
    critic: Variables
    critic_moments: Variables


def by_game(
    generator: Generator,
    table: Table,
    batches: Minibatches,
    players: Players,
    rates: Rates,
    decay: float,
    game: Game,
    toward: Tensors | None = None,
    *,
    compiled: bool = False,
) -> Advance:
    """Alternate steps of the critics and one of the generators."""
    play = _Play(generator, table, batches, players, rates, decay, game, toward)
    look = play.look if game.adversarial else lambda _step: {}
    return many_steps(play.step, batches, look, game.critic_steps, compiled=compiled)


@dataclass(frozen=True)
class _Play:
    """One game being played; see `by_game`."""

    generator: Generator
    table: Table
    batches: Minibatches
    players: Players
    rates: Rates
    decay: float
    game: Game
    toward: Tensors | None

    def step(self, step: tf.Tensor, drawn: Draw) -> tf.Tensor:
        """Each critic's steps, then each generator's; the generators' loss, ``(generator,)``."""
        if self.game.adversarial:
            for turn in range(self.game.critic_steps):
                self._critic_step(step, turn, drawn)
        return self._generator_step(step, drawn(0))

    def look(self, step: tf.Tensor) -> Signs:
        """How far the critics are ahead.

        Returns
        -------
        separation
            Share of pairs in which the real trial scores above the fake one: 0.5 when the
            critic sees no difference, 1 when it never errs; ``(generator,)``.
        slope
            Mean length of the gradient that a fake trial gets from the critics.
        """
        batch = self.batches.at(step)
        real, drawn, score = self._real(batch), self._drawn(step, batch, 0), self._scores(batch)
        real_scores = score(self.table.to_critics(real))
        with tf.GradientTape() as tape:
            tape.watch(drawn)
            scores = score(self.table.to_critics(drawn))
            own = [self.table.to_generators(s) for s in (real_scores, scores)]
            total = tf.reduce_sum(self.game.generator_loss(*own))
        above = tf.sign(real_scores[:, :, None] - scores[:, None, :])
        length = tf.norm(tape.gradient(total, drawn), axis=-1) * drawn.shape[1]
        return {
            "separation": self.table.mean_over_critics(
                0.5 + 0.5 * tf.reduce_mean(above, axis=(1, 2))
            ),
            "slope": tf.reduce_mean(length, axis=-1),
        }

    def _critic_step(self, step: tf.Tensor, turn: int, batches: Draw) -> None:
        game, players, table = self.game, self.players, self.table
        # The last turn sees the generator's own minibatch, those before it others.
        other = game.critic_steps - 1 - turn
        batch = batches(other)
        real, drawn = self._real(batch), self._drawn(step, batch, SEEDS_APART * other)
        real, drawn = table.to_critics(real), table.to_critics(drawn)
        with tf.GradientTape() as tape:
            score = self._scores(batch)
            loss = game.critic_loss(*_halves(score(tf.concat([real, drawn], axis=1))))
            if game.penalty is not None:
                seed = (self.batches.seed + SEEDS_APART * other, step * 8 + 7)
                mix = self.batches.random(
                    lambda s: tf.random.stateless_uniform(s, seed), (*real.shape[:2], 1)
                )
                loss += game.penalty_weight * game.penalty(score, real, drawn, mix)
            total = tf.reduce_sum(loss)
        gradients = tape.gradient(total, list(players.critic.values()))
        adam_step(
            players.critic,
            gradients,
            players.critic_moments,
            step=step * game.critic_steps + turn,
            rate=game.critic_rate * table.mean_over_generators(self.rates.at(step)),
            beta1=0.0,
        )

    def _generator_step(self, step: tf.Tensor, batch: Batch) -> tf.Tensor:
        game, players = self.game, self.players
        trained, real = trained_by(players.weights), self._real(batch)
        with tf.GradientTape() as tape:
            parameters = self.generator.setting_part(players.weights, batch.conditions)
            draws = self._fakes(parameters, step, batch, 1, game.draws)
            loss = tf.zeros(self.batches.folds.members)
            if game.adversarial:
                score, table = self._scores(batch), self.table
                both = tf.concat([table.to_critics(real), table.to_critics(draws[0])], axis=1)
                scores = (table.to_generators(half) for half in _halves(score(both)))
                # Mean over rows and critics alike (GMAN, Durugkar et al. 2017).
                loss += game.adversarial * game.generator_loss(*scores)
            if game.energy:
                spread = losses.energy_score(draws, real, batch.joint_seen)
                loss += game.energy * tf.reduce_mean(spread, axis=-1)
            total = tf.reduce_sum(loss)
        gradients = tape.gradient(total, list(trained.values()))
        rate = self.rates.at(step)
        adam_step(
            trained,
            gradients,
            players.moments,
            step=step,
            rate=rate,
            beta1=game.generator_memory,
            decay=self.decay,
            toward=self.toward,
        )
        average(players.ema, players.weights, step, 0.995)
        return loss

    def _scores(self, batch: Batch) -> Scores:
        """The critics, at the conditions of a minibatch; made where gradients are recorded."""
        conditions, critic = self.table.to_critics(batch.conditions), self.table.critic
        weights = critic.ready(self.players.critic)
        return lambda joint: critic.scores(weights, conditions, joint)

    def _real(self, batch: Batch) -> tf.Tensor:
        return self.batches.data.joint(batch.values, batch.levels) * batch.joint_seen

    def _drawn(self, step: tf.Tensor, batch: Batch, which: int) -> tf.Tensor:
        """One fake trial per row, for the critics."""
        parameters = self.generator.setting_part(self.players.weights, batch.conditions)
        return self._fakes(parameters, step, batch, which, 1)[0]

    def _fakes(
        self, parameters: tf.Tensor, step: tf.Tensor, batch: Batch, which: int, count: int
    ) -> tf.Tensor:
        """So many draws per row in the units of the joint distance, ``(draw, member, row, …)``."""
        drawn = side_by_side(
            self.generator,
            self.players.weights,
            parameters,
            (self.batches.seed + 1 + which, step * 8 + 2),
            count,
            self.batches.random,
            slope=True,
        )
        return by_draw(self.batches.data.joint(*drawn), count) * batch.joint_seen


def _halves(scores: tf.Tensor) -> list[tf.Tensor]:
    """Those of real and of fake trials, scored together."""
    return tf.split(scores, 2, axis=1)
