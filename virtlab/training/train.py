"""`train`: from experiment.toml to a model file."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import virtlab
from virtlab.config import Experiment, read_experiment
from virtlab.domain import learn_domain
from virtlab.errors import ConfigError, OutputError, VirtlabError
from virtlab.modelfile import GENERATOR, REFERENCE, WEIGHTS, pack_arrays, write_model
from virtlab.progress import Progress, Report
from virtlab.simulation import Model, load
from virtlab.training.checkpoint import checkpoint_path, load_checkpoint, save_checkpoint
from virtlab.training.deadline import Deadline
from virtlab.training.learnable import Learnable, make_learnable
from virtlab.training.manifest import describe, describe_training
from virtlab.trials import settings_of

if TYPE_CHECKING:
    import xarray as xr

    from virtlab.gan.blocks import Blocks
    from virtlab.gan.fit import Checkpoint, Fit, Moment
    from virtlab.gan.stream import Stream
    from virtlab.storage import LargeTrials

SUFFIX = ".virtlab"
# Calibration and assessment, in looks at all held-out trials; see `virtlab.gan.judge`.
LOOKS_AFTER = 60.0
READ, FITTED, CALIBRATED, ASSESSED = 0.03, 0.9, 0.94, 0.97  # shares of the whole work


def train(
    experiment: Experiment | str | os.PathLike[str],
    *,
    output: Path | None = None,
    seed: int | None = None,
    resume: bool = False,
    force: bool = False,
    report: Report | None = None,
) -> Model:
    """Learn p(measurement | parameters) from an experiment's lab files.

    Parameters
    ----------
    experiment
        An experiment, or the path of its experiment.toml.
    output
        The model file; default: the experiment's name, beside experiment.toml.
    seed
        Wins over ``training.seed``.
    resume
        Go on from the checkpoint of an interrupted training, if there is one.
    force
        Replace an existing model file.
    report
        Called with `Progress` from the first second on.

    Returns
    -------
    Model
        As `virtlab.load` would load it.

    Raises
    ------
    VirtlabError
        experiment.toml, the lab files or the output cannot be used.
    """
    tell = report or (lambda _progress: None)
    if not isinstance(experiment, Experiment):
        experiment = read_experiment(Path(experiment))
    deadline = Deadline.after(experiment.training.max_time)
    path = Path(output) if output else default_output(experiment)
    _check_output(path, force=force)
    seed = experiment.training.seed if seed is None else seed
    data = _read(experiment, seed, tell)
    learnable = make_learnable(data.trials, experiment)
    manifest, members = _learn(data, learnable, experiment, path, seed, resume, deadline, tell)
    tell(Progress("writing", ASSESSED, message=path.name))
    write_model(path, manifest, members, force=force)
    checkpoint_path(path).unlink(missing_ok=True)
    tell(Progress("done", 1.0, message=path.name))
    return load(path)


def _check_output(path: Path, *, force: bool) -> None:
    """Refuse a model file that cannot be written, before the work that fills it is done.

    The suffix keeps a slip of ``-o`` with ``--force`` from replacing lab data.
    """
    if path.suffix != SUFFIX:
        raise ConfigError(
            f"output {str(path)!r}: expected a name that ends in {SUFFIX}, "
            f"found {path.suffix or 'no suffix'!r}"
        )
    if not path.parent.is_dir():
        raise OutputError(f"{path}: the folder {path.parent} does not exist; make it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: no permission to write in the folder {path.parent}")
    if path.is_dir():
        raise OutputError(f"{path} is a folder; choose another name with -o")
    if path.exists() and not force:
        raise OutputError(f"{path} exists; use --force to replace it, or -o for another name")


def default_output(experiment: Experiment) -> Path:
    """The experiment's name as a file name, beside experiment.toml."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", experiment.experiment.name).strip("._") or "model"
    return experiment.path.parent / f"{name}{SUFFIX}"


@dataclass(frozen=True)
class _Data:
    """What is learned from: all trials, or a sample of those that memory does not hold."""

    trials: xr.Dataset
    digest: str
    large: LargeTrials | None = None


def _read(experiment: Experiment, seed: int, tell: Report) -> _Data:
    from virtlab.storage import LargeTrials, data_digest, open_within

    def told(message: str, fraction: float) -> None:
        tell(Progress("reading", READ * fraction, message=message))

    found = open_within(experiment, experiment.training.memory, seed=seed, report=told)
    if isinstance(found, LargeTrials):
        return _Data(found.sample, found.digest, found)
    return _Data(found, data_digest(found))


