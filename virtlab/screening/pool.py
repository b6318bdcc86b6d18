"""A lab's trials as a pool of settings to choose from, each with what the lab found there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning import Parameter, encode_parameter
from virtlab.config import Experiment, Params
from virtlab.design import Design
from virtlab.errors import ConfigError, DataError
from virtlab.expressions.parsing import known_names
from virtlab.screening.findings import LIKELY
from virtlab.screening.objective import Objective, read_objective, values_of
from virtlab.trials import TRIAL, measurements_of

if TYPE_CHECKING:
    import xarray as xr

Floats = NDArray[np.float64]
Places = NDArray[np.intp]


@dataclass(frozen=True)
class Pool:
    """Settings, and their trials.

    Parameters
    ----------
    parameters
        Of the settings, with all their categories.
    settings
        Distinct ones, ``(setting,)`` per parameter, in the order of the trials.
    setting
        Which of them each trial belongs to, ``(trial,)``.
    objective
        With one goal.
    goal
        Mean over the trials of each setting, larger is better, ``(setting,)``; NaN where no
        trial has a value.
    met
        Share of its trials that meet all requirements, ``(setting,)``.
    """

    parameters: tuple[Parameter, ...]
    settings: dict[str, NDArray[Any]]
    setting: Places
    objective: Objective
    goal: Floats
    met: Floats

    @property
    def size(self) -> int:
        """Number of settings."""
        return len(self.goal)

    @property
    def good(self) -> NDArray[np.bool_]:
        """Settings that yield a value and meet the requirements in at least half of the trials."""
        return np.isfinite(self.goal) & (self.met >= LIKELY)

    def best(self, places: Places) -> float:
        """Best goal among some settings that meet the requirements, in its sign; NaN: none."""
        good = places[self.good[places]]
        if not len(good):
            return float("nan")
        return float(self.objective.signs[0] * self.goal[good].max())

    def rows(self, places: Places) -> Places:
        """Which trials belong to some settings."""
        return np.flatnonzero(np.isin(self.setting, places))

    def design(self, places: Places) -> Design:
        """Some of the settings."""
        return Design({name: values[places] for name, values in self.settings.items()})

    @cached_property
    def features(self) -> tuple[Floats, Places]:
        """Settings as the generic conditioner encodes them, and each feature's parameter.

        Returns
        -------
        features, parameter
            Shape ``(setting, feature)`` and ``(feature,)``.
        """
        columns: list[Floats] = []
        of: list[int] = []
        for number, parameter in enumerate(self.parameters):
            encoded = encode_parameter(self.settings[parameter.name], parameter)
            columns += [np.asarray(values, np.float64) for values in encoded.values()]
            of += [number] * len(encoded)
        return np.stack(columns, axis=1), np.array(of, np.intp)


def make_pool(experiment: Experiment, trials: xr.Dataset, params: Params) -> Pool:
    """Evaluate the objective of params.toml in a lab's own trials.

    Raises
    ------
    ConfigError
        The objective cannot be read, or has not exactly one goal.
    DataError
        No setting has a value and meets what is required.
    """
    parameters = tuple(_parameter(experiment, trials, name) for name in experiment.parameters)
    coords = {
        str(name): {"dims": list(coord.dims), "values": coord.values, "units": ""}
        for name, coord in trials.coords.items()
        if TRIAL not in coord.dims
    }
    objective = read_objective(params, known_names(measurements_of(trials), parameters, coords))
    if len(objective.goals) != 1:
        raise ConfigError(
            f"{params.path.name}: a backtest follows one goal, found {len(objective.goals)}; give "
            "one of maximize, minimize and target"
        )
    own = {parameter.name: trials[parameter.name].values for parameter in parameters}
    keys = list(zip(*(values.tolist() for values in own.values()), strict=True))
    number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    setting = np.array([number[key] for key in keys], np.intp)
    first = np.unique(setting, return_index=True)[1]
    arrays = {str(name): values.values[:, None] for name, values in trials.data_vars.items()}
    values = values_of(objective.names, own, arrays)
    shape = (len(setting), 1)
    goal = objective.signs[0] * objective.values_of(values, shape)[0, :, 0]
    whole = np.isfinite(goal)
    met = objective.met_by(values, shape)[:, 0] & whole
    counts = np.bincount(setting, whole)
    pool = Pool(
        parameters=parameters,
        settings={name: values[first] for name, values in own.items()},
        setting=setting,
        objective=objective,
        goal=np.where(
            counts > 0,
            np.bincount(setting, np.where(whole, goal, 0)) / np.maximum(counts, 1),
            np.nan,
        ),
        met=np.bincount(setting, met) / np.bincount(setting),
    )
    if not pool.good.any():
        raise DataError(
            f"{experiment.path.name}: none of {pool.size:,} settings has a value and meets what "
            f"{params.path.name} requires; there is no winner to find"
        )
    return pool


def _parameter(experiment: Experiment, trials: xr.Dataset, name: str) -> Parameter:
    table, variable = experiment.parameters[name], trials[name]
    kind = variable.attrs["kind"]
    categories = tuple(sorted({str(value) for value in variable.values}))
    return Parameter(
        name,
        kind,
        str(variable.attrs.get("units", "")),
        scale=table.scale,
        period=table.period,
        categories=categories if kind == "categorical" else (),
    )
