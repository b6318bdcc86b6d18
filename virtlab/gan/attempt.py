"""One generator in training: its networks, its stages, and what the held-out score says of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from virtlab.gan.adam import Tensors
from virtlab.gan.blocks import Floats
from virtlab.gan.games import Game, Players, Table, by_game
from virtlab.gan.generators import Generator
from virtlab.gan.judge import Judge
from virtlab.gan.mixture import Mixture
from virtlab.gan.monitor import ABSURD, Monitor
from virtlab.gan.presets import Sizes
from virtlab.gan.stages import WORTH_COMPILING, Advance, Minibatches, Rates, by_likelihood
from virtlab.gan.state import State

CHECKPOINT_SECONDS = 20.0
SETTLING = 0.3  # times the steps before: over so many the rate falls at the end of a stage

DONE = ("held-out score stopped improving", "all steps done")

Checkpoint = tuple[dict[str, NDArray[Any]], dict[str, Any]]


@dataclass(frozen=True)
class Limits:
    """What ends training before its steps are done; see `virtlab.gan.options.Options`.

    `began` is when the clock started, in `time.monotonic`'s seconds.
    """

    began: float
    max_seconds: float | None
    looks_after: float
    stop_at: float | None


@dataclass(frozen=True)
class Moment:
    """Where training stands, for a progress bar.

    Parameters
    ----------
    stage
        ``pretraining``, ``likelihood`` or ``refinement``.
    fraction
        Of the steps planned at most.
    score
        Mean held-out energy score of the best states, relative to the marginal's; of latents alone
        while these are learned.
    """

    stage: str
    fraction: float
    score: float


@dataclass(frozen=True)
class Stage:
    """Steps of one kind: at most so many, and looks without a gain that end them sooner."""

    name: str
    advance: Advance
    steps: int
    patience: int


@dataclass(frozen=True)
class Attempt:
    """A generator that is being fitted.

    Parameters
    ----------
    generator
        Sizes and functions of the generator.
    state
        Its networks, and where training stands.
    judge, last
        What scores them on held-out trials as they are trained, and what judges them in the end:
        where trials are few, by others.
    monitor
        What watches over them.
    stages
        In order.
    whole
        See `virtlab.gan.fit.Fit`.
    """

    generator: Generator
    state: State
    judge: Judge
    last: Judge
    monitor: Monitor
    stages: list[Stage]
    whole: dict[str, Floats]

    @property
    def score(self) -> float:
        """Mean held-out energy score of the best states, relative to the marginal's."""
        return float(self.state.best_score.mean())

    def run(
        self,
        until: int,
        sizes: Sizes,
        limits: Limits,
        report: Callable[[Moment], None],
        save: Callable[[Checkpoint], None],
    ) -> str:
        """Train through the first stages, `until` so many, or until something says stop.

        Returns what did.
        """
        state, stages = self.state, self.stages[:until]
        saved = last = entered = time.monotonic()
        try:
            while state.stage < len(stages):
                stage = stages[state.stage]
                if state.step == 0:
                    state.fall.assign([int(stage.steps / (1 + SETTLING)), stage.steps])
                while not self._over(stage, sizes):
                    _advance(stage, state, self.judge, self.monitor, sizes)
                    report(self._moment())
                    now = time.monotonic()
                    if limits.max_seconds is not None:
                        after = min(
                            limits.looks_after * self.judge.seconds, 0.5 * limits.max_seconds
                        )
                        left = limits.max_seconds - after - (now - limits.began)
                        if left < now - last:  # the next round takes as long as this one
                            return "max_time reached"
                        if left < SETTLING * (now - entered) and state.step < state.fall[0]:
                            state.settle(int(left / max(now - last, 1e-3)) * sizes.every)
                    if limits.stop_at is not None and self.score <= limits.stop_at:
                        return "stop_when reached"
                    last = now
                    if now - saved > CHECKPOINT_SECONDS:
                        save((state.arrays(), state.position()))
                        saved = time.monotonic()
                if state.stage + 1 == len(stages):
                    break
                state.next_stage()
                entered = last
        except KeyboardInterrupt:
            if not np.isfinite(state.best_score).all():
                raise
            return "interrupted"
        return DONE[bool(state.fall[1] == stages[-1].steps)]

    def _over(self, stage: Stage, sizes: Sizes) -> bool:
        """Whether a stage is over; where it has stopped improving, its rate falls before."""
        state = self.state
        first, last = map(int, state.fall)
        if state.step < first and state.since >= stage.patience:
            rounds = max(1, round(SETTLING * state.step / sizes.every))
            state.settle(rounds * sizes.every)
            return False
        return state.step >= last

    def _moment(self) -> Moment:
        total = sum(stage.steps for stage in self.stages)
        state = self.state
        done = sum(stage.steps for stage in self.stages[: state.stage]) + state.step
        return Moment(self.stages[state.stage].name, done / total, self.score)


def stages_of(
    generator: Generator,
    table: Table,
    batches: Minibatches,
    state: State,
    sizes: Sizes,
    game: Game,
    toward: Tensors | None,
    *,
    settled: bool = False,
    compiled: bool,
) -> list[Stage]:
    """The stages of a preset, in order.

    Likelihood leaves a core alone that is `settled`; `compiled` are stages long enough for that.
    """
    stages = []
    if isinstance(generator, Mixture) and sizes.likelihood_steps:
        rates = Rates(first_rate(sizes), 5e-5, state.fall, state.pace)
        advance = by_likelihood(
            generator,
            batches,
            state.weights,
            state.ema,
            state.moments,
            rates,
            sizes.decay,
            toward,
            settled=settled,
            compiled=compiled and sizes.likelihood_steps >= WORTH_COMPILING,
        )
        stages.append(Stage("likelihood", advance, sizes.likelihood_steps, sizes.patience))
    rates = Rates(5e-4, 3e-5, state.fall, state.pace)
    players = Players(state.weights, state.ema, state.moments, state.critic, state.critic_moments)
    advance = by_game(
        generator,
        table,
        batches,
        players,
        rates,
        sizes.decay,
        game,
        toward,
        compiled=compiled and sizes.game_steps >= WORTH_COMPILING,
    )
    return [*stages, Stage("refinement", advance, sizes.game_steps, sizes.game_patience)]


def first_rate(sizes: Sizes) -> float:
    """Learning rate that likelihood starts with: few trials are learned slowly."""
    return 1e-3 if sizes.decay > 0.1 else 3e-3


def _advance(stage: Stage, state: State, judge: Judge, monitor: Monitor, sizes: Sizes) -> None:
    """Some steps, one held-out score, and what the monitor makes of it."""
    found = stage.advance(tf.constant(state.step), tf.constant(sizes.every))
    signs = {name: np.asarray(sign, np.float64) for name, sign in found.items()}
    look = judge.look(state.ema)
    score = look.scores
    # A score that is no number compares as false, and is never kept.
    state.keep_better(np.where(score < ABSURD, score, np.inf))
    state.step += sizes.every
    state.note(float(np.where(score < ABSURD, score, ABSURD).mean()))
    monitor.watch(stage.name, state, signs, look)
    state.history.append(
        {
            "stage": stage.name,
            "step": state.step,
            "loss": _finite(float(signs["loss"].mean())),
            "score": _finite(float(score.mean())),
            "best": _finite(state.best_score.mean()),
        }
    )


def _finite(value: float) -> float | None:
    """A number for JSON, which knows no infinity."""
    return float(value) if np.isfinite(value) else None
