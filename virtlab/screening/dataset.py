"""A screen as a labelled Dataset: settings in their order, and where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.conditioning import Parameter
from virtlab.config import Params
from virtlab.design import Design
from virtlab.errors import ConfigError
from virtlab.screening.findings import Findings, rank
from virtlab.screening.objective import Objective
from virtlab.trials import SETTING

if TYPE_CHECKING:  # whoever only asks for help must not pay for xarray
    import xarray as xr

    from virtlab.simulation import Model

_LONG_NAMES = {
    "rank": "place among the settings that are not outside the training data; 0: outside",
    "expected_objective": "expected value of the objective",
    "objective_low": "lower end of the 90 % interval of the expected objective",
    "objective_high": "upper end of the 90 % interval of the expected objective",
    "objective_noise": "standard deviation between trials of one ensemble member",
    "objective_ignorance": "standard deviation between the members' means",
    "require_probability": "probability that a trial meets all requirements",
    "require_probability_error": "its standard error, members being the independent units",
    "domain": "whether the setting lies inside the training data",
    "domain_distance": "distance to the nearest training setting; up to 1 is inside the data",
}


def check_names(parameters: Sequence[Parameter]) -> None:
    """See that a result can hold the parameters beside what is found.

    Raises
    ------
    ConfigError
        A parameter has the name of a result.
    """
    for parameter in parameters:
        if parameter.name in _LONG_NAMES:
            raise ConfigError(
                f"the parameter {parameter.name!r} has a name that a screen's result needs; give "
                "it another in experiment.toml and train again"
            )


def make_dataset(
    model: Model, design: Design, objective: Objective, findings: Findings, params: Params
) -> xr.Dataset:
    """Rank and label what was found.

    Returns
    -------
    xr.Dataset
        Dim ``setting``: best first, then, with rank 0, those outside the data, nearest first.
        Parameters are its coordinates; attrs are those of virtual trials, and the objective.
    """
    import xarray as xr

    from virtlab.simulation.labels import provenance

    order, ranked = rank(objective, findings)
    place = np.zeros(len(order), np.int64)
    place[:ranked] = np.arange(1, ranked + 1)
    data: dict[str, Any] = {"rank": (SETTING, place, {"long_name": _LONG_NAMES["rank"]})}
    for name, values in _columns(findings).items():
        attrs = {"long_name": _LONG_NAMES[name]}
        if name.startswith(("expected_", "objective_")) and objective.goal is not None:
            attrs |= {"units": objective.goal.units} if objective.goal.units else {}
        elif name != "domain":
            attrs["units"] = "1"
        data[name] = (SETTING, values[order], attrs)
    coords = {
        parameter.name: (
            SETTING,
            design.settings[parameter.name][order],
            {"units": parameter.units or "1"} if parameter.kind != "categorical" else {},
        )
        for parameter in model.parameters
    }
    attrs = provenance(model, params.seed, params.text) | {
        "title": f"screen: {model.manifest['experiment']['name']}",
        "objective": objective.text,
        "trials_per_setting": params.trials,
        "members": model.runtime.members,
    }
    return xr.Dataset(data, coords, attrs)


def _columns(findings: Findings) -> dict[str, Any]:
    """What was found, by the names that the result has for it."""
    goal = findings.expectation
    columns = {
        "expected_objective": None if goal is None else goal.mean,
        "objective_low": None if goal is None else goal.low,
        "objective_high": None if goal is None else goal.high,
        "objective_noise": None if goal is None else goal.noise,
        "objective_ignorance": None if goal is None else goal.ignorance,
        "require_probability": findings.probability,
        "require_probability_error": findings.probability_error,
        "domain": findings.domain,
        "domain_distance": findings.domain_distance,
    }
    return {name: values for name, values in columns.items() if values is not None}
