"""`train`: from experiment.toml to a model file."""

from __future__ import annotations

import os
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import virtlab
from virtlab import plugins
from virtlab.conditioning import Parameter, condition
from virtlab.config import Experiment, read_experiment
from virtlab.domain import learn_domain
from virtlab.errors import ConfigError, DataError, OutputError, VirtlabError
from virtlab.modelfile import GENERATOR, REFERENCE, WEIGHTS, pack_arrays, write_model
from virtlab.progress import Progress, Report
from virtlab.scaling import Column, column_to_dict, fit_columns
from virtlab.simulation import Model, load
from virtlab.training.checkpoint import checkpoint_path, load_checkpoint, save_checkpoint
from virtlab.trials import TRIAL, measurements_of

if TYPE_CHECKING:
    import xarray as xr

    from virtlab.gan.blocks import Blocks
    from virtlab.gan.fit import Fit, Moment

SUFFIX = ".virtlab"
READ, FITTED, CALIBRATED, ASSESSED = 0.03, 0.9, 0.94, 0.97  # shares of the whole work


@dataclass(frozen=True)
class Learnable:
    """Trials made ready for the networks, and how.

    Parameters
    ----------
    parameters
        With units and categories as found in the trials.
    labels, center, scale
        Of the conditions: names, and how each was standardised.
    columns
        How each measurement was scaled.
    conditions
        Standardised, ``(trial, feature)``.
    setting
        Which setting each trial belongs to.
    """

    parameters: tuple[Parameter, ...]
    labels: tuple[str, ...]
    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    columns: tuple[Column, ...]
    conditions: NDArray[np.float32]
    setting: NDArray[np.int64]

    @property
    def settings(self) -> int:
        """Number of distinct settings."""
        return int(self.setting.max()) + 1


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
    path = Path(output) if output else default_output(experiment)
    _check_output(path, force=force)
    trials = _read(experiment, tell)
    learnable = make_learnable(trials, experiment)
    seed = experiment.training.seed if seed is None else seed
    manifest, members = _learn(trials, learnable, experiment, path, seed, resume, tell)
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


def _read(experiment: Experiment, tell: Report) -> xr.Dataset:
    from virtlab.storage import open_trials

    def told(message: str, fraction: float) -> None:
        tell(Progress("reading", READ * fraction, message=message))

    return open_trials(experiment, told)


def make_learnable(trials: xr.Dataset, experiment: Experiment) -> Learnable:
    """Encode the settings and choose how to scale the measurements.

    Raises
    ------
    VirtlabError
        The conditioner cannot encode the settings, or they are all the same.
    """
    parameters = tuple(_parameter(trials, experiment, name) for name in experiment.parameters)
    conditioner = plugins.conditioner(experiment.experiment.conditioner)
    settings = {p.name: trials[p.name].values for p in parameters}
    encoded = condition(conditioner, settings, parameters, experiment.conditioner)
    center, scale = _standard(encoded.values)
    conditions = ((encoded.values - center) / scale).astype(np.float32)
    setting = np.unique(conditions, axis=0, return_inverse=True)[1].ravel().astype(np.int64)
    if not setting.any():
        told = ", ".join(f"{name} = {values[0]}" for name, values in settings.items())
        raise DataError(
            f"{experiment.path.name}: all {len(setting):,} trials are at one setting ({told}); "
            "expected trials at two settings or more: nothing can be learned from one, nor held out"
        )
    columns = fit_columns(trials, measurements_of(trials))
    return Learnable(parameters, encoded.labels, center, scale, columns, conditions, setting)


def _parameter(trials: xr.Dataset, experiment: Experiment, name: str) -> Parameter:
    """One parameter, with kind, units and categories as the trials have them."""
    table, variable = experiment.parameters[name], trials[name]
    categories: tuple[str, ...] = ()
    if variable.attrs["kind"] == "categorical":
        categories = tuple(sorted({str(value) for value in variable.values}))
    return Parameter(
        name=name,
        kind=variable.attrs["kind"],
        units=str(variable.attrs.get("units", "")),
        scale=table.scale,
        bounds=table.bounds,
        period=table.period,
        categories=categories,
    )


