"""A screen as a labelled Dataset: settings in their order, and where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.conditioning import Parameter
from virtlab.config import Params
from virtlab.design import Design
from virtlab.errors import ConfigError
from virtlab.screening.best import Best
from virtlab.screening.findings import Findings, Order
from virtlab.screening.objective import Floats, Objective
from virtlab.screening.suggestion import Suggestion
from virtlab.trials import SETTING

if TYPE_CHECKING:  # whoever only asks for help must not pay for xarray
    import xarray as xr

    from virtlab.simulation import Model

GOAL = "goal"

_LONG_NAMES = {
    "rank": "place among the settings that are not outside the training data; 0: outside",
    "front": "1: on the Pareto front of the expected goals, 2: on that of the rest, …; 0: too "
    "unlikely to meet all requirements, or outside the training data",
    "front_probability": "probability of standing on the Pareto front, in draws of what the "
    "expected objectives may truly be",
    "best_probability": "probability of having the best expected objective, in such draws",
    "expected_objective": "expected value of the objective",
    "objective_low": "lower end of the 90 % interval of the expected objective",
    "objective_high": "upper end of the 90 % interval of the expected objective",
    "objective_noise": "standard deviation between trials of one ensemble member",
    "objective_ignorance": "standard deviation between the members' means beyond what noise "
    "makes of it; 0: lost in noise",
    "objective_ignorance_high": "upper end of its one-sided 95 % interval",
    "objective_shared": "standard deviation of what all members may miss together, beyond their "
    "disagreement, as large as out of fold; 0: no more, or not known",
    "require_probability": "probability that a trial meets all requirements",
    "require_probability_error": "its standard error: the truth taken for one more member, and "
    "what all members may miss of the margins together, as far as that is known",
    "improvement_probability": "probability that a trial meets all requirements and beats the "
    "best measured one",
    "expected_improvement": "by how much on average, 0 where it does not",
    "replicates": "trials that tell the expected objective from the best setting's, each having as "
    "many, or from the threshold; inf: more than were tried or simulated",
    "cost": "of a trial",
    "suggested": "number in the batch that is suggested to be run next; 0: not suggested",
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
        if parameter.name in (GOAL, f"{GOAL}_units", *_LONG_NAMES):
            raise ConfigError(
                f"the parameter {parameter.name!r} has a name that a screen's result needs; give "
                "it another in experiment.toml and train again"
            )


def make_dataset(
    model: Model,
    design: Design,
    objective: Objective,
    findings: Findings,
    order: Order,
    params: Params,
    best: Best | None = None,
    needed: Floats | None = None,
    suggestion: Suggestion | None = None,
) -> xr.Dataset:
    """Rank and label what was found.

    Parameters
    ----------
    best
        What the best measured trials have reached, if that is known.
    needed
        Replicates, by rank.

    Returns
    -------
    xr.Dataset
        Dim ``setting``: best first, then, with rank 0, those outside the data, nearest first;
        of several goals also dim ``goal``. Parameters are coordinates on ``setting``; attrs are
        those of virtual trials, and the objective.
    """
    import xarray as xr

    from virtlab.simulation.labels import provenance

    settings = order.settings
    place = np.zeros(len(settings), np.int64)
    place[: order.ranked] = np.arange(1, order.ranked + 1)
    data: dict[str, Any] = {"rank": (SETTING, place, {"long_name": _LONG_NAMES["rank"]})}
    units = {goal.expression.units for goal in objective.goals}
    common = units.pop() if len(units) == 1 else ""
    for name, values in _columns(findings, order, needed).items():
        attrs = {"long_name": _LONG_NAMES[name]}
        if name.startswith(("expected_", "objective_")):
            attrs |= {"units": common} if common else {}
        elif name not in ("domain", "cost"):
            attrs["units"] = "1"
        dims = SETTING if values.ndim == 1 else (SETTING, GOAL)
        data[name] = (dims, values[settings], attrs)
    if suggestion is not None:
        said = {"long_name": _LONG_NAMES["suggested"]}
        data["suggested"] = (SETTING, suggestion.order(design.size)[settings], said)
    about: dict[str, Any] = provenance(model, params.seed, params.text) | {
        "title": f"screen: {model.manifest['experiment']['name']}",
        "objective": objective.text,
        "goals": "\n".join(goal.text for goal in objective.goals),
        "goal_names": "\n".join(goal.name for goal in objective.goals),
        "require": "\n".join(item.text for item in objective.require),
        "trials_per_setting": params.trials,
        "members": model.runtime.members,
    }
    if needed is not None:
        level = objective.threshold
        about["replicates_against"] = "that of rank 1" if level is None else f"{level:g}"
        about["replicates_power"] = objective.power
    if best is not None:
        about["best_measured_source"] = best.source
        about |= {"best_measured": best.values.ravel().tolist()} if len(best.values) else {}
    return xr.Dataset(data, _coords(model, design, objective, order), about)


def parameters_of(dataset: xr.Dataset) -> list[str]:
    """Names of the parameters in a screen's dataset."""
    return [str(name) for name, values in dataset.coords.items() if values.dims == (SETTING,)]


def _coords(model: Model, design: Design, objective: Objective, order: Order) -> dict[str, Any]:
    """Parameters, and the goals where there are several."""
    coords: dict[str, Any] = {
        parameter.name: (
            SETTING,
            design.settings[parameter.name][order.settings],
            {"units": parameter.units or "1"} if parameter.kind != "categorical" else {},
        )
        for parameter in model.parameters
    }
    if len(objective.goals) > 1:
        coords[GOAL] = np.array([goal.text for goal in objective.goals], object)
        units = [goal.expression.units for goal in objective.goals]
        coords[f"{GOAL}_units"] = (GOAL, np.array(units, object))
    return coords


def _columns(findings: Findings, order: Order, needed: Floats | None) -> dict[str, Any]:
    """What was found, by the names that the result has for it; a single goal has no axis."""
    first = "best_probability" if order.front is None else "front_probability"
    columns: dict[str, Any] = {"front": order.front, first: order.first}
    if (goals := findings.expectation) is not None:
        found = {
            "expected_objective": goals.mean,
            "objective_low": goals.low,
            "objective_high": goals.high,
            "objective_noise": goals.noise,
            "objective_ignorance": goals.ignorance,
            "objective_ignorance_high": goals.ignorance_high,
            "objective_shared": goals.shared,
        }
        one = goals.mean.shape[1] == 1
        columns |= {name: values[:, 0] if one else values for name, values in found.items()}
    columns |= {
        "require_probability": findings.probability,
        "require_probability_error": findings.probability_error,
        "improvement_probability": findings.better,
        "expected_improvement": findings.improvement,
        "replicates": None if needed is None else _by_setting(needed, order),
        "cost": findings.cost,
        "domain": findings.domain,
        "domain_distance": findings.domain_distance,
    }
    return {name: values for name, values in columns.items() if values is not None}


def _by_setting(ranked: Floats, order: Order) -> Floats:
    """What is known of the first by rank, in the design's order; NaN for the others."""
    found = np.full(len(order.settings), np.nan)
    found[order.settings[: len(ranked)]] = ranked
    return found
