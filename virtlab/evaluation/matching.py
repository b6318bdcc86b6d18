"""New trials in a model's terms: its settings, its units, its measurements."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning import suggestion
from virtlab.errors import DataError, SettingError
from virtlab.trials import MISSING_CATEGORY, TRIAL, WEIGHT, Measurement

if TYPE_CHECKING:
    import xarray as xr

    from virtlab.simulation import Model

Array = NDArray[np.float64]

MOST_NAMED = 5  # categories told in a message
VARIED = 5  # different numbers in a trial that chance does not repeat


@dataclass(frozen=True)
class Matched:
    """New trials, ready to be held against virtual ones.

    Parameters
    ----------
    settings
        The distinct settings: one array ``(setting,)`` per parameter, in the model's units.
    setting
        Which of them each trial belongs to, ``(trial,)``.
    conditions
        Of the distinct settings, standardised, ``(setting, feature)``.
    real
        Each measurement in numbers, ``(trial, value)``; see `in_numbers`.
    weight
        How much each trial counts, 1 on average, ``(trial,)``.
    """

    settings: dict[str, NDArray[Any]]
    setting: NDArray[np.int64]
    conditions: NDArray[np.float32]
    real: dict[str, Array]
    weight: Array

    def at(self, chosen: NDArray[np.bool_]) -> Matched:
        """Those at some of the settings, ``(setting,)``, which are numbered anew."""
        rows = np.flatnonzero(chosen[self.setting])
        return Matched(
            settings={name: values[chosen] for name, values in self.settings.items()},
            setting=(np.cumsum(chosen) - 1)[self.setting[rows]],
            conditions=self.conditions[chosen],
            real={name: values[rows] for name, values in self.real.items()},
            weight=self.weight[rows] / self.weight[rows].mean(),
        )

    @cached_property
    def occurrence(self) -> NDArray[np.int64]:
        """Which of its setting's replicates each trial is: 0, 1, …, ``(trial,)``."""
        order = np.argsort(self.setting, kind="stable")
        starts = np.searchsorted(self.setting[order], self.setting[order])
        found = np.empty(len(order), np.int64)
        found[order] = np.arange(len(order)) - starts
        return found


def count_copies(matched: Matched) -> int:
    """Trials that equal another one of their setting in every value, as replicates never do.

    A trial of fewer than `VARIED` different numbers may do so by chance, and is not looked at.
    """
    values = np.concatenate(list(matched.real.values()), axis=1)
    ordered = np.sort(values, axis=1)
    varied = (np.diff(ordered, axis=1) > 0).sum(axis=1) + 1 >= VARIED
    known = np.where(np.isnan(values), np.inf, values)[varied]  # gaps are alike
    rows = np.concatenate([matched.setting[varied, None], known], axis=1)
    counts = np.unique(rows, axis=0, return_counts=True)[1]
    return int(counts[counts > 1].sum())


def match_trials(model: Model, trials: xr.Dataset) -> Matched:
    """Bring new trials into a model's terms.

    Raises
    ------
    DataError
        A parameter or a measurement is missing, of another kind, shape or axis, in units that
        cannot be converted, or a category that the model does not know.
    """
    where = where_from(trials)
    values = {}
    for parameter in model.parameters:
        if parameter.name not in trials.coords or trials[parameter.name].dims != (TRIAL,):
            known = [str(n) for n, c in trials.coords.items() if c.dims == (TRIAL,)]
            raise DataError(
                f"{where}: no parameter {parameter.name!r}, which the model was trained with"
                f"{suggestion(parameter.name, known)}"
            )
        values[parameter.name] = _in_units(
            trials[parameter.name], parameter.kind == "categorical", parameter.units, where
        )
    try:
        conditions = model.conditions(values)
    except SettingError as error:
        raise DataError(
            f"{where}: the model cannot be asked for these settings: {error}\n"
            "leave such trials out, or train a model that knows them"
        ) from error
    distinct, first, setting = np.unique(conditions, axis=0, return_index=True, return_inverse=True)
    return Matched(
        settings={name: column[first] for name, column in values.items()},
        setting=setting.ravel().astype(np.int64),
        conditions=distinct,
        real={m.name: _measured(model, m, trials, where) for m in model.measurements},
        weight=_weights(trials, where),
    )


def _weights(trials: xr.Dataset, where: str) -> Array:
    """Weights of the trials, 1 on average; all 1 where they have none."""
    if WEIGHT not in trials.coords:
        return np.ones(trials.sizes[TRIAL])
    weight = np.asarray(trials[WEIGHT].values, np.float64)
    if weight.shape != (trials.sizes[TRIAL],) or not (weight >= 0).all() or not weight.any():
        raise DataError(f"{where}: {WEIGHT}: expected one number of 0 or more per trial, not all 0")
    relative: Array = weight / weight.mean()
    return relative


