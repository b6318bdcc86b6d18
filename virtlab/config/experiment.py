"""The tables of experiment.toml: what the lab files hold, and how to learn from them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr

from virtlab.conditioning import (
    Constraint,
    Direction,
    Monotone,
    ParameterKind,
    Scale,
    Sum,
    suggestion,
)
from virtlab.conditioning.constraints import TOLERANCE
from virtlab.config.tables import (
    Document,
    Fault,
    Interval,
    Name,
    Seed,
    Table,
    Text,
    Unit,
    tables_in,
)
from virtlab.trials import MeasurementKind

_SECONDS = {"s": 1, "min": 60, "h": 3600}
_UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9}


def _seconds(value: object) -> object:
    """Turn text such as "10 min" into seconds; numbers are seconds already."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(s|min|h)?\s*", value)
        if match is None:
            raise ValueError('expected a duration such as "90 s", "10 min" or "2 h"')
        return float(match[1]) * _SECONDS[match[2] or "s"]
    return value


def _bytes(value: object) -> object:
    """Turn text such as "512 MB" into bytes."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(kB|MB|GB)\s*", value)
        if match is None:
            raise ValueError('expected a size such as "512 MB" or "2 GB"')
        return round(float(match[1]) * _UNITS[match[2]])
    return value


def _sum(value: object) -> object:
    """Turn a total alone, a number or a parameter, into the table that has it."""
    return {"total": value} if isinstance(value, int | float | str) else value


def _total(value: object) -> object:
    """A number above 0, or text."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not isinstance(value, str) and not (number and 0 < value < 1e300):  # type: ignore[operator]
        raise ValueError("expected a number above 0, or the parameter that is the total")
    return value if isinstance(value, str) else float(value)  # type: ignore[arg-type]


Tolerance = Annotated[float, Field(ge=0, lt=1)]


class ExperimentTable(Table):
    """[experiment]."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    conditioner: Text = "generic"


class DataTable(Table):
    """[data]: where the trials are and how the files are laid out."""

    files: Annotated[list[Text], Field(min_length=1)]
    """Globs, relative to experiment.toml."""
    reader: Text = "table"
    groups: Text | None = None
    """For the reader "groups": where the groups are, one per trial, e.g. "/shots/*"."""
    grid: list[Name] = Field(default_factory=list)
    """Gridded scan: parameters whose 1-D values span the leading axes of every measurement."""
    missing: list[float] = Field(default_factory=list)
    """Numbers that mean "missing", beside NaN and the file's own fill values."""
    weights: Text | None = None
    """How much each trial counts, relative to the others: a path as a parameter's, one number of
    0 or more per trial (or per file). None: all alike."""

    def faults(self) -> Iterator[Fault]:
        """Find groups without their reader, and a reader without its groups."""
        if self.reader == "groups" and self.groups is None:
            yield ("groups",), 'missing; the reader "groups" needs it, e.g. groups = "/shots/*"'
        if self.reader in ("table", "files") and self.groups is not None:
            yield ("groups",), f'the reader "{self.reader}" has no groups; use reader = "groups"'
        for name in _twice(self.grid):
            yield ("grid",), f"{name!r} stands in it twice"


class CoordTable(Table):
    """[measurements.NAME.coords.COORD]: values along a measurement's own dims."""

    path: Text
    units: Unit | None = None