def _learn(
    data: _Data,
    learnable: Learnable,
    experiment: Experiment,
    path: Path,
    seed: int,
    resume: bool,
    deadline: Deadline,
    tell: Report,
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Fit, calibrate, assess, export: everything that needs TensorFlow."""
    tell(Progress("starting TensorFlow", READ))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from virtlab.gan.export import export
    from virtlab.training.assessment import assess, verdict
    from virtlab.training.blocks import make_blocks
    from virtlab.training.calibration import calibrate
    from virtlab.training.relevance import find_relevance

    blocks = make_blocks(data.trials, learnable.columns, learnable.conditions, learnable.setting)
    with _streamed(data, blocks, learnable, experiment, path, seed, tell) as (stream, settings):
        fitted = _fit(blocks, stream, experiment, path, seed, data.digest, resume, deadline, tell)
    score = float(fitted.scores.mean())
    tell(Progress("calibrating", FITTED, score))
    effort = deadline.effort(LOOKS_AFTER * fitted.look_seconds)
    columns, after = learnable.columns, seed % 2**30
    fitted, spread = calibrate(fitted, blocks, columns, seed=after, effort=effort)
    tell(Progress("assessing", CALIBRATED, score))
    totals = settings_of(data.trials)
    found = assess(fitted, blocks, columns, seed=after, settings=totals, effort=effort)
    relevance = {}
    if effort == 1:  # in haste, this can be missed best
        relevance = find_relevance(fitted, blocks, data.trials, learnable, experiment, after)
    fitted = replace(fitted, weights=fitted.weights | fitted.whole)
    tell(Progress("exporting", ASSESSED, score))
    domain = learn_domain(learnable.conditions, np.random.default_rng(seed))
    members = {
        GENERATOR: export(fitted),
        WEIGHTS: pack_arrays(
            {f"generator/{name}": value for name, value in fitted.weights.items()}
            | {f"critic/{name}": value for name, value in fitted.critic.items()}
        ),
        REFERENCE: pack_arrays({"conditions": domain.reference}),
    }
    count = data.large.trials if data.large else len(blocks)
    told = describe(data.trials, learnable, experiment, seed, count)
    told["data"] |= {"sha256": data.digest, "settings": settings}
    manifest = told | {
        "calibration": spread,
        "domain": {"reach": domain.reach},
        "relevance": relevance,
        "scores": found,
        "training": describe_training(fitted, experiment),
        "verdict": verdict(found, fitted, settings),
    }
    return manifest, members


@contextmanager
def _streamed(
    data: _Data,
    blocks: Blocks,
    learnable: Learnable,
    experiment: Experiment,
    path: Path,
    seed: int,
    tell: Report,
) -> Iterator[tuple[Stream | None, int]]:
    """All trials shuffled on disk, if memory does not hold them; and the number of settings."""
    if data.large is None:
        yield None, learnable.settings
        return
    from virtlab.training.large import streamed

    def told(message: str, _fraction: float) -> None:
        tell(Progress("shuffling", READ, message=message))

    with streamed(
        data.large, experiment, learnable, blocks, folder=path.parent, seed=seed, tell=told
    ) as found:
        yield found


def _fit(
    blocks: Blocks,
    stream: Stream | None,
    experiment: Experiment,
    path: Path,
    seed: int,
    digest: str,
    resume: bool,
    deadline: Deadline,
    tell: Report,
) -> Fit:
    """Run the training loop, with progress and checkpoints."""
    from virtlab.gan.fit import Options, fit

    training, model = experiment.training, experiment.model
    options = Options(
        preset=model.preset,
        seed=seed,
        members=model.members,
        generators=model.generators,
        critics=model.critics,
        critic=model.critic,
        max_seconds=deadline.left,
        looks_after=LOOKS_AFTER,
        stop_at=training.stop_when.energy_score if training.stop_when else None,
    )
    identity = {
        "data": digest,
        "preset": model.preset,
        "members": model.members,
        "generators": model.generators,
        "critics": model.critics,
        "critic": model.critic,
        "seed": seed,
        "memory": training.memory if stream else None,  # decides the sample
        "virtlab": virtlab.__version__,
    }
    start = time.monotonic()
    checkpoint = checkpoint_path(path)

    def told(moment: Moment) -> None:
        gone = time.monotonic() - start
        left = gone * (1 - moment.fraction) / max(moment.fraction, 1e-3)
        if options.max_seconds is not None:
            left = min(left, options.max_seconds - gone)
        fraction = READ + (FITTED - READ) * moment.fraction
        tell(Progress(moment.stage, fraction, moment.score, max(left, 0.0)))

    def save(saved: Checkpoint) -> None:
        try:
            save_checkpoint(checkpoint, saved, identity)
        except OutputError as error:  # no reason to lose the training itself
            tell(Progress("no checkpoint", READ, message=str(error)))

    try:
        return fit(
            blocks,
            options,
            report=told,
            save=save,
            resume=load_checkpoint(checkpoint, identity) if resume else None,
            stream=stream,
        )
    except KeyboardInterrupt as error:
        raise VirtlabError("stopped before there was a model to keep; nothing written") from error
