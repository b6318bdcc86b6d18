"""What a model was made from and how its training went: the words of manifest.json."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import virtlab
from virtlab import plugins
from virtlab.conditioning import Parameter
from virtlab.config import Experiment
from virtlab.scaling import column_to_dict
from virtlab.training.learnable import Learnable
from virtlab.trials import TRIAL, WEIGHT

if TYPE_CHECKING:
    import xarray as xr

    from virtlab.gan.fit import Fit


def describe(
    trials: xr.Dataset, learnable: Learnable, experiment: Experiment, seed: int, count: int
) -> dict[str, Any]:
    """What the model was made from, for the manifest.

    `trials` are all, or a sample of `count` whose attrs and extremes speak of all.
    """
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
            "files": [Path(file).name for file in trials.attrs.get("files", [])],
            "missing": {
                str(name): int(variable.attrs.get("missing", 0))
                for name, variable in trials.data_vars.items()
            },
            "missing_trials": {
                str(name): int(variable.attrs.get("missing_trials", 0))
                for name, variable in trials.data_vars.items()
            },
            "weights": _weights(trials, experiment, count),
            "trials": count,
            "dropped_trials": int(trials.attrs.get("dropped_trials", 0)),
            "dropped_reasons": [str(r) for r in trials.attrs.get("dropped_reasons", [])],
        },
    }


def _weights(trials: xr.Dataset, experiment: Experiment, count: int) -> dict[str, Any] | None:
    """Where the trials' weights came from, and how many equal trials they are worth."""
    from virtlab.gan.blocks import effective_size

    if WEIGHT not in trials.coords:
        return None
    weight = trials[WEIGHT].values
    effective = effective_size(weight) * (count / len(weight))
    return {"path": experiment.data.weights, "effective_trials": effective}


def _seen(values: NDArray[Any], parameter: Parameter) -> dict[str, Any]:
    """The range of a numeric parameter in the training data."""
    if parameter.kind == "categorical":
        return {"range": None}
    return {"range": [float(values.min()), float(values.max())]}


def describe_training(fitted: Fit, experiment: Experiment) -> dict[str, Any]:
    """How training went, for the manifest."""
    from virtlab.gan.transfer import sizes_of

    layout = fitted.generator.layout
    return {
        "generator": type(fitted.generator).__name__.lower(),
        "sizes": sizes_of(fitted.generator),
        "parts": [asdict(part) for part in layout.parts],
        "preset": experiment.model.preset,
        "members": fitted.folds.members,
        "generators": experiment.model.generators,
        "critics": experiment.model.critics,
        "stage": fitted.stage,
        "ended": fitted.ended,
        "health": list(fitted.health),
        "score": float(fitted.scores.mean()),
        "score_by_member": fitted.scores.tolist(),
        "refinement_gain": fitted.gain,
        "refinement_gain_error": fitted.gain_error if np.isfinite(fitted.gain_error) else None,
        "history": fitted.history,
    }