class ParameterTable(Table):
    """[parameters.NAME]. Exactly one of path, index, modulo."""

    path: Text | None = None
    """"dataset", "object@attribute" or "table:column"."""
    index: Literal["parity"] | None = None
    """Derived from the row within its file: 0, 1, 0, 1, …"""
    modulo: Annotated[int, Field(ge=2, le=10**6)] | None = None
    """Derived from the row within its file: row modulo this."""
    units: Unit | None = None
    kind: ParameterKind | None = None
    """None: categorical for strings, booleans, enums and index/modulo; else continuous."""
    scale: Scale = "linear"
    bounds: Interval | None = None
    period: Annotated[float, Field(gt=0)] | None = None

    def faults(self) -> Iterator[Fault]:
        """Find other than one source, and what does not fit the kind."""
        sources = [key for key in ("path", "index", "modulo") if getattr(self, key) is not None]
        if not sources:
            yield ("path",), 'missing; say where the values are: path = "…", or index, or modulo'
        elif len(sources) > 1:
            yield (sources[1],), f"give only one of path, index, modulo; found {', '.join(sources)}"
        if self.kind == "cyclic" and self.period is None:
            yield ("period",), 'missing; kind = "cyclic" needs it, e.g. period = 360'
        if self.kind != "cyclic" and self.period is not None:
            yield ("period",), 'only a parameter with kind = "cyclic" has a period'
        derived = self.kind is None and self.path is None
        if self.kind == "categorical" or derived:
            if self.bounds is not None:
                yield ("bounds",), "a categorical parameter has no bounds; remove the key"
            if self.scale != "linear":
                yield ("scale",), "a categorical parameter has no scale; remove the key"
        elif self.kind == "cyclic" and self.scale != "linear":
            yield ("scale",), "a cyclic parameter has no scale; remove the key"
        elif self.bounds is not None:
            yield from self._scale_faults(*self.bounds)

    def _scale_faults(self, low: float, high: float) -> Iterator[Fault]:
        if self.scale == "log" and low <= 0:
            yield ("bounds",), f'scale = "log" needs bounds above 0, found [{low:g}, {high:g}]'
        if self.scale == "reciprocal" and low <= 0 <= high:
            yield (
                ("bounds",),
                f'scale = "reciprocal" needs bounds without 0, found [{low:g}, {high:g}]',
            )


class SumTable(Table):
    """[measurements.NAME.sum]: values, none below 0, that make up a total in every trial."""

    total: Annotated[float | Text, BeforeValidator(_total)]
    """A number, or the parameter that is the total."""
    dim: Name | None = None
    """Along which dim; None: all values of a trial together."""
    tolerance: Tolerance = TOLERANCE
    """How far real sums may be off, relative to the total."""


class MonotoneTable(Table):
    """[measurements.NAME.monotone]: values that never fall, or never rise, along a dim."""

    dim: Name
    direction: Direction = "increasing"
    tolerance: Tolerance = TOLERANCE
    """How large a step back real values may make, relative to their trial's range."""


class MeasurementTable(Table):
    """[measurements.NAME]."""

    path: Text
    units: Unit | None = None
    support: Interval = (-math.inf, math.inf)
    kind: MeasurementKind | None = None
    """None: categorical for strings, booleans and enums; else continuous."""
    dims: list[Name] = Field(default_factory=list)
    coords: dict[Name, CoordTable] = Field(default_factory=dict)
    """By dim. A measurement with several dims may have coordinates of other names, too: those
    span all its dims."""
    trial_dim: int = 0
    """Which axis of the dataset counts trials."""
    sum: Annotated[SumTable, BeforeValidator(_sum)] | None = None
    monotone: MonotoneTable | None = None

    def constraints(self, name: str) -> Iterator[Constraint]:
        """What every trial of this measurement obeys."""
        if self.sum is not None:
            yield Sum(name, self.sum.total, self.sum.dim, self.sum.tolerance)
        if self.monotone is not None:
            along = self.monotone
            yield Monotone(name, along.dim, along.direction, along.tolerance)

    def faults(self) -> Iterator[Fault]:
        """Find dims given twice, coordinates without dim, an axis that cannot be."""
        for name in _twice(self.dims):
            yield ("dims",), f"{name!r} stands in it twice; every dim needs its own name"
        for name in self.coords:
            if name not in self.dims and len(self.dims) < 2:
                yield ("coords", name), f"no such dim{suggestion(name, self.dims)}; list it in dims"
        axes = len(self.dims) + 1
        if self.dims and not -axes <= self.trial_dim < axes:
            yield (
                ("trial_dim",),
                f"expected an axis from 0 to {axes - 1} (the trials and {len(self.dims)} "
                f"own dims), found {self.trial_dim}",
            )
        if self.kind == "categorical" and "support" in self.model_fields_set:
            yield ("support",), "a categorical measurement has no support; remove the key"
        for key in ("sum", "monotone"):
            table = getattr(self, key)
            if table is not None and table.dim is not None and table.dim not in self.dims:
                hint = suggestion(table.dim, self.dims)
                yield (key, "dim"), f"the measurement has no dim {table.dim!r}{hint}"
        if self.sum is not None and self.monotone is not None:
            yield ("monotone",), "a measurement has a sum or is monotone, not both; remove one"
        if self.kind == "count" and self.support[1] < 0:
            yield ("support",), "a count is never below 0"


