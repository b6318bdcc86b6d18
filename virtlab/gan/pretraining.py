"""The core learns latents as principal components have them, before heads learn with it.

A step of signals and images takes many times as long as one of their latents, and how these
follow the condition is most of what there is to learn. It is learned twice, by likelihood and by
the energy score: where trials are few for what is to be learned, likelihood takes what the mean
still misses for noise, and then no longer learns it (Seitzer et al. 2022).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from virtlab.gan.batches import Batch, TrainingSet
from virtlab.gan.blocks import Blocks, Floats, Layout
from virtlab.gan.critic import Critic
from virtlab.gan.folds import Folds
from virtlab.gan.games import GAMES, Players, Table, by_game
from virtlab.gan.heads import of_head
from virtlab.gan.judge import Judge
from virtlab.gan.mixture import Mixture
from virtlab.gan.stages import Advance, Minibatches, Rates, by_likelihood
from virtlab.gan.start import latents_of
from virtlab.gan.state import State

STEPS, EVERY, PATIENCE = 3000, 50, 6  # at most; between looks; looks without a gain that end it
RATE = 1e-3  # by the energy score
CLEARLY = 0.97  # times the score of the core by likelihood: the other one is better
FAR = 3.0  # times the largest latent: no draw is farther


@dataclass(frozen=True)
class Pretrained:
    """Weights whose core is each member's best on held-out latents.

    `settled`: it was learned by the energy score, clearly better than by likelihood, which is not
    to go on with it.
    """

    weights: dict[str, Floats]
    settled: bool


def pretrained(
    generator: Mixture,
    weights: Mapping[str, Floats],
    blocks: Blocks,
    predicted: Floats | None,
    folds: Folds,
    *,
    batch: int,
    rate: float,
    decay: float,
    seed: int,
    seconds: float,
    report: Callable[[float], None],
) -> Pretrained:
    """Teach the core latents.

    Parameters
    ----------
    generator, weights
        With heads that start from principal components.
    blocks, predicted, folds
        The trials, what processes predict of them, and which of them a member does not see.
    batch, rate, decay
        Trials per step, rate of learning by likelihood, and decay of the weights.
    seed
        Decides everything random.
    seconds
        Limit, of both together.
    report
        Told the mean held-out score, relative to the marginal's, of the latents.
    """
    data = _Latents(generator, weights, blocks, predicted)
    core = replace(generator, layout=data.layout)
    judge = Judge(core, data, folds, seed)
    batches = Minibatches(data, folds, batch, seed)
    own = {name: array for name, array in weights.items() if not of_head(name)}
    likely, close = (State.start(own, {}) for _ in range(2))
    learner = (likely.weights, likely.ema, likely.moments)
    rates = Rates(rate, rate, likely.fall, likely.pace)
    advance = by_likelihood(core, batches, *learner, rates, decay)
    _teach(likely, advance, judge, seconds / 2, report)
    table = Table(Critic(core.inputs, core.layout), folds.members)
    players = Players(close.weights, close.ema, close.moments, {}, {})
    rates = Rates(RATE, RATE, close.fall, close.pace)
    advance = by_game(core, table, batches, players, rates, decay, GAMES["energy"])
    _teach(close, advance, judge, seconds / 2, report)
    settled = bool(close.best_score.mean() < CLEARLY * likely.best_score.mean())
    best = (close if settled else likely).best
    return Pretrained({**weights, **{name: w.numpy() for name, w in best.items()}}, settled)


def _teach(
    state: State,
    advance: Advance,
    judge: Judge,
    seconds: float,
    report: Callable[[float], None],
) -> None:
    """Train until held-out scores stop falling; `state` keeps the best of each member."""
    state.keep_better(judge.scores(state.ema))
    end = time.monotonic() + seconds
    while state.step < STEPS and state.since < PATIENCE and time.monotonic() < end:
        advance(tf.constant(state.step), tf.constant(EVERY))
        state.step += EVERY
        scores = judge.scores(state.ema)
        state.keep_better(scores)
        state.note(float(scores.mean()))
        report(state.lowest)


class _Latents(TrainingSet):
    """Trials with latents in place of signals and images; every member has its own latents."""

    def __init__(
        self,
        generator: Mixture,
        weights: Mapping[str, Floats],
        blocks: Blocks,
        predicted: Floats | None,
    ) -> None:
        members, plain = len(next(iter(weights.values()))), generator.layout.plain
        self._own = tf.constant(
            np.stack([latents_of(generator, weights, blocks, m) for m in range(members)])
        )
        measured = [
            np.repeat(
                blocks.observed[:, part.start : part.stop].max(axis=1, keepdims=True),
                part.latents,
                axis=1,
            )
            for part in generator.layout.wide
        ]
        narrow = replace(
            blocks,
            values=np.pad(blocks.values[:, plain], [(0, 0), (0, self._own.shape[-1])]),
            observed=np.concatenate([blocks.observed[:, plain], *measured], axis=1),
            layout=_layout(generator, weights, float(np.abs(self._own).max())),
        )
        super().__init__(narrow, predicted)

    def rows(self, index: tf.Tensor, dequantise: tf.Tensor | None = None) -> Batch:
        """Gather rows ``(member, row)``; see `TrainingSet.rows`."""
        batch = super().rows(index, dequantise)
        plain = batch.values[..., : self.layout.values - self._own.shape[-1]]
        own = tf.gather(self._own, index, batch_dims=1)
        return replace(batch, values=tf.concat([plain, own], axis=-1))


def _layout(generator: Mixture, weights: Mapping[str, Floats], largest: float) -> Layout:
    """Values without a head, and latents, each as far as it is in the joint distance."""
    layout, plain = generator.layout, generator.layout.plain
    units = []
    for head in generator.heads:
        basis = np.linalg.pinv(weights[f"frame{head.index}.encoder"])
        weight = layout.weight[head.part.start : head.part.stop]
        units.append(np.linalg.norm(basis * weight, axis=-1).mean(axis=0))
    unit: NDArray[np.float64] = np.concatenate(units)

    def with_latents(array: Floats, more: NDArray[np.float64] | float) -> Floats:
        rows = np.broadcast_to(more, (*array.shape[:-1], len(unit)))
        return np.concatenate([array[..., plain], rows], axis=-1).astype(np.float32)

    return replace(
        layout,
        reach=with_latents(layout.reach, FAR * largest),
        weight=with_latents(layout.weight, unit),
        atom=with_latents(layout.atom, 0.0),
        replaces=with_latents(layout.replaces, 0.0),
        step=with_latents(layout.step, 0.0),
        parts=(),
        ties=(),
    )
