"""Starting from a trained model: what must be alike, and how its conditions become the new ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning import suggestion
from virtlab.config import Experiment
from virtlab.errors import ConfigError
from virtlab.modelfile import REFERENCE, WEIGHTS
from virtlab.scaling import Column
from virtlab.simulation import Model, load
from virtlab.training.learnable import Learnable
from virtlab.trials import MISSING_CATEGORY

if TYPE_CHECKING:
    import xarray as xr

    from virtlab.gan.blocks import Layout
    from virtlab.gan.transfer import Start
    from virtlab.training.learning import Data, Learned

AGAIN = "train it again with this virtlab"
HEAD = re.compile(r"generator/decoder\d+\.")
HEADS_SINCE = (0, 1, 8)  # heads of earlier ones have other weights, or mean other things by them


@dataclass(frozen=True)
class Parent:
    """A trained model, matched with new trials.

    Parameters
    ----------
    model
        The model.
    columns
        How it scales the measurements.
    slope, offset
        Its conditions are ``conditions @ slope + offset`` of the new ones, both standardised:
        ``(new, old)`` and ``(old,)``.
    new
        Parameters that it does not know.
    """

    model: Model
    columns: tuple[Column, ...]
    slope: NDArray[np.float64]
    offset: NDArray[np.float64]
    new: tuple[str, ...]

    def start(self, layout: Layout) -> Start:
        """Its networks as the start of new ones, whose values have this layout."""
        from virtlab.gan.transfer import Start

        arrays = self.model.file.arrays(WEIGHTS)
        weights = {
            name.partition("/")[2]: array
            for name, array in arrays.items()
            if name.startswith(("generator/", "critic/"))
        }
        raw = self.model.manifest["training"]["sizes"]
        sizes = {name: tuple(v) if isinstance(v, list) else v for name, v in raw.items()}
        return Start(weights, sizes, self.slope, self.offset, layout)

    def layout(self, layout: Layout) -> Layout:
        """The layout of new trials, with all that this model's trials said of theirs."""
        from virtlab.gan.transfer import adopted

        arrays = self.model.file.arrays(WEIGHTS)
        own = {n.partition("/")[2]: a for n, a in arrays.items() if n.startswith("layout/")}
        return adopted(layout, own, self.model.manifest["training"]["parts"])


def choose(
    started: Learned, anew: Learned | None, parent: Parent
) -> tuple[Learned, dict[str, Any]]:
    """The networks that do better on settings held out, and what to tell of the choice.

    Scores are in the measurements' own units, on the same settings held out by the same members:
    what was trained from a parent is kept where it scores lower over all measurements (the
    geometric mean of the ratios).
    """
    ratio = None
    if anew is not None:
        ratios = [
            started.scores[name]["model"] / score["model"]
            for name, score in anew.scores.items()
            if score["model"] > 0 and np.isfinite(score["model"])
        ]
        ratio = float(np.exp(np.mean(np.log(ratios)))) if ratios and min(ratios) > 0 else 1.0
    keep = anew is None or (ratio is not None and ratio < 1)
    told = {
        "model": parent.model.file.path.name,
        "sha256": parent.model.file.digest,
        "data_sha256": parent.model.manifest["data"]["sha256"],
        "new_parameters": list(parent.new),
        "kept": keep,
        "score_over_anew": ratio,
    }
    return started if keep or anew is None else anew, told


def read_parent(path: Path, experiment: Experiment) -> Model:
    """Load the model to start from; refuse what could never be one, before lab files are read.

    Raises
    ------
    ModelFileError
        It cannot be read.
    ConfigError
        It has other parameters or measurements, or networks of another kind.
    """
    model = load(path)
    training, conditioner = model.manifest["training"], model.manifest["conditioner"]["name"]
    made_by = tuple(map(int, re.findall(r"\d+", str(model.manifest.get("virtlab")))[:3]))
    former = made_by < HEADS_SINCE and any(map(HEAD.match, model.file.arrays(WEIGHTS)))
    if former or not {"sizes", "parts"} <= set(training):
        raise ConfigError(f"{path}: its networks cannot be started from; {AGAIN}")
    if training["preset"] != experiment.model.preset:
        raise ConfigError(
            f"{path}: was trained with preset {training['preset']!r}, {experiment.path.name} says "
            f"{experiment.model.preset!r}; use the same"
        )
    if conditioner != experiment.experiment.conditioner:
        raise ConfigError(
            f"{path}: was trained with conditioner {conditioner!r}, {experiment.path.name} says "
            f"{experiment.experiment.conditioner!r}; use the same"
        )
    old, new = {m.name for m in model.measurements}, set(experiment.measurements)
    if old != new:
        told = ", ".join(sorted(old ^ new))
        raise ConfigError(
            f"{path}: has the measurements {', '.join(sorted(old))}, {experiment.path.name} has "
            f"{', '.join(sorted(new))}; a start needs the same: only one of both has {told}"
        )
    return model