class ModelTable(Table):
    """[model]: all optional."""

    preset: Literal["auto", "energy", "vanilla", "dcgan", "lsgan", "wgan-gp", "hinge"] = "auto"
    members: Annotated[int, Field(ge=2, le=64)] | None = None
    generators: Annotated[int, Field(ge=1, le=8)] = 1
    """Per member."""
    critics: Annotated[int, Field(ge=1, le=8)] = 1
    """Per member."""
    critic: Literal["auto", "dense", "conv", "gru"] = "auto"
    """How the critics look at signals and images."""


class StopWhen(Table):
    """training.stop_when."""

    energy_score: Annotated[float, Field(gt=0)]
    """Stop once the held-out energy score, relative to the marginal's, is this low."""


class TrainingTable(Table):
    """[training]: all optional."""

    seed: Seed = 0
    max_time: Annotated[float, Field(gt=0), BeforeValidator(_seconds)] | None = None
    """Seconds, or text such as "10 min"."""
    stop_when: StopWhen | None = None
    memory: Annotated[int, Field(ge=1000), BeforeValidator(_bytes)] = 500_000_000
    """Bytes, or text such as "512 MB": trials whose values take more are read part by part."""
    private: bool = False
    """The model file holds no trial, nor a value of one; see `virtlab.training.privacy`."""


class Experiment(Document):
    """experiment.toml: what the lab files hold, and how to learn from them."""

    experiment: ExperimentTable
    data: DataTable
    parameters: Annotated[dict[Name, ParameterTable], Field(min_length=1, max_length=1000)]
    measurements: Annotated[dict[Name, MeasurementTable], Field(min_length=1, max_length=1000)]
    conditioner: dict[str, Any] = Field(default_factory=dict)
    """Options of the conditioner plugin."""
    model: ModelTable = ModelTable()
    training: TrainingTable = TrainingTable()

    _path: Path = PrivateAttr(default=Path("experiment.toml"))

    def constraints(self) -> tuple[Constraint, ...]:
        """What every trial obeys, as the measurements' tables say."""
        return tuple(
            constraint
            for name, table in self.measurements.items()
            for constraint in table.constraints(name)
        )

    @classmethod
    def faults_between(cls, document: Mapping[str, Any]) -> Iterator[Fault]:
        """Find names that mean two things."""
        parameters = tables_in(document, "parameters")
        measurements = tables_in(document, "measurements")
        for name in measurements:
            if name in parameters:
                yield ("measurements", name), "a parameter has the same name; rename one of them"
        yield from _sum_faults(measurements, list(parameters))
        taken = dict.fromkeys(parameters, "parameter")
        taken |= dict.fromkeys(measurements, "measurement")
        coords: dict[str, tuple[str, Mapping[str, Any]]] = {}
        for owner, table in measurements.items():
            dims = table.get("dims")
            for dim in dims if isinstance(dims, list) else ():
                if isinstance(dim, str) and dim in taken:
                    yield (
                        ("measurements", owner, "dims"),
                        f"a {taken[dim]} is named {dim!r}, too; rename the dim",
                    )
            for name, coord in tables_in(table, "coords").items():
                where = ("measurements", owner, "coords", name)
                first, known = coords.setdefault(name, (owner, coord))
                if known != coord:
                    yield where, f"differs from measurements.{first}.coords.{name}; rename one dim"
                if name in taken and name not in (dims or ()):
                    yield where, f"a {taken[name]} is named {name!r}, too; rename the coordinate"
        yield from _grid_faults(document, list(parameters))


def _sum_faults(
    measurements: Mapping[str, Mapping[str, Any]], parameters: list[str]
) -> Iterator[Fault]:
    """Find totals that are named as no parameter is."""
    for name, table in measurements.items():
        given = table.get("sum")
        total = given.get("total") if isinstance(given, Mapping) else given
        if isinstance(total, str) and total not in parameters:
            hint = suggestion(total, parameters)
            yield ("measurements", name, "sum"), f"no parameter is named {total!r}{hint}"


def _grid_faults(document: Mapping[str, Any], parameters: list[str]) -> Iterator[Fault]:
    """Find names in data.grid that are no parameters."""
    data = document.get("data")
    grid = data.get("grid") if isinstance(data, Mapping) else None
    for name in grid if isinstance(grid, list) else ():
        if isinstance(name, str) and name not in parameters:
            yield ("data", "grid"), f"no parameter is named {name!r}{suggestion(name, parameters)}"


def _twice(names: list[str]) -> list[str]:
    """Return the names that stand in a list more than once."""
    return sorted({name for name in names if names.count(name) > 1})
