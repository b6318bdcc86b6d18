"""experiment.toml and params.toml as frozen objects; all faults of a file reported at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator

from virtlab.conditioning import Parameter, ParameterKind, Scale
from virtlab.trials import MeasurementKind

Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
Unit = Annotated[str, Field(max_length=64)]
Seed = Annotated[int, Field(ge=0, lt=2**63, strict=True)]
Interval = tuple[float, float]


class Table(BaseModel):
    """A table of a configuration file: unknown keys are faults."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ExperimentTable(Table):
    """[experiment]."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    conditioner: str = "generic"


class DataTable(Table):
    """[data]: where the trials are and how the files are laid out."""

    files: Annotated[list[str], Field(min_length=1)]
    """Globs, relative to experiment.toml."""
    reader: str = "table"
    groups: str | None = None
    """For the reader "groups": where the groups are, one per trial, e.g. "/shots/*"."""
    grid: list[Name] = []
    """Gridded scan: parameters whose 1-D values span the leading axes of every measurement."""
    missing: list[float] = []
    """Numbers that mean "missing", beside NaN and the file's own fill values."""


class CoordTable(Table):
    """[measurements.NAME.coords.DIM]: the values along a measurement's own dim."""

    path: str
    units: Unit | None = None


class ParameterTable(Table):
    """[parameters.NAME]. Exactly one of path, index, modulo."""

    path: str | None = None
    """"dataset", "object@attribute" or "table:column"."""
    index: Literal["parity"] | None = None
    """Derived from the row within its file: 0, 1, 0, 1, …"""
    modulo: Annotated[int, Field(ge=2)] | None = None
    """Derived from the row within its file: row modulo this."""
    units: Unit | None = None
    kind: ParameterKind | None = None
    """None: categorical for strings, booleans, enums and index/modulo; else continuous."""
    scale: Scale = "linear"
    bounds: Interval | None = None
    period: Annotated[float, Field(gt=0)] | None = None


class MeasurementTable(Table):
    """[measurements.NAME]."""

    path: str
    units: Unit | None = None
    support: Interval = (-math.inf, math.inf)
    kind: MeasurementKind | None = None
    """None: categorical for strings, booleans and enums; else continuous."""
    dims: list[Name] = []
    coords: dict[str, CoordTable] = {}
    trial_dim: int = 0
    """Which axis of the dataset counts trials."""


def _seconds(value: object) -> object:
    """"10 min" or a number of seconds, as seconds."""
    if isinstance(value, str):
        number, _, unit = value.strip().partition(" ")
        scale = {"s": 1, "min": 60, "h": 3600}.get(unit.strip() or "s")
        if scale is not None:
            try:
                return float(number) * scale
            except ValueError:
                pass
        raise ValueError('expected a duration such as "90 s", "10 min" or "2 h"')
    return value


class ModelTable(Table):
    """[model]: all optional."""

    preset: Literal["auto", "energy", "vanilla"] = "auto"
    members: Annotated[int, Field(ge=2, le=64)] | None = None


class StopWhen(Table):
    """training.stop_when."""

    energy_score: Annotated[float, Field(gt=0)]
    """Stop once the held-out energy score, relative to the marginal's, is this low."""


class TrainingTable(Table):
    """[training]: all optional."""

    seed: Seed = 0
    max_time: Annotated[float, Field(gt=0), BeforeValidator(_seconds)] | None = None
    stop_when: StopWhen | None = None


class Experiment(Table):
    """experiment.toml: what the lab files hold, and how to learn from them."""

    experiment: ExperimentTable
    data: DataTable
    parameters: Annotated[dict[Name, ParameterTable], Field(min_length=1)]
    measurements: Annotated[dict[Name, MeasurementTable], Field(min_length=1)]
    conditioner: dict[str, Any] = {}
    """Options of the conditioner plugin."""
    model: ModelTable = ModelTable()
    training: TrainingTable = TrainingTable()
    _path: Path = PrivateAttr(default=Path("experiment.toml"))
    _text: str = PrivateAttr(default="")

    @property
    def path(self) -> Path:
        """The file this came from; its globs are relative to it."""
        return self._path

    @property
    def text(self) -> str:
        """The file's text."""
        return self._text


class Range(Table):
    """One parameter's values in params.toml, as a table."""

    start: float | None = None
    stop: float | None = None
    num: Annotated[int, Field(ge=1, le=10**7)] | None = None
    step: float | None = None
    low: float | None = None
    high: float | None = None
    scale: Literal["linear", "log"] = "linear"


Values = float | str | bool | list[float] | list[str] | list[bool] | Range


class ObjectiveTable(Table):
    """[objective], used by `virtlab screen`."""

    maximize: str | None = None
    minimize: str | None = None
    require: list[str] = []


class Params(Table):
    """params.toml: what to simulate."""

    model: str
    trials: Annotated[int, Field(ge=1, le=10**9, strict=True)] = 100
    seed: Seed = 0
    output: str | None = None
    design: Literal["grid", "zip", "sobol", "latin-hypercube", "table"] = "grid"
    size: Annotated[int, Field(ge=1, le=10**7, strict=True)] | None = None
    """Number of settings, for sobol and latin-hypercube."""
    file: str | None = None
    """CSV of settings, for the table design."""
    parameters: dict[str, Values] = {}
    objective: ObjectiveTable | None = None
    _path: Path = PrivateAttr(default=Path("params.toml"))
    _text: str = PrivateAttr(default="")

    @property
    def path(self) -> Path:
        """The file this came from; its paths are relative to it."""
        return self._path

    @property
    def text(self) -> str:
        """The file's text."""
        return self._text
