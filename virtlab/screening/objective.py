"""What is wanted of a setting: goals to reach, requirements to meet, and what a trial costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning import Parameter
from virtlab.config import Params
from virtlab.config.params import ObjectiveTable
from virtlab.errors import ConfigError
from virtlab.expressions.arithmetic import Known, Values
from virtlab.expressions.parsing import Expression, known_names, parse_goal, parse_requirement
from virtlab.screening.numerals import cell
from virtlab.trials import Measurement

if TYPE_CHECKING:
    from virtlab.simulation import Model

Floats = NDArray[np.float64]
TINY = float(np.finfo(float).tiny)
Direction = Literal["maximize", "minimize", "target"]


@dataclass(frozen=True)
class Goal:
    """One thing to reach.

    Parameters
    ----------
    direction
        Of the expression.
    expression
        What is to be large, small or near its target, in each trial.
    target
        The value that it should have; the goal is then the distance from it, to minimize.
    """

    direction: Direction
    expression: Expression
    target: float | None = None

    @property
    def name(self) -> str:
        """What is measured: the expression, or its distance from the target."""
        if self.target is None:
            return self.expression.text
        return f"abs({self.expression.text} - {self.target:g})"

    @property
    def text(self) -> str:
        """In words of params.toml."""
        said = f"{self.direction} {self.expression.text}"
        return said if self.target is None else f"{said} = {self.target:g}"

    @property
    def sign(self) -> float:
        """Times a value: the larger, the better."""
        return 1.0 if self.direction == "maximize" else -1.0

    def limits(self, known: Known) -> tuple[float, float]:
        """Lowest and highest possible value: of a distance, a category or a single measurement."""
        item = known.get(self.expression.text)
        if self.target is not None:
            return 0.0, np.inf
        if isinstance(item, Measurement):
            return item.support
        names = [known[name].kind for name in self.expression.names]
        return (0.0, 1.0) if names == ["categorical"] else (-np.inf, np.inf)

    def of(self, values: Values, shape: tuple[int, int]) -> Floats:
        """Value per trial, ``(setting, trial)``; of a target the distance from it."""
        found = np.broadcast_to(self.expression.evaluate(values), shape)
        return np.array(found if self.target is None else np.abs(found - self.target))


@dataclass(frozen=True)
class Objective:
    """What [objective] of params.toml asks for.

    Parameters
    ----------
    goals
        In the order maximize, minimize, target; none where only requirements are given.
    require
        What each trial has to meet.
    cost
        Of a trial, an expression over parameters; None: all cost the same.
    best
        What the best trial measured so far has reached, a number per goal, if that was given.
    threshold
        A value of the only goal, to tell settings from.
    power
        How often replicates should tell them.
    """

    goals: tuple[Goal, ...]
    require: tuple[Expression, ...]
    cost: Expression | None = None
    best: tuple[float, ...] | None = None
    threshold: float | None = None
    power: float = 0.8

    @property
    def text(self) -> str:
        """In one line."""
        parts = [goal.text for goal in self.goals]
        parts += [f"require {item.text}" for item in self.require]
        return ", ".join(parts + ([] if self.cost is None else [f"cost {self.cost.text}"]))

    @property
    def names(self) -> frozenset[str]:
        """The measurements and parameters in goals and requirements."""
        parts = (*(goal.expression for goal in self.goals), *self.require)
        return frozenset().union(*(part.names for part in parts))

    @property
    def signs(self) -> Floats:
        """Of each goal, ``(goal,)``: times a value, the larger is the better."""
        return np.array([goal.sign for goal in self.goals])

    @property
    def margins(self) -> Objective:
        """By how much requirements are met, as goals: of those that can be met more or less."""
        return Objective(
            tuple(
                Goal("maximize", replace(item, evaluate=item.margin))
                for item in self.require
                if item.margin is not None
            ),
            (),
        )

    def limits(self, known: Known) -> Floats:
        """Lowest and highest possible value of each goal, ``(2, goal)``; infinite if not plain."""
        return np.array([goal.limits(known) for goal in self.goals]).reshape(-1, 2).T

    def values_of(self, values: Values, shape: tuple[int, int]) -> Floats:
        """Value of each goal in each trial, ``(goal, setting, trial)``."""
        found = [goal.of(values, shape) for goal in self.goals]
        return np.stack(found) if found else np.empty((0, *shape))

    def met_by(self, values: Values, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Whether each trial meets all requirements, ``(setting, trial)``."""
        met = np.ones(shape, bool)
        for item in self.require:
            met &= item.evaluate(values)
        return met

    def margins_of(self, values: Values, shape: tuple[int, int]) -> Floats:
        """By how much each trial meets each requirement, ``(requirement, setting, trial)``.

        Above 0 exactly where it is met; infinite where there is no more or less.
        """
        found = np.empty((len(self.require), *shape))
        for own, item in zip(found, self.require, strict=True):
            met = np.broadcast_to(item.evaluate(values), shape)
            margin = np.where(met, np.inf, -np.inf) if item.margin is None else item.margin(values)
            own[:] = np.where(met, np.maximum(margin, TINY), np.minimum(margin, -TINY))
        return found

    def cost_of(self, settings: Mapping[str, NDArray[Any]], where: str) -> Floats:
        """Cost of a trial at each setting, ``(setting,)``; 1 where none is asked for.

        Raises
        ------
        ConfigError
            Some setting's is no number above 0.
        """
        size = len(next(iter(settings.values())))
        if self.cost is None:
            return np.ones(size)
        values = values_of(self.cost.names, settings, {})
        cost: Floats = np.array(np.broadcast_to(self.cost.evaluate(values), (size, 1))[:, 0])
        bad = np.flatnonzero(~(np.isfinite(cost) & (cost > 0)))
        if len(bad):
            raise ConfigError(
                f"{where}: objective.cost: {self.cost.text} is {cost[bad[0]]:g} at "
                f"{told(settings, int(bad[0]))}; expected a number above 0 at every setting"
            )
        return cost


