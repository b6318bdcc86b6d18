"""Fits an ensemble: likelihood, then refinement against a critic; the held-out score decides."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from virtlab.gan.attempt import (
    DONE,
    Attempt,
    Checkpoint,
    Limits,
    Moment,
    Stage,
    first_rate,
    stages_of,
)
from virtlab.gan.batches import TrainingSet
from virtlab.gan.blocks import Blocks, Floats
from virtlab.gan.critic import Critic
from virtlab.gan.devices import several_accelerators, shares_of, together
from virtlab.gan.folds import Folds, split_by_setting
from virtlab.gan.games import Table
from virtlab.gan.generators import Generator
from virtlab.gan.judge import Judge
from virtlab.gan.mixture import Mixture
from virtlab.gan.monitor import HEALTHY, Monitor, health
from virtlab.gan.options import Options
from virtlab.gan.presets import (
    Sizes,
    alternatives,
    game_for,
    generator_for,
    held_for,
    sizes_for,
    sizes_to_stream,
)
from virtlab.gan.pretraining import pretrained
from virtlab.gan.stages import Minibatches
from virtlab.gan.start import start_bins, start_heads, start_processes
from virtlab.gan.state import State
from virtlab.gan.stream import Stream, streamed
from virtlab.gan.transfer import Start

TO_COMPILE = 60.0  # seconds that training must have for some of them to go into compiling
PRETRAINING = 0.25  # of the time that training has, at most
CLEAR_GAIN = 1.0  # standard errors: less than this and the simpler, earlier state is kept


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
    limits = Limits(time.monotonic(), options.max_seconds, options.looks_after, options.stop_at)
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
    candidates = alternatives(generator) if start is None else [start.resized(generator)]
    folds = split_by_setting(
        blocks.setting,
        members=sizes.members,
        folds=sizes.folds,
        rng=rng,
        max_held=held_for(blocks.layout),
        judging=sizes.judging,
        stop=sizes.stop,
    ).repeated(options.generators)

    def begin(which: int, resume: Checkpoint | None = None) -> Attempt:
        task = _Task(blocks, options, sizes, folds, seed, stream, start, report)
        own = np.random.default_rng([seed, which]) if which else rng
        return _begin(candidates[which], task, own, resume)

    if resume is None:
        attempt, which, ended = _best(
            [partial(begin, which) for which in range(len(candidates))], sizes, limits, report
        )
    else:
        which, ended = int(resume[1]["candidate"]), None
        attempt = begin(which, resume)

    def save_attempt(checkpoint: Checkpoint) -> None:
        arrays, position = checkpoint
        save((arrays, position | {"candidate": which}))

    if ended is None:
        ended = attempt.run(len(attempt.stages), sizes, limits, report, save_attempt)
    # What follows the fit may be interrupted, too.
    save_attempt((attempt.state.arrays(), attempt.state.position()))
    return _finish(attempt, folds, blocks, ended)


@dataclass(frozen=True)
class _Task:
    """What an attempt learns from, and how."""

    blocks: Blocks
    options: Options
    sizes: Sizes
    folds: Folds
    seed: int
    stream: Stream | None
    start: Start | None
    report: Callable[[Moment], None]


class _Networks(NamedTuple):
    """A generator's weights where training starts, and what is known with them.

    `predicted` and `whole` are as `virtlab.gan.start.start_processes` returns them; weights decay
    `toward` some, or towards 0; `settled` is as in `virtlab.gan.pretraining.Pretrained`.
    """

    weights: dict[str, Floats]
    predicted: Floats | None
    whole: dict[str, Floats]
    toward: dict[str, tf.Tensor] | None = None
    settled: bool = False


def _best(
    begin: list[Callable[[], Attempt]],
    sizes: Sizes,
    limits: Limits,
    report: Callable[[Moment], None],
) -> tuple[Attempt, int, str | None]:
    """The generator that is best on held-out settings after its first stage.

    Several are not saved on the way: where they are tried, trials are few and stages short.

    Returns
    -------
    attempt, which, ended
        `ended` is what ended training before all were tried; None: it is to go on.
    """
    if len(begin) == 1:
        return begin[0](), 0, None
    tried: list[Attempt] = []

    def told(moment: Moment) -> None:
        report(replace(moment, fraction=(len(tried) + moment.fraction) / (2 * len(begin))))

    ended = None
    for start in begin:
        try:
            attempt = start()
            ended = attempt.run(1, sizes, limits, told, lambda _checkpoint: None)
        except KeyboardInterrupt:
            if not tried:
                raise
            ended = "interrupted"  # before it had a score
        else:
            tried.append(attempt)
        if ended not in DONE:
            break
    which = int(np.argmin([attempt.score for attempt in tried]))
    return tried[which], which, None if ended in DONE else ended


def _begin(
    generator: Generator, task: _Task, rng: np.random.Generator, resume: Checkpoint | None
) -> Attempt:
    """Networks where training starts, or goes on from a checkpoint."""
    blocks, options, folds, start = task.blocks, task.options, task.folds, task.start
    sizes, stream, game = task.sizes, task.stream, game_for(blocks.layout, options.preset)
    critic = Critic(generator.inputs, blocks.layout, encoder=options.critic, spectral=game.spectral)
    table = Table(critic, sizes.members, options.generators, options.critics)
    critics = critic.init(rng, sizes.members * options.critics)
    networks = _networks(generator, task, rng)
    weights, predicted, toward = networks.weights, networks.predicted, networks.toward
    if start is not None:
        critics = start.carried(critics)
    data = TrainingSet(blocks, predicted)
    state = State.start(weights, critics)
    judge = Judge(generator, data, folds.stopping, task.seed)
    last = judge if folds.stop is None else Judge(generator, data, folds, task.seed)
    if resume is not None:
        state.restore(*resume)
    elif start is not None:  # it may need no training at all
        state.keep_better(np.nan_to_num(judge.scores(state.ema), nan=np.inf))
    monitor = Monitor(table, critics, judge.real_spread(blocks.setting), judge.share)

    def stages_on(
        table: Table, data: TrainingSet, folds: Folds, state: State, among: tuple[int, int] | None
    ) -> list[Stage]:
        batches = Minibatches(data, folds, sizes.batch, task.seed + 1, among)
        if stream is not None:
            batches = streamed(batches, stream, blocks.setting, sizes.folds, options.generators)
        first = among[0] if among else 0
        mine = slice(first, first + folds.members)
        near = None if toward is None else {name: old[mine] for name, old in toward.items()}
        return stages_of(
            generator,
            table,
            batches,
            state,
            sizes,
            game,
            near,
            settled=networks.settled,
            compiled=batches.compiles and task.options.seconds >= TO_COMPILE,
        )

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
    return Attempt(generator, state, judge, last, monitor, stages, networks.whole)


def _networks(generator: Generator, task: _Task, rng: np.random.Generator) -> _Networks:
    """What a generator starts from: another one, or what its trials tell at once."""
    blocks, folds, sizes = task.blocks, task.folds, task.sizes
    weights = generator.init(rng, folds.members)
    if task.start is not None:
        weights, predicted, whole = task.start.begun(generator, weights, blocks, folds, rng)
        # Weights decay towards where they came from, not towards forgetting it (Li et al. 2018).
        toward = {name: tf.constant(array) for name, array in weights.items()}
        return _Networks(weights, predicted, whole, toward)
    if not isinstance(generator, Mixture):
        return _Networks(weights, None, {})
    weights |= start_bins(generator, blocks, folds.members)
    weights = start_heads(generator, weights, blocks, folds)
    weights, predicted, whole = start_processes(generator, weights, blocks, folds, rng)
    if not generator.heads or task.options.seconds < TO_COMPILE:
        return _Networks(weights, predicted, whole)
    found = pretrained(
        generator,
        weights,
        blocks,
        predicted,
        folds.stopping,
        batch=sizes.batch,
        rate=first_rate(sizes),
        decay=sizes.decay,
        seed=task.seed + 2,
        seconds=PRETRAINING * task.options.seconds,
        report=lambda score: task.report(Moment("pretraining", 0.0, score)),
    )
    return _Networks(found.weights, predicted, whole, settled=found.settled)


def _finish(attempt: Attempt, folds: Folds, blocks: Blocks, ended: str) -> Fit:
    """Keep refinement only where its gain is clear on held-out settings."""
    state, judge, stages = attempt.state, attempt.last, attempt.stages
    kept, gain, error = state.best, 0.0, 0.0
    name = stages[min(state.stage, len(stages) - 1)].name
    if state.stage > 0:
        gain, error = judge.gain(state.previous, state.best, blocks.setting)
        if gain <= CLEAR_GAIN * error:
            kept, name = state.previous, stages[state.stage - 1].name
    return Fit(
        generator=attempt.generator,
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
        whole=attempt.whole,
        look_seconds=attempt.judge.seconds,
    )
