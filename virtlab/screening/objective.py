"""What is wanted of a setting: a goal to maximize or minimize, and requirements to meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from virtlab.config import Params
from virtlab.errors import ConfigError
from virtlab.expressions.arithmetic import Known, Values
from virtlab.expressions.parsing import Expression, parse_goal, parse_requirement
from virtlab.trials import Measurement

Floats = NDArray[np.float64]
Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Objective:
    """What [objective] of params.toml asks for.

    Parameters
    ----------
    direction
        Of the goal.
    goal
        What to maximize or minimize; None where only requirements are given.
    require
        What each trial has to meet.
    """

    direction: Direction
    goal: Expression | None
    require: tuple[Expression, ...]

    @property
    def text(self) -> str:
        """In one line."""
        parts = [] if self.goal is None else [f"{self.direction} {self.goal.text}"]
        parts += [f"require {item.text}" for item in self.require]
        return ", ".join(parts)

    @property
    def names(self) -> frozenset[str]:
        """The measurements and parameters that it takes."""
        parts = self.require if self.goal is None else (self.goal, *self.require)
        return frozenset().union(*(part.names for part in parts))

    def goal_of(self, values: Values, shape: tuple[int, int]) -> Floats | None:
        """Value of the goal per virtual trial, ``(setting, trial)``; None without a goal."""
        if self.goal is None:
            return None
        return np.ascontiguousarray(np.broadcast_to(self.goal.evaluate(values), shape))

    def met_by(self, values: Values, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
        """Whether each virtual trial meets all requirements; None where there are none."""
        if not self.require:
            return None
        met = np.ones(shape, bool)
        for item in self.require:
            met &= item.evaluate(values)
        return met


def read_objective(params: Params, known: Known) -> Objective:
    """Understand [objective]; the faults of all its expressions are reported at once.

    Parameters
    ----------
    params
        With its table [objective].
    known
        The model's measurements and parameters, see `known_names`.

    Raises
    ------
    ConfigError
        There is none, or an expression cannot be used.
    """
    file, table = params.path.name, params.objective
    if table is None:
        raise ConfigError(
            f"{file}: no [objective]; say what to look for, e.g.\n"
            f'    [objective]\n    maximize = "{_example(known)}"'
        )
    faults: list[str] = []

    def parsed(parse: Callable[..., Expression], text: str, key: str) -> Expression | None:
        try:
            return parse(text, known, f"{file}: objective.{key}")
        except ConfigError as error:
            faults.append(str(error))
            return None

    direction: Direction = "maximize" if table.minimize is None else "minimize"
    wanted = table.maximize if table.minimize is None else table.minimize
    goal = None if wanted is None else parsed(parse_goal, wanted, direction)
    require = [
        parsed(parse_requirement, text, f"require[item {number}]")
        for number, text in enumerate(table.require, start=1)
    ]
    if faults:
        raise ConfigError("\n".join(faults))
    return Objective(direction, goal, tuple(item for item in require if item is not None))


def values_of(
    names: frozenset[str],
    settings: Mapping[str, NDArray[Any]],
    measurements: Mapping[str, NDArray[Any]],
) -> dict[str, Floats]:
    """Arrays as expressions take them: parameters ``(setting, 1)``, own dims flattened."""
    values = {}
    for name in names:
        if name in measurements:
            array = measurements[name]
            shape = array.shape if array.ndim == 2 else (*array.shape[:2], -1)
            values[name] = array.reshape(shape).astype(np.float64)
        else:
            values[name] = settings[name].astype(np.float64)[:, None]
    return values


def _example(known: Known) -> str:
    """A goal that this model could be asked for."""
    for name, item in known.items():
        if isinstance(item, Measurement) and item.kind != "categorical":
            return f"max({name})" if item.dims else name
    return "toughness"
