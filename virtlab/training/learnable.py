"""Trials made ready for the networks: settings encoded, measurements scaled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from virtlab import plugins
from virtlab.conditioning import (
    Conditions,
    Constraint,
    Parameter,
    bind,
    condition,
    constraints_of,
    refuse_broken,
)
from virtlab.config import Experiment
from virtlab.errors import DataError
from virtlab.scaling import Column, fit_columns
from virtlab.trials import TRIAL, Measurement, measurements_of, name_of_trial, settings_of

if TYPE_CHECKING:
    import xarray as xr


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

    def encode(self, trials: xr.Dataset, experiment: Experiment) -> NDArray[np.float32]:
        """Conditions of other trials, as `conditions`: ``(trial, feature)``.

        Raises
        ------
        VirtlabError
            The conditioner cannot encode them.
        """
        encoded = _encoded(trials, experiment, self.parameters)
        return ((encoded.values - self.center) / self.scale).astype(np.float32)


def make_learnable(
    trials: xr.Dataset, experiment: Experiment, known: Sequence[Parameter] = ()
) -> Learnable:
    """Encode the settings and choose how to scale the measurements.

    Categories of parameters that are `known` from before are known, too.

    Raises
    ------
    VirtlabError
        The conditioner cannot encode the settings, or they are all the same.
    """
    before: dict[str, set[str]] = {name: set() for name in experiment.parameters}
    for parameter in known:
        before.setdefault(parameter.name, set()).update(parameter.categories)
    parameters = tuple(
        _parameter(trials, experiment, name, before[name]) for name in experiment.parameters
    )
    encoded = _encoded(trials, experiment, parameters)
    center, scale = _standard(encoded.values)
    conditions = ((encoded.values - center) / scale).astype(np.float32)
    setting = np.unique(conditions, axis=0, return_inverse=True)[1].ravel().astype(np.int64)
    if not setting.any():
        told = ", ".join(f"{p.name} = {trials[p.name].values[0]}" for p in parameters)
        raise DataError(
            f"{experiment.path.name}: all {len(setting):,} trials are at one setting ({told}); "
            "expected trials at two settings or more: nothing can be learned from one, nor held out"
        )
    columns = _columns(trials, experiment, parameters)
    return Learnable(parameters, encoded.labels, center, scale, columns, conditions, setting)


def _encoded(
    trials: xr.Dataset, experiment: Experiment, parameters: Sequence[Parameter]
) -> Conditions:
    conditioner = plugins.conditioner(experiment.experiment.conditioner)
    settings = {p.name: trials[p.name].values for p in parameters}
    return condition(conditioner, settings, parameters, experiment.conditioner)


def _columns(
    trials: xr.Dataset, experiment: Experiment, parameters: tuple[Parameter, ...]
) -> tuple[Column, ...]:
    """Choose how to scale the measurements, once their constraints are seen to hold."""
    measurements = measurements_of(trials)
    bound, bonds = bind(_declared(experiment, measurements, parameters), measurements, parameters)
    check_constraints(trials, experiment, bound, parameters)
    return fit_columns(trials, bound, bonds)


def check_constraints(
    trials: xr.Dataset,
    experiment: Experiment,
    measurements: Sequence[Measurement],
    parameters: tuple[Parameter, ...],
) -> None:
    """Refuse trials that break a constraint on their measurements.

    Raises
    ------
    DataError
        See `virtlab.conditioning.refuse_broken`.
    """
    by_name = {measurement.name: measurement for measurement in measurements}
    declared = _declared(experiment, measurements, parameters)
    names = [name_of_trial(trials, i) for i in range(trials.sizes[TRIAL])] if declared else []
    for constraint in declared:
        values = trials[constraint.measurement].values
        measurement = by_name[constraint.measurement]
        refuse_broken(constraint, measurement, values, settings_of(trials), names)


def _declared(
    experiment: Experiment, measurements: Sequence[Measurement], parameters: tuple[Parameter, ...]
) -> tuple[Constraint, ...]:
    """Constraints of experiment.toml and of the conditioner."""
    conditioner = plugins.conditioner(experiment.experiment.conditioner)
    more = constraints_of(conditioner, measurements, parameters, experiment.conditioner)
    return (*experiment.constraints(), *more)


def _parameter(trials: xr.Dataset, experiment: Experiment, name: str, known: set[str]) -> Parameter:
    """One parameter, with kind, units and categories as the trials have them."""
    table, variable = experiment.parameters[name], trials[name]
    categories: tuple[str, ...] = ()
    if variable.attrs["kind"] == "categorical":
        categories = tuple(sorted({*known, *(str(value) for value in variable.values)}))
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
    # One that never varies is told from another value by how far that is off, whatever the unit.
    scale = np.where(scale > 0, scale, np.where(mean == 0, 1, np.abs(mean)))
    return np.where(indicator, 0.5, mean), np.where(indicator, 0.5, scale)
