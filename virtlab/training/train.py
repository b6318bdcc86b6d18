"""`train`: from experiment.toml to a model file."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning import Parameter
from virtlab.config import Experiment, read_experiment
from virtlab.domain import feature_relevance, learn_domain
from virtlab.errors import ConfigError, OutputError
from virtlab.modelfile import GENERATOR, HELD_OUT, REFERENCE, WEIGHTS, pack_arrays, write_model
from virtlab.progress import Progress, Report
from virtlab.simulation import Model, load
from virtlab.storage.doubts import doubts
from virtlab.training.checkpoint import checkpoint_path
from virtlab.training.deadline import Deadline
from virtlab.training.learnable import make_learnable
from virtlab.training.learning import Data, Learned, Lesson, learn
from virtlab.training.manifest import describe, describe_training
from virtlab.training.privacy import (
    blurred,
    make_private_domain,
    refuse_open_parent,
    rounded_ranges,
)
from virtlab.training.transfer import Parent, choose, match, read_parent

if TYPE_CHECKING:
    import xarray as xr

SUFFIX = ".virtlab"
READ, ASSESSED = 0.03, 0.97  # shares of the whole work


def train(
    experiment: Experiment | str | os.PathLike[str],
    *,
    output: Path | None = None,
    seed: int | None = None,
    resume: bool = False,
    force: bool = False,
    start: str | os.PathLike[str] | None = None,
    leave_out: str | None = None,
    only: NDArray[np.intp] | None = None,
    examine: Callable[[Model], dict[str, Any]] | None = None,
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
    start
        A trained model to start from, of the same measurements; see `virtlab.training.transfer`.
        Networks are trained from there and anew, and those are kept that do better on settings
        held out.
    leave_out
        A comparison over parameters, such as ``temperature > 80``: trials at such settings are
        not learned from, so that `evaluate` can tell how far the model extrapolates.
    only
        Rows of the trials to learn from, as if there were no others: nothing is known of the
        rest but the names of their categories, which can then be asked for.
    examine
        What judges a private model before its trials are left out, such as
        `virtlab.evaluation.examine`: what it returns stands in the model file as ``audit``.
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
    model = None if start is None else read_parent(Path(start), experiment)
    private = experiment.training.private
    if model is not None and private:
        refuse_open_parent(model)
    data, categories = _read(experiment, seed, tell, leave_out)
    data = replace(data, doubts=tuple(doubts(data.trials)))
    for doubt in data.doubts:
        tell(Progress("reading", READ, note=doubt))
    if model is not None and data.large is not None:
        raise ConfigError(
            f"{experiment.path.name}: training from a model is for trials that [training] memory "
            "holds; raise it, or train anew"
        )
    known = model.parameters if model else ()
    if only is not None:
        data = _chosen(data, only)
    if only is not None or leave_out is not None:  # what is left out can still be asked for
        known = (*known, *categories)
    learnable = make_learnable(data.trials, experiment, known)
    if private:
        learnable = replace(learnable, columns=tuple(map(blurred, learnable.columns)))
        make_private_domain(learnable.conditions, np.random.default_rng(seed))  # refuse too few now
    parent = None if model is None else match(model, learnable, data, experiment)
    lesson = Lesson(data, learnable, experiment, path, seed, resume, deadline)
    manifest, members = _learn(lesson, parent, tell)
    tell(Progress("writing", ASSESSED, message=path.name))
    if private:
        manifest["audit"] = None if examine is None else _examined(path, manifest, members, examine)
        del members[HELD_OUT]
    write_model(path, manifest, members, force=force)
    for from_parent in (False, True):
        checkpoint_path(path, from_parent=from_parent).unlink(missing_ok=True)
    tell(Progress("done", 1.0, message=path.name))
    return load(path)


def _examined(
    path: Path,
    manifest: dict[str, Any],
    members: dict[str, bytes],
    examine: Callable[[Model], dict[str, Any]],
) -> dict[str, Any]:
    """Examine the model as long as its trials are at hand, in a file that is gone afterwards."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}.") as folder:
        whole = Path(folder) / path.name
        write_model(whole, manifest, members)
        return examine(load(whole))


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


def _read(
    experiment: Experiment, seed: int, tell: Report, leave_out: str | None
) -> tuple[Data, tuple[Parameter, ...]]:
    """Trials to learn from; and categorical parameters with all categories that any trial has."""
    from virtlab.storage import LargeTrials, data_digest, open_within

    def told(message: str, fraction: float) -> None:
        tell(Progress("reading", READ * fraction, message=message))

    known = _Known(experiment, leave_out)
    keep = None if leave_out is None else known.stays
    memory = experiment.training.memory
    found = open_within(experiment, memory, seed=seed, report=told, keep=keep)
    if isinstance(found, LargeTrials):
        data = Data(found.sample, found.digest, found)
        known.add(found.sample)
    else:
        data = Data(found, data_digest(found))
        known.add(found)
    if leave_out is not None:
        data = _without(data, leave_out)
    return data, known.parameters


