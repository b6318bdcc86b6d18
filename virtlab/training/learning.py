"""Networks fitted, calibrated and assessed: what `train` puts into a model file."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

import virtlab
from virtlab.config import Experiment
from virtlab.errors import OutputError, VirtlabError
from virtlab.gan.blocks import Blocks
from virtlab.progress import Progress, Report
from virtlab.training.checkpoint import checkpoint_path, load_checkpoint, save_checkpoint
from virtlab.training.deadline import Deadline
from virtlab.training.learnable import Learnable
from virtlab.training.privacy import widened
from virtlab.trials import settings_of

if TYPE_CHECKING:  # TensorFlow takes seconds to import
    import xarray as xr

    from virtlab.gan.attempt import Checkpoint, Moment
    from virtlab.gan.fit import Fit
    from virtlab.gan.options import Options
    from virtlab.gan.stream import Stream
    from virtlab.storage import LargeTrials
    from virtlab.training.calibration import Noise
    from virtlab.training.transfer import Parent

FITTED, CALIBRATED = 0.93, 0.97  # shares of the work
# Calibration and assessment, in looks at all held-out trials; see `virtlab.gan.judge`.
LOOKS_AFTER = 60.0


@dataclass(frozen=True)
class Data:
    """What is learned from: all trials, or a sample of those that memory does not hold.

    `left_out` says which trials were left out on purpose, and how many; `doubts`, what of them
    looks wrong.
    """

    trials: xr.Dataset
    digest: str
    large: LargeTrials | None = None
    left_out: dict[str, Any] | None = None
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lesson:
    """What is to be learned, and where the model goes.

    Parameters
    ----------
    data
        The trials.
    learnable
        The trials made ready.
    experiment
        Whose they are.
    path
        The model file.
    seed
        Decides everything random.
    resume
        Go on from checkpoints, if there are any.
    deadline
        When it must be done.
    """

    data: Data
    learnable: Learnable
    experiment: Experiment
    path: Path
    seed: int
    resume: bool
    deadline: Deadline

    @property
    def options(self) -> Options:
        """What experiment.toml asks for."""
        from virtlab.gan.options import Options

        training, model = self.experiment.training, self.experiment.model
        return Options(
            preset=model.preset,
            seed=self.seed,
            members=model.members,
            generators=model.generators,
            critics=model.critics,
            critic=model.critic,
            max_seconds=self.deadline.left,
            looks_after=LOOKS_AFTER,
            stop_at=training.stop_when.energy_score if training.stop_when else None,
            private=training.private,
        )


@dataclass(frozen=True)
class Learned:
    """Networks fitted, calibrated and assessed.

    Parameters
    ----------
    learnable
        How settings and measurements were scaled.
    fitted
        The networks.
    noise
        From calibration.
    scores
        From assessment.
    relevance
        Of each parameter.
    settings
        How many distinct ones there were.
    kept
        Trials and out-of-fold draws; see `keep_held_out`.
    """

    learnable: Learnable
    fitted: Fit
    noise: dict[str, Noise]
    scores: dict[str, dict[str, Any]]
    relevance: dict[str, Any]
    settings: int
    kept: dict[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def score(self) -> float:
        """Mean held-out score of the members."""
        return float(self.fitted.scores.mean())

    @property
    def enough(self) -> bool:
        """Whether somebody said that this is all the training there should be."""
        return self.fitted.ended in ("interrupted", "stop_when reached")


def learn(lesson: Lesson, parent: Parent | None, tell: Report) -> Learned:
    """Fit, calibrate and assess networks, from a parent's or anew.

    Parameters
    ----------
    lesson
        What is to be learned.
    parent
        A trained model to start from.
    tell
        Called with progress from 0 to 1.
    """
    from virtlab.training.assessment import assess, draw_held_out
    from virtlab.training.blocks import make_blocks
    from virtlab.training.calibration import calibrate
    from virtlab.training.keeping import keep_held_out
    from virtlab.training.relevance import find_relevance

    learnable, trials = lesson.learnable, lesson.data.trials
    if parent is not None:
        learnable = replace(learnable, columns=parent.columns)
        lesson = replace(lesson, learnable=learnable)
    columns, seed = learnable.columns, lesson.seed % 2**30
    blocks = make_blocks(trials, columns, learnable.conditions, learnable.setting)
    if lesson.experiment.training.private:
        blocks = replace(blocks, layout=widened(blocks.layout))
    if parent is not None:
        blocks = replace(blocks, layout=parent.layout(blocks.layout))
    with _streamed(lesson, blocks, tell) as (stream, settings):
        fitted = _fit(lesson, parent, blocks, stream, tell)
    score = float(fitted.scores.mean())
    tell(Progress("calibrating", FITTED, score))
    effort = lesson.deadline.effort(LOOKS_AFTER * fitted.look_seconds)
    fitted, noise = calibrate(fitted, blocks, columns, seed=seed, effort=effort)
    tell(Progress("assessing", CALIBRATED, score))
    totals = settings_of(trials)
    held = draw_held_out(fitted, blocks, seed=seed, effort=effort)
    found = assess(fitted, blocks, columns, seed=seed, settings=totals, effort=effort, held=held)
    kept = keep_held_out(
        held,
        fitted,
        blocks,
        columns,
        learnable.parameters,
        {str(name): variable.values for name, variable in trials.variables.items()},
        generators=lesson.experiment.model.generators,
        seed=seed,
    )
    relevance = {}
    if effort == 1:  # in haste, this can be missed best
        relevance = find_relevance(fitted, blocks, trials, learnable, lesson.experiment, seed)
    fitted = replace(fitted, weights=fitted.weights | fitted.whole)
    return Learned(learnable, fitted, noise, found, relevance, settings, kept)


@contextmanager
def _streamed(lesson: Lesson, blocks: Blocks, tell: Report) -> Iterator[tuple[Stream | None, int]]:
    """All trials shuffled on disk, if memory does not hold them; and the number of settings."""
    data, learnable = lesson.data, lesson.learnable
    if data.large is None:
        yield None, learnable.settings
        return
    from virtlab.training.large import streamed

    def told(message: str, _fraction: float) -> None:
        tell(Progress("shuffling", 0.0, message=message))

    folder = lesson.path.parent
    with streamed(
        data.large, lesson.experiment, learnable, blocks, folder=folder, seed=lesson.seed, tell=told
    ) as found:
        yield found


class _Pace:
    """How long training goes on at most; the pace shows between scores: steps are compiled first.

    `most` is the time that it has, in seconds.
    """

    def __init__(self, most: float | None) -> None:
        self._end = math.inf if most is None else time.monotonic() + most
        self._first: tuple[float, float] | None = None

    def left(self, fraction: float) -> float | None:
        """Seconds from a score on, where so much is done; None: not known yet."""
        now = time.monotonic()
        self._first = self._first or (now, fraction)
        began, before = self._first
        left = self._end - now
        if fraction > before:
            left = min(left, (now - began) * (1 - fraction) / (fraction - before))
        return max(left, 0.0) if math.isfinite(left) else None


def _fit(
    lesson: Lesson, parent: Parent | None, blocks: Blocks, stream: Stream | None, tell: Report
) -> Fit:
    """Run the training loop, with progress and checkpoints."""
    from virtlab.gan.fit import fit

    options = lesson.options
    identity = {
        "data": lesson.data.digest,
        "preset": options.preset,
        "members": options.members,
        "generators": options.generators,
        "critics": options.critics,
        "critic": options.critic,
        "seed": options.seed,
        "start": None if parent is None else parent.model.file.digest,
        "memory": lesson.experiment.training.memory if stream else None,  # decides the sample
        "virtlab": virtlab.__version__,
    }
    checkpoint = checkpoint_path(lesson.path, from_parent=parent is not None)
    pace = _Pace(options.max_seconds)

    def told(moment: Moment) -> None:
        left = pace.left(moment.fraction) if moment.fraction else None
        tell(Progress(moment.stage, FITTED * moment.fraction, moment.score, left))

    def save(saved: Checkpoint) -> None:
        try:
            save_checkpoint(checkpoint, saved, identity)
        except OutputError as error:  # no reason to lose the training itself
            tell(Progress("no checkpoint", 0.0, message=str(error)))

    try:
        return fit(
            blocks,
            options,
            report=told,
            save=save,
            resume=load_checkpoint(checkpoint, identity) if lesson.resume else None,
            stream=stream,
            start=None if parent is None else parent.start(blocks.layout),
        )
    except KeyboardInterrupt as error:
        raise VirtlabError("stopped before there was a model to keep; nothing written") from error
