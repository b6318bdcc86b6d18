"""The tables of params.toml: what to simulate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, PrivateAttr, Tag

from virtlab.config.tables import Document, Fault, Name, Seed, Table, Text

DesignName = Literal["grid", "zip", "sobol", "latin-hypercube", "table"]
MOST_SETTINGS = 10**7


class Range(Table):
    """One parameter's values in params.toml, as a table.

    Steps from start to stop (with num or step), or anything from low to high.
    """

    start: float | None = None
    stop: float | None = None
    num: Annotated[int, Field(ge=1, le=MOST_SETTINGS)] | None = None
    step: float | None = None
    low: float | None = None
    high: float | None = None
    scale: Literal["linear", "log"] = "linear"

    def faults(self) -> Iterator[Fault]:
        """Find other than start, stop and one of num and step; or low and high."""
        stepped = [k for k in ("start", "stop", "num", "step") if getattr(self, k) is not None]
        between = [k for k in ("low", "high") if getattr(self, k) is not None]
        if stepped and between:
            found = ", ".join(stepped + between)
            yield (), f"expected start, stop and num (or step), or low and high; found {found}"
        elif between:
            yield from self._between_faults()
        else:
            yield from self._stepped_faults()

    def _between_faults(self) -> Iterator[Fault]:
        if self.low is None or self.high is None:
            yield ("high" if self.high is None else "low",), "missing; a range has low and high"
        elif self.low >= self.high:
            yield (), f"expected low below high, found {self.low:g} and {self.high:g}"
        elif self.scale == "log" and self.low <= 0:
            yield ("low",), f'scale = "log" needs values above 0, found {self.low:g}'

    def _stepped_faults(self) -> Iterator[Fault]:
        if self.start is None or self.stop is None:
            key = "start" if self.start is None else "stop"
            yield (key,), "missing; write { start = …, stop = …, num = … } or { low = …, high = … }"
            return
        if self.num is None and self.step is None:
            yield ("num",), "missing; say how many values, or give a step"
        if self.num is not None and self.step is not None:
            yield ("step",), "give num or step, not both"
        if self.num == 1 and self.start != self.stop:
            yield ("num",), "one value cannot reach from start to stop; write num = 2 or more"
        if self.scale == "log" and (self.start <= 0 or self.stop <= 0):
            yield (), f'scale = "log" needs values above 0, found {self.start:g} to {self.stop:g}'
        if self.step is not None:
            yield from self._step_faults(self.step, self.stop - self.start)

    def _step_faults(self, step: float, span: float) -> Iterator[Fault]:
        if self.scale == "log":
            yield ("step",), 'scale = "log" takes num, not step'
        elif step == 0 or span / step < 0:
            yield ("step",), f"steps of {step:g} never lead from {self.start:g} to {self.stop:g}"
        elif span / step > MOST_SETTINGS:
            yield ("step",), f"steps of {step:g} are too many: at most {MOST_SETTINGS:,} values"


def _scalar(value: object) -> object:
    """Pass a number, a text or true/false; whole numbers become floats."""
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError as error:
            raise ValueError("expected a number below 1e308") from error
        if math.isfinite(number):
            return number
        raise ValueError("expected a finite number")
    raise ValueError("expected a number or a text in quotes")


def _one_type(values: list[float | str | bool]) -> list[float | str | bool]:
    if len({type(value) for value in values}) > 1:
        raise ValueError("expected numbers only or texts only")
    return values


def _form(value: object) -> str:
    """Tell which of the three forms of a parameter's values this is."""
    if isinstance(value, Mapping | Range):
        return "<range>"
    return "<list>" if isinstance(value, list) else "<value>"


Scalar = Annotated[float | str | bool, BeforeValidator(_scalar)]
Listed = Annotated[list[Scalar], Field(min_length=1), AfterValidator(_one_type)]
Values = Annotated[
    Annotated[Range, Tag("<range>")]
    | Annotated[Listed, Tag("<list>")]
    | Annotated[Scalar, Tag("<value>")],
    Discriminator(_form),
]