def in_numbers(measurement: Measurement, values: NDArray[Any]) -> Array:
    """Values ``(trial, *shape)`` as numbers ``(trial, value)``, NaN where missing.

    A category becomes as many numbers as there are categories, one of them not zero, so that
    two different categories are 1 apart in the root mean square.
    """
    if measurement.kind != "categorical":
        return np.asarray(values, np.float64).reshape(len(values), measurement.size)
    levels = np.array(measurement.categories, dtype=object)
    texts = values.reshape(len(values)).astype(object)
    hot: Array = (texts[:, None] == levels).astype(np.float64) * math.sqrt(max(len(levels), 2) / 2)
    hot[texts == MISSING_CATEGORY] = np.nan
    return hot


def _measured(model: Model, measurement: Measurement, trials: xr.Dataset, where: str) -> Array:
    """One measurement's numbers, checked against what the model makes."""
    name = measurement.name
    if name not in trials.data_vars:
        known = [str(variable) for variable in trials.data_vars]
        raise DataError(
            f"{where}: no measurement {name!r}, which the model makes{suggestion(name, known)}"
        )
    variable = trials[name]
    own = tuple(str(dim) for dim in variable.dims if dim != TRIAL)
    if sorted(own) == sorted(measurement.dims):
        variable = variable.transpose(TRIAL, *measurement.dims)
    if (found := variable.shape[1:]) != measurement.shape or set(own) != set(measurement.dims):
        raise DataError(
            f"{where}: measurement {name!r} has {_shape(own, found)}, the model makes "
            f"{_shape(measurement.dims, measurement.shape)}; describe it alike in experiment.toml"
        )
    _check_axes(model, measurement, variable, where)
    categorical = measurement.kind == "categorical"
    values = _in_units(variable, categorical, measurement.units, where)
    if categorical:
        unknown = sorted(set(values.ravel()) - {*measurement.categories, MISSING_CATEGORY})
        if unknown:
            told = ", ".join(repr(text[:60]) for text in unknown[:MOST_NAMED])
            raise DataError(
                f"{where}: measurement {name!r} has categories that the model cannot make: {told}"
                f"{suggestion(unknown[0], measurement.categories)}"
            )
    return in_numbers(measurement, values)


def _in_units(variable: xr.DataArray, categorical: bool, units: str, where: str) -> NDArray[Any]:
    """Values as text, or as numbers in `units`."""
    from virtlab.storage.units import convert

    role = "parameter" if variable.name in variable.coords else "measurement"
    label = f"{where}: {role} {variable.name!r}"
    values = variable.values
    text = values.dtype.kind in "OSUT"
    if text and not categorical:
        raise DataError(f"{label} holds text, the model knows it as numbers")
    if categorical:
        if not text and role == "measurement":
            raise DataError(f"{label} holds numbers, the model knows it as categories")
        return values
    try:
        return convert(values.astype(np.float64), str(variable.attrs.get("units", "")), units)
    except DataError as error:
        raise DataError(f"{label}: {error}") from error


def _check_axes(model: Model, measurement: Measurement, variable: xr.DataArray, where: str) -> None:
    """A signal sampled at other times cannot be held against the model's entry by entry."""
    for dim in measurement.dims:
        known = model.manifest["coords"].get(dim)
        if known is None or dim not in variable.coords:
            continue
        wanted = np.asarray(known["values"])
        found = _in_units(variable.coords[dim], wanted.dtype.kind in "OSU", known["units"], where)
        same = found.shape == wanted.shape and (
            np.allclose(found, wanted, rtol=1e-6, atol=1e-9 * np.ptp(wanted))
            if wanted.dtype.kind in "fiu"
            else bool((found == wanted).all())
        )
        if not same:
            raise DataError(
                f"{where}: measurement {measurement.name!r} has another axis {dim!r} than the "
                "model was trained with; interpolate the new trials onto the model's axis"
            )


def _shape(dims: tuple[str, ...], shape: tuple[int, ...]) -> str:
    told = ", ".join(f"{dim}: {length}" for dim, length in zip(dims, shape, strict=True))
    return f"dims ({told})" if told else "no dims of its own"


def where_from(trials: xr.Dataset) -> str:
    """How messages call the new trials."""
    files = [str(file) for file in trials.attrs.get("files", [])]
    if not files:
        return "the new trials"
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"the new trials ({files[0]}{more})"