class _Known:
    """The categories that trials have, those that are left out included."""

    def __init__(self, experiment: Experiment, leave_out: str | None) -> None:
        self._names, self._leave_out = tuple(experiment.parameters), leave_out
        self._found: dict[str, set[str]] = {}

    def add(self, trials: xr.Dataset) -> None:
        """Take in some trials."""
        for name in self._names:
            if trials[name].attrs["kind"] == "categorical":
                self._found.setdefault(name, set()).update(map(str, trials[name].values))

    def stays(self, trials: xr.Dataset) -> NDArray[np.bool_]:
        """Which of some trials are not left out."""
        from virtlab.expressions import parse_choice

        assert self._leave_out is not None
        self.add(trials)
        return ~parse_choice(trials, self._leave_out, "--leave-out").of(trials)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Categorical parameters."""
        return tuple(
            Parameter(name, "categorical", categories=tuple(sorted(found)))
            for name, found in self._found.items()
        )


def _chosen(data: Data, rows: NDArray[np.intp]) -> Data:
    """Some of the trials."""
    from virtlab.storage import data_digest
    from virtlab.storage.sample import picked

    if data.large is not None:
        raise ConfigError("choosing trials is for those that [training] memory holds; raise it")
    kept = picked(data.trials, rows)
    return Data(kept, data_digest(kept))


def _without(data: Data, text: str) -> Data:
    """Trials but those at settings that are left out on purpose."""
    from virtlab.expressions import chosen, no_choice, parse_choice
    from virtlab.storage import data_digest
    from virtlab.storage.sample import picked

    left = {"expression": " ".join(text.split())}
    if data.large is not None:
        if not data.large.left_out:
            choice = parse_choice(data.trials, text, "--leave-out")
            raise no_choice(choice, data.trials, "--leave-out", every=False)
        return replace(data, left_out=left | {"trials": data.large.left_out})
    out = chosen(data.trials, text, "--leave-out")
    kept = picked(data.trials, np.flatnonzero(~out))
    return Data(kept, data_digest(kept), left_out=left | {"trials": int(out.sum())})


def _learn(
    lesson: Lesson, parent: Parent | None, tell: Report
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Learn, from a parent and anew where there is one, and put the better into members."""
    tell(Progress("starting TensorFlow", READ))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from virtlab.gan.export import export
    from virtlab.gan.transfer import layout_arrays

    if parent is None:
        learned, told = learn(lesson, None, _between(READ, ASSESSED, tell)), None
    else:
        middle = (READ + ASSESSED) / 2
        first = replace(lesson, deadline=lesson.deadline.halfway)
        started = learn(first, parent, _between(READ, middle, tell))
        anew = None if started.enough else learn(lesson, None, _between(middle, ASSESSED, tell))
        learned, told = choose(started, anew, parent)
    fitted = learned.fitted
    tell(Progress("exporting", ASSESSED, learned.score))
    private = lesson.experiment.training.private
    domain = (make_private_domain if private else learn_domain)(
        lesson.learnable.conditions,
        np.random.default_rng(lesson.seed),
        feature_relevance(lesson.learnable.labels, learned.relevance),
    )
    members = {
        GENERATOR: export(fitted),
        WEIGHTS: pack_arrays(
            {f"generator/{name}": value for name, value in fitted.weights.items()}
            | {f"critic/{name}": value for name, value in fitted.critic.items()}
            | {f"layout/{n}": value for n, value in layout_arrays(fitted.generator.layout).items()}
        ),
        REFERENCE: pack_arrays({"conditions": domain.reference}),
        HELD_OUT: pack_arrays(learned.kept),
    }
    found = {"reach": domain.reach, "weights": domain.weights.tolist(), "fixed": domain.fixed}
    return _manifest(lesson, learned, told) | {"domain": found}, members


def _between(first: float, last: float, tell: Report) -> Report:
    """Progress from 0 to 1 as a stretch of the whole."""

    def told(progress: Progress) -> None:
        tell(replace(progress, fraction=first + (last - first) * progress.fraction))

    return told


def _manifest(lesson: Lesson, learned: Learned, start: dict[str, Any] | None) -> dict[str, Any]:
    """What the model is, was made from, and how well it does."""
    from virtlab.training.assessment import verdict

    data, experiment = lesson.data, lesson.experiment
    count = data.large.trials if data.large else len(lesson.learnable.setting)
    told = describe(data.trials, learned.learnable, experiment, lesson.seed, count)
    told["data"] |= {"sha256": data.digest, "settings": learned.settings}
    told["data"]["left_out"] = data.left_out
    told["data"]["private"] = experiment.training.private
    told["data"]["doubts"] = [] if experiment.training.private else list(data.doubts)
    if experiment.training.private:
        once = np.unique(lesson.learnable.setting, return_index=True)[1]
        settings = {p.name: data.trials[p.name].values[once] for p in lesson.learnable.parameters}
        told["parameters"] = rounded_ranges(told["parameters"], settings)
    return told | {
        "calibration": {name: noise.width for name, noise in learned.noise.items()},
        "tails": {name: noise.tail for name, noise in learned.noise.items()},
        "relevance": learned.relevance,
        "scores": learned.scores,
        "training": describe_training(learned.fitted, experiment) | {"start": start},
        "verdict": verdict(learned.scores, learned.fitted, learned.settings),
    }