class Reading:
    """Understands the expressions of a table, and keeps what is wrong with each."""

    def __init__(self, file: str, known: Known) -> None:
        self._file, self._known = file, known
        self.faults: list[str] = []

    def goals(self, table: ObjectiveTable) -> list[Goal]:
        """Those that can be understood."""
        found: list[Goal] = []
        directions: tuple[Direction, Direction] = ("maximize", "minimize")
        for direction in directions:
            texts = getattr(table, direction)
            for number, text in enumerate(texts, start=1):
                key = direction if len(texts) == 1 else f"{direction}[item {number}]"
                found += [Goal(direction, item) for item in self._parsed(parse_goal, text, key)]
        for text, value in table.target.items():
            found += [
                Goal("target", item, value) for item in self._parsed(parse_goal, text, "target")
            ]
        return found

    def requirements(self, texts: list[str]) -> list[Expression]:
        """Those that can be understood."""
        return [
            item
            for number, text in enumerate(texts, start=1)
            for item in self._parsed(parse_requirement, text, f"require[item {number}]")
        ]

    def cost(self, text: str | None) -> Expression | None:
        """Understand what is known before a trial is run."""
        if text is None:
            return None
        known = Known({n: item for n, item in self._known.items() if isinstance(item, Parameter)})
        return next(iter(self._parsed(parse_goal, text, "cost", known)), None)

    def _parsed(
        self, parse: Callable[..., Expression], text: str, key: str, known: Known | None = None
    ) -> list[Expression]:
        try:
            return [parse(text, known or self._known, f"{self._file}: objective.{key}")]
        except ConfigError as error:
            self.faults.append(str(error))
            return []


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
    reading = Reading(file, known)
    goals, require = reading.goals(table), reading.requirements(table.require)
    cost = reading.cost(table.cost)
    if reading.faults:
        raise ConfigError("\n".join(reading.faults))
    return Objective(
        tuple(goals),
        tuple(require),
        cost,
        None if table.best is None else tuple(table.best),
        table.threshold,
        table.power,
    )


def names_of(model: Model) -> Known:
    """What an objective may name."""
    return known_names(model.measurements, model.parameters, model.manifest["coords"])


def values_of(
    names: frozenset[str],
    settings: Mapping[str, NDArray[Any]],
    measurements: Mapping[str, NDArray[Any]],
) -> dict[str, NDArray[Any]]:
    """Arrays as expressions take them: parameters ``(setting, 1)``, own dims flattened."""
    values: dict[str, NDArray[Any]] = {}
    for name in names:
        if name in measurements:
            array = measurements[name]
            array = array if array.ndim == 2 else array.reshape(*array.shape[:2], -1)
        else:
            array = settings[name][:, None]
        values[name] = array if array.dtype == object else array.astype(np.float64)
    return values


def told(settings: Mapping[str, NDArray[Any]], at: int) -> str:
    """One setting in words: ``stiffness = 40, drag = 0.4``."""
    return ", ".join(f"{name} = {cell(values[at])}" for name, values in settings.items())


def _example(known: Known) -> str:
    """A goal that this model could be asked for."""
    for name, item in known.items():
        if isinstance(item, Measurement) and item.kind != "categorical":
            return f"max({name})" if item.dims else name
    return "toughness"