def _standard(
    values: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Center and scale of each feature; indicators become -1 and 1, like a two-level factor."""
    indicator = np.isin(values, (0, 1)).all(axis=0)
    mean = np.where(np.ptp(values, axis=0) > 0, values.mean(axis=0), values[0])
    # In units of the farthest: the square of a very small number is 0.
    farthest = np.abs(values - mean).max(axis=0)
    farthest = np.where(farthest > 0, farthest, 1)
    scale = farthest * ((values - mean) / farthest).std(axis=0)
    scale = np.where(scale > 0, scale, 1)
    return np.where(indicator, 0.5, mean), np.where(indicator, 0.5, scale)


def _learn(
    trials: xr.Dataset,
    learnable: Learnable,
    experiment: Experiment,
    path: Path,
    seed: int,
    resume: bool,
    tell: Report,
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Fit, calibrate, assess, export: everything that needs TensorFlow."""
    from virtlab.storage import data_digest

    tell(Progress("starting TensorFlow", READ))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Measured no faster on these small products; without it TensorFlow starts without talk.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    from virtlab.gan.export import export
    from virtlab.training.assessment import assess, verdict
    from virtlab.training.blocks import make_blocks
    from virtlab.training.calibration import calibrate

    digest = data_digest(trials)
    blocks = make_blocks(trials, learnable.columns, learnable.conditions, learnable.setting)
    fitted = _fit(blocks, experiment, path, seed, digest, resume, tell)
    score = float(fitted.scores.mean())
    tell(Progress("calibrating", FITTED, score))
    fitted, spread = calibrate(fitted, blocks, learnable.columns, seed=seed % 2**30)
    tell(Progress("assessing", CALIBRATED, score))
    found = assess(fitted, blocks, learnable.columns, seed=seed % 2**30)
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
    manifest = _describe(trials, learnable, experiment, seed, digest) | {
        "calibration": spread,
        "domain": {"reach": domain.reach},
        "scores": found,
        "training": _training(fitted, experiment),
        "verdict": verdict(found, fitted, learnable.settings),
    }
    return manifest, members


def _fit(
    blocks: Blocks,
    experiment: Experiment,
    path: Path,
    seed: int,
    digest: str,
    resume: bool,
    tell: Report,
) -> Fit:
    """Run the training loop, with progress and checkpoints."""
    from virtlab.gan.fit import Options, fit

    training, model = experiment.training, experiment.model
    options = Options(
        preset=model.preset,
        seed=seed,
        members=model.members,
        max_seconds=training.max_time,
        stop_at=training.stop_when.energy_score if training.stop_when else None,
    )
    identity = {
        "data": digest,
        "preset": model.preset,
        "members": model.members,
        "seed": seed,
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

    try:
        return fit(
            blocks,
            options,
            report=told,
            save=lambda saved: save_checkpoint(checkpoint, saved, identity),
            resume=load_checkpoint(checkpoint, identity) if resume else None,
        )
    except KeyboardInterrupt as error:
        raise VirtlabError("stopped before there was a model to keep; nothing written") from error


def _describe(
    trials: xr.Dataset, learnable: Learnable, experiment: Experiment, seed: int, digest: str
) -> dict[str, Any]:
    """What the model was made from, for the manifest."""
    name = experiment.experiment.conditioner
    distribution, version = plugins.distribution_of(plugins.CONDITIONERS, name)
    return {
        "virtlab": virtlab.__version__,
        "experiment": {"name": experiment.experiment.name, "text": experiment.text},
        "seed": seed,
        "conditioner": {
            "name": name,
            "distribution": distribution,
            "version": version,
            "options": experiment.conditioner,
        },
        "parameters": [
            asdict(parameter) | _seen(trials[parameter.name].values, parameter)
            for parameter in learnable.parameters
        ],
        "features": {
            "labels": list(learnable.labels),
            "center": learnable.center.tolist(),
            "scale": learnable.scale.tolist(),
        },
        "columns": [column_to_dict(column) for column in learnable.columns],
        "coords": {
            str(name): {
                "dims": list(map(str, coord.dims)),
                "values": coord.values.tolist(),
                "units": str(coord.attrs.get("units", "")),
            }
            for name, coord in trials.coords.items()
            if TRIAL not in coord.dims
        },
        "data": {
            "sha256": digest,
            "files": [Path(file).name for file in trials.attrs.get("files", [])],
            "trials": trials.sizes[TRIAL],
            "settings": learnable.settings,
            "missing": {
                str(name): int(variable.attrs.get("missing", 0))
                for name, variable in trials.data_vars.items()
            },
            "dropped_trials": int(trials.attrs.get("dropped_trials", 0)),
            "dropped_reasons": [str(r) for r in trials.attrs.get("dropped_reasons", [])],
        },
    }


def _seen(values: NDArray[Any], parameter: Parameter) -> dict[str, Any]:
    """The range of a numeric parameter in the training data."""
    if parameter.kind == "categorical":
        return {"range": None}
    return {"range": [float(values.min()), float(values.max())]}


def _training(fitted: Fit, experiment: Experiment) -> dict[str, Any]:
    """How training went, for the manifest."""
    return {
        "preset": experiment.model.preset,
        "members": fitted.folds.members,
        "stage": fitted.stage,
        "ended": fitted.ended,
        "score": float(fitted.scores.mean()),
        "score_by_member": fitted.scores.tolist(),
        "refinement_gain": fitted.gain,
        "refinement_gain_error": fitted.gain_error if np.isfinite(fitted.gain_error) else None,
        "history": fitted.history,
    }