def match(model: Model, learnable: Learnable, data: Data, experiment: Experiment) -> Parent:
    """Match a trained model with new trials.

    Raises
    ------
    ConfigError
        A measurement is of another kind, unit, shape, support or constraint, a category or an
        axis is unknown to the model, or a parameter that it learned from is missing.
    """
    path, trials = model.file.path, data.trials
    if model.manifest["data"]["sha256"] == data.digest:
        raise ConfigError(
            f"{path}: was trained on these very trials: what was held out now, it has seen; give "
            "it new trials, or leave --from away"
        )
    fresh = {column.measurement.name: column for column in learnable.columns}
    columns = tuple(
        _adopted(path, old, fresh[old.measurement.name], trials) for old in model.columns
    )
    _check_axes(model, trials)
    _check_parameters(model, learnable, experiment)
    slope, offset = _change_of_conditions(model, learnable, experiment)
    known = {parameter.name for parameter in model.parameters}
    new = tuple(p.name for p in learnable.parameters if p.name not in known)
    return Parent(model, columns, slope, offset, new)


def _adopted(path: Path, old: Column, new: Column, trials: xr.Dataset) -> Column:
    """The old scaling of a measurement, if the new trials' measurement is the same."""
    before, after, name = old.measurement, new.measurement, old.measurement.name
    for what in ("kind", "units", "dims", "shape", "support"):
        found, expected = getattr(after, what), getattr(before, what)
        if found != expected:
            raise ConfigError(
                f"{path}: measurement {name!r}: the model has {what} {_told(expected)}, the new "
                f"trials have {_told(found)}; describe it alike in experiment.toml"
            )
    if old.constraint != new.constraint:
        raise ConfigError(
            f"{path}: measurement {name!r}: the model was trained with the constraint "
            f"'{old.constraint}', the new trials have '{new.constraint}'; declare the same"
        )
    unknown = sorted(
        {str(v) for v in trials[name].values.ravel()} - {*before.categories, MISSING_CATEGORY}
        if before.kind == "categorical"
        else ()
    )
    if unknown:
        raise ConfigError(
            f"{path}: measurement {name!r}: the model cannot make the category {unknown[0]!r}"
            f"{suggestion(unknown[0], before.categories)}"
        )
    return replace(old, double=old.double or new.double)


def _told(value: Any) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else repr(value)


def _check_axes(model: Model, trials: xr.Dataset) -> None:
    """A signal sampled at other times is another measurement."""
    for name, known in model.manifest["coords"].items():
        if name not in trials.coords:
            continue
        found, expected = trials[name].values, np.asarray(known["values"])
        same = found.shape == expected.shape and (
            np.allclose(found, expected, rtol=1e-6, atol=1e-9 * np.ptp(expected))
            if expected.dtype.kind in "fiu"
            else bool((found == expected).all())
        )
        if not same or str(trials[name].attrs.get("units", "")) != known["units"]:
            raise ConfigError(
                f"{model.file.path}: the axis {name!r} is another one in the new trials; "
                "interpolate them onto the model's axis, in its units"
            )


def _check_parameters(model: Model, learnable: Learnable, experiment: Experiment) -> None:
    new = {parameter.name: parameter for parameter in learnable.parameters}
    for old in model.parameters:
        found = new.get(old.name)
        if found is not None and (found.kind, found.units) != (old.kind, old.units):
            raise ConfigError(
                f"{model.file.path}: parameter {old.name!r} is {old.kind} in {old.units!r} in the "
                f"model, {found.kind} in {found.units!r} in {experiment.path.name}; make them alike"
            )


def _change_of_conditions(
    model: Model, learnable: Learnable, experiment: Experiment
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How old conditions follow from new ones; see `Parent`.

    What the old model saw at one value only is taken to be there still; any other condition that
    is missing is refused.
    """
    features = model.manifest["features"]
    labels: Sequence[str] = features["labels"]
    center, scale = (np.array(features[key], np.float64) for key in ("center", "scale"))
    place = {label: i for i, label in enumerate(learnable.labels)}
    slope, offset = np.zeros((len(place), len(labels))), np.zeros(len(labels))
    reference = model.file.arrays(REFERENCE)["conditions"]
    parameters = {parameter.name for parameter in learnable.parameters}
    for i, label in enumerate(labels):
        if label in place:
            j = place[label]
            slope[j, i] = learnable.scale[j] / scale[i]
            offset[i] = (learnable.center[j] - center[i]) / scale[i]
        elif np.ptp(reference[:, i]) == 0:
            offset[i] = reference[0, i]
        else:
            missing = [p.name for p in model.parameters if p.name not in parameters]
            raise ConfigError(
                f"{model.file.path}: learned from {label!r}, which {experiment.path.name} does not "
                "give; add "
                + (f"the parameter {', '.join(missing)}" if missing else "it, or scale as there")
                + ": a value that is the same in all new trials will do"
            )
    return slope, offset