def _listed(value: object) -> object:
    """A text or number alone is a list of one."""
    return [value] if isinstance(value, str | int | float) else value


Texts = Annotated[list[Text], BeforeValidator(_listed)]
Numbers = Annotated[list[float], Field(min_length=1), BeforeValidator(_listed)]


class ObjectiveTable(Table):
    """[objective], used by `virtlab screen`."""

    maximize: Texts = Field(default_factory=list)
    minimize: Texts = Field(default_factory=list)
    """An expression, or a list of them: several goals have a Pareto front."""
    target: dict[Text, float] = Field(default_factory=dict)
    """Expression and the value that it should have."""
    require: list[Text] = Field(default_factory=list)
    cost: Text | None = None
    """Of a trial: an expression over parameters."""
    best: Numbers | None = None
    """What the best trial measured so far has reached, one number per goal."""
    threshold: float | None = None
    """Value to tell each setting's from by replicates; None: that of the best setting."""
    power: Annotated[float, Field(ge=0.5, le=0.99)] = 0.8
    """How often the replicates should tell it."""

    @property
    def goals(self) -> int:
        """How many there are."""
        return len(self.maximize) + len(self.minimize) + len(self.target)

    def faults(self) -> Iterator[Fault]:
        """Find a table that wants nothing, and what does not fit the number of goals."""
        if not self.goals and not self.require:
            yield (), 'expected maximize, minimize, target or require, e.g. maximize = "toughness"'
        if self.best is not None and len(self.best) != self.goals:
            yield (
                ("best",),
                f"expected a number for each of the {self.goals} goals, in the order maximize, "
                f"minimize, target; found {len(self.best)}",
            )
        if self.threshold is not None and self.goals != 1:
            yield ("threshold",), f"needs exactly one goal, found {self.goals}"
        goals = [*self.maximize, *self.minimize, *self.target]
        for text in dict.fromkeys(text for text in goals if goals.count(text) > 1):
            yield (), f"{text!r} stands in it twice, and can be only one goal"


def _output(path: str) -> str:
    if not path.endswith((".nc", ".zarr", ".h5", ".parquet")):
        raise ValueError("expected a file name that ends in .nc, .zarr, .h5 or .parquet")
    return path


class Params(Document):
    """params.toml: what to simulate."""

    model: Text
    trials: Annotated[int, Field(ge=1, le=10**9)] = 100
    """Virtual trials per setting."""
    seed: Seed = 0
    output: Annotated[Text, AfterValidator(_output)] | None = None
    design: DesignName = "grid"
    size: Annotated[int, Field(ge=1, le=MOST_SETTINGS)] | None = None
    """Number of settings, for sobol and latin-hypercube."""
    file: Text | None = None
    """CSV of settings, for the table design."""
    parameters: dict[Name, Values] = Field(default_factory=dict)
    objective: ObjectiveTable | None = None

    _path: Path = PrivateAttr(default=Path("params.toml"))

    @classmethod
    def faults_between(cls, document: Mapping[str, Any]) -> Iterator[Fault]:
        """Find what the design misses, and what it would ignore."""
        design = document.get("design", "grid")
        if design in ("sobol", "latin-hypercube") and "size" not in document:
            yield ("size",), f'missing; design = "{design}" needs it, e.g. size = 256'
        if design in ("grid", "zip", "table") and "size" in document:
            yield ("size",), f'design = "{design}" has no size; remove it, or use design = "sobol"'
        if design == "table" and "file" not in document:
            yield ("file",), 'missing; design = "table" needs it, e.g. file = "candidates.csv"'
        if design in ("grid", "zip", "sobol", "latin-hypercube") and "file" in document:
            yield ("file",), f'design = "{design}" reads no file; use design = "table"'
