"""Fits an ensemble: likelihood, then refinement against a critic; the held-out score decides."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from virtlab.gan.adam import Tensors
from virtlab.gan.batches import TrainingSet
from virtlab.gan.blocks import Blocks, Floats
from virtlab.gan.critic import Critic
from virtlab.gan.devices import several_accelerators, shares_of, together
from virtlab.gan.encoders import Encoder
from virtlab.gan.folds import Folds, split_by_setting
from virtlab.gan.games import Game, Players, Table, by_game
from virtlab.gan.generators import Generator
from virtlab.gan.judge import Judge
from virtlab.gan.mixture import Mixture
from virtlab.gan.monitor import ABSURD, HEALTHY, Monitor, health
from virtlab.gan.presets import Sizes, game_for, generator_for, held_for, sizes_for, sizes_to_stream
from virtlab.gan.stages import Advance, Minibatches, Rates, by_likelihood
from virtlab.gan.start import start_bins, start_heads, start_processes
from virtlab.gan.state import State
from virtlab.gan.stream import Stream, streamed
from virtlab.gan.transfer import Start

CHECKPOINT_SECONDS = 20.0
CLEAR_GAIN = 1.0  # standard errors: less than this and the simpler, earlier state is kept

Checkpoint = tuple[dict[str, NDArray[Any]], dict[str, Any]]


@dataclass(frozen=True)
class Options:
    """What a user may choose.

    Parameters
    ----------
    preset
        See `virtlab.gan.presets`.
    seed
        Decides everything random.
    members
        Parts of the ensemble, each with its own trials held out; None: follows the data.
    generators, critics
        Networks of each kind per member: its generators share its critics.
    critic
        How the critics look at signals and images.
    max_seconds
        Training ends with the best so far after this long; None: no limit.
    looks_after
        What follows the fit takes as long as so many looks at held-out trials: time that is
        kept from `max_seconds`, up to half of it.
    stop_at
        Training ends once the held-out score, relative to the marginal's, is this low.
    private
        Nothing may be learned that is a training setting: no Gaussian processes, no bins.
    devices
        Names of devices to spread the members over; none: the GPUs, where there are several.
    """

    preset: str = "auto"
    seed: int = 0
    members: int | None = None
    generators: int = 1
    critics: int = 1
    critic: Encoder = "auto"
    max_seconds: float | None = None
    looks_after: float = 0.0
    stop_at: float | None = None
    private: bool = False
    devices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Moment:
    """Where training stands, for a progress bar.

    Parameters
    ----------
    stage
        ``likelihood`` or ``refinement``.
    fraction
        Of the steps planned at most.
    score
        Mean held-out energy score of the best states, relative to the marginal's.
    """

    stage: str
    fraction: float
    score: float


@dataclass(frozen=True)
class Fit:
    """A fitted ensemble.

    Parameters
    ----------
    generator
        Sizes and functions of the generator.
    weights, critic
        Arrays with a leading member axis.
    folds
        What each member saw and did not see.
    scores
        Held-out energy score of each member, relative to the marginal's.
    stage
        The stage whose state was kept.
    gain, gain_error
        Mean fall of the held-out energy score by refinement, and its standard error.
    history
        Held-out scores along training.
    ended
        Why training ended.
    health
        What went wrong on the way and what to try, a sentence each; ``healthy`` if nothing did.
    whole
        Weights fitted to all trials, to replace those of the same name once all that is held
        out has been judged.
    look_seconds
        How long one look at all held-out trials took.
    """

    generator: Generator
    weights: dict[str, Floats]
    critic: dict[str, Floats]
    folds: Folds
    scores: NDArray[np.float64]
    stage: str
    gain: float
    gain_error: float
    history: list[dict[str, Any]]
    ended: str
    health: tuple[str, ...] = (HEALTHY,)
    whole: dict[str, Floats] = field(default_factory=dict)
    look_seconds: float = 0.0


def fit(
    blocks: Blocks,
    options: Options,
    *,
    report: Callable[[Moment], None] = lambda _moment: None,
    save: Callable[[Checkpoint], None] = lambda _checkpoint: None,
    resume: Checkpoint | None = None,
    stream: Stream | None = None,
    start: Start | None = None,
) -> Fit:
    """Learn p(values | conditions).

    Ends at the best held-out score, at ``stop_at``, after ``max_seconds`` or at Ctrl-C: always
    with the best state of each member.

    Parameters
    ----------
    blocks
        The trials, or a sample of those in `stream`.
    options
        What a user may choose.
    report
        Called at every held-out score.
    save
        Called now and then with a checkpoint.
    resume
        A checkpoint to go on from: of the same blocks and options.
    stream
        All trials, where memory does not hold them: learned from instead of the blocks, which
        then give scores alone.
    start
        A trained ensemble to start from, in place of random weights; without a stream.
    """
    began = time.monotonic()
    sizes = sizes_for(blocks, options.preset, options.members)
    if stream is not None:
        sizes = sizes_to_stream(sizes, stream.trials, blocks.effective / len(blocks))
    rng = np.random.default_rng(options.seed)
    seed = int(rng.integers(2**30))
    generator = generator_for(
        blocks,
        options.preset,
        processes=not options.private and stream is None,  # streamed trials are too many
        bins=not options.private,
    )
    if start is not None:
        generator = start.resized(generator)
    folds = split_by_setting(
        blocks.setting,
        members=sizes.members,
        folds=sizes.folds,
        rng=rng,
        max_held=held_for(blocks.layout),
    )
    folds, game = folds.repeated(options.generators), game_for(blocks.layout, options.preset)
    critic = Critic(generator.inputs, blocks.layout, encoder=options.critic, spectral=game.spectral)
    table = Table(critic, sizes.members, options.generators, options.critics)
    critics = critic.init(rng, sizes.members * options.critics)
    weights, predicted = generator.init(rng, folds.members), None
    whole: dict[str, Floats] = {}
    toward = None
    if start is not None:
        weights, predicted, whole = start.begun(generator, weights, blocks, folds, rng)
        critics = start.carried(critics)
        # Weights decay towards where they came from, not towards forgetting it (Li et al. 2018).
        toward = {name: tf.constant(array) for name, array in weights.items()}
    elif isinstance(generator, Mixture):
        weights |= start_bins(generator, blocks, folds.members)
        weights = start_heads(generator, weights, blocks, folds)
        weights, predicted, whole = start_processes(generator, weights, blocks, folds, rng)
    data = TrainingSet(blocks, predicted)
    state = State.start(weights, critics)
    judge = Judge(generator, data, folds, seed)
    if resume is not None:
        state.restore(*resume)
    elif start is not None:  # it may need no training at all
        state.keep_better(np.nan_to_num(judge.scores(state.ema), nan=np.inf))
    monitor = Monitor(table, critics, judge.real_spread(blocks.setting), judge.share)

    def stages_on(
        table: Table, data: TrainingSet, folds: Folds, state: State, among: tuple[int, int] | None
    ) -> list[_Stage]:
        batches = Minibatches(data, folds, sizes.batch, seed + 1, among)
        if stream is not None:
            batches = streamed(batches, stream, blocks.setting, sizes.folds, options.generators)
        first = among[0] if among else 0
        mine = slice(first, first + folds.members)
        near = None if toward is None else {name: old[mine] for name, old in toward.items()}
        return _stages(generator, table, batches, state, sizes, game, near)

    devices = options.devices or several_accelerators()
    if devices:
        shares = shares_of(devices, blocks, predicted, table, folds, state)
        parts = [stages_on(s.table, s.data, s.folds, s.state, s.among) for s in shares]
        stages = [
            replace(same[0], advance=together(shares, [part.advance for part in same], state))
            for same in zip(*parts, strict=True)
        ]
    else:
        stages = stages_on(table, data, folds, state, None)
    ended = _run(stages, state, judge, monitor, sizes, options, report, save, began)
    save((state.arrays(), state.position()))  # what follows the fit may be interrupted, too
    return _finish(generator, state, judge, folds, blocks, stages, ended, whole)


@dataclass(frozen=True)
class _Stage:
    name: str
    advance: Advance
    steps: int


def _stages(
    generator: Generator,
    table: Table,
    batches: Minibatches,
    state: State,
    sizes: Sizes,
    game: Game,
    toward: Tensors | None,
) -> list[_Stage]:
    """The stages of a preset, in order."""
    stages = []
    if isinstance(generator, Mixture) and sizes.likelihood_steps:
        start = 1e-3 if sizes.decay > 0.1 else 3e-3
        rates = Rates(start, 5e-5, sizes.likelihood_steps, state.pace)
        advance = by_likelihood(
            generator, batches, state.weights, state.ema, state.moments, rates, sizes.decay, toward
        )
        stages.append(_Stage("likelihood", advance, sizes.likelihood_steps))
    rates = Rates(5e-4, 3e-5, sizes.game_steps, state.pace)
    players = Players(state.weights, state.ema, state.moments, state.critic, state.critic_moments)
    advance = by_game(generator, table, batches, players, rates, sizes.decay, game, toward)
    return [*stages, _Stage("refinement", advance, sizes.game_steps)]


def _run(
    stages: list[_Stage],
    state: State,
    judge: Judge,
    monitor: Monitor,
    sizes: Sizes,
    options: Options,
    report: Callable[[Moment], None],
    save: Callable[[Checkpoint], None],
    start: float,
) -> str:
    """Train until something says stop; returns what did. The clock runs since `start`."""
    saved = last = time.monotonic()
    try:
        while state.stage < len(stages):
            stage = stages[state.stage]
            while state.step < stage.steps and state.since < sizes.patience:
                _advance(stage, state, judge, monitor, sizes)
                report(_moment(stages, state))
                now = time.monotonic()
                if options.max_seconds is not None:
                    after = min(options.looks_after * judge.seconds, 0.5 * options.max_seconds)
                    # The next round takes as long as this one.
                    if now - start + (now - last) + after > options.max_seconds:
                        return "max_time reached"
                if options.stop_at is not None and state.best_score.mean() <= options.stop_at:
                    return "stop_when reached"
                last = now
                if now - saved > CHECKPOINT_SECONDS:
                    save((state.arrays(), state.position()))
                    saved = time.monotonic()
            if state.stage + 1 == len(stages):
                break
            state.next_stage()
    except KeyboardInterrupt:
        if not np.isfinite(state.best_score).all():
            raise
        return "interrupted"
    return "held-out score stopped improving" if state.since >= sizes.patience else "all steps done"


def _advance(stage: _Stage, state: State, judge: Judge, monitor: Monitor, sizes: Sizes) -> None:
    """Some steps, one held-out score, and what the monitor makes of it."""
    found = stage.advance(tf.constant(state.step), tf.constant(sizes.every))
    signs = {name: np.asarray(sign, np.float64) for name, sign in found.items()}
    look = judge.look(state.ema)
    score = look.scores
    # A score that is no number compares as false, and is never kept.
    improved = state.keep_better(np.where(score < ABSURD, score, np.inf))
    state.step += sizes.every
    state.since = 0 if improved else state.since + 1
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


def _moment(stages: list[_Stage], state: State) -> Moment:
    total = sum(stage.steps for stage in stages)
    done = sum(stage.steps for stage in stages[: state.stage]) + state.step
    return Moment(stages[state.stage].name, done / total, float(state.best_score.mean()))


def _finish(
    generator: Generator,
    state: State,
    judge: Judge,
    folds: Folds,
    blocks: Blocks,
    stages: list[_Stage],
    ended: str,
    whole: dict[str, Floats],
) -> Fit:
    """Keep refinement only where its gain is clear on held-out settings."""
    kept, gain, error = state.best, 0.0, 0.0
    name = stages[min(state.stage, len(stages) - 1)].name
    if state.stage > 0:
        gain, error = judge.gain(state.previous, state.best, blocks.setting)
        if gain <= CLEAR_GAIN * error:
            kept, name = state.previous, stages[state.stage - 1].name
    return Fit(
        generator=generator,
        weights={key: np.asarray(value) for key, value in kept.items()},
        critic={key: np.asarray(value) for key, value in state.critic.items()},
        folds=folds,
        scores=judge.scores(kept),
        stage=name,
        gain=gain,
        gain_error=error,
        history=state.history,
        ended=ended,
        health=health(state.events, folds.members),
        whole=whole,
        look_seconds=judge.seconds,
    )
