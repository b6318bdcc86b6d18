"""What a model's manifest.json must hold: a forged or garbled one is refused when it is loaded.

Whoever uses a manifest later relies on the names and types that are listed here. What older models
lack has a default; what is not listed is nobody's business.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from virtlab.conditioning.parameters import ParameterKind, Scale
from virtlab.trials import MeasurementKind

MOST_NAMED = 3
Pair = Annotated[list[float], Field(min_length=2, max_length=2)]
Limits = Annotated[list[str], Field(min_length=2, max_length=2)]
Count = Annotated[int, Field(ge=0)]


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _Parameter(_Table):
    name: str
    kind: ParameterKind
    units: str
    scale: Scale
    bounds: Pair | None
    period: float | None
    categories: list[str]
    range: Pair | None

    @model_validator(mode="after")
    def _complete(self) -> _Parameter:
        named = self.kind == "categorical"
        if named != bool(self.categories) or named == bool(self.range):
            raise ValueError("expected categories, or else a range")
        if (self.kind == "cyclic") != bool(self.period):
            raise ValueError("expected a period where it is cyclic")
        return self


class _Measurement(_Table):
    name: str
    kind: MeasurementKind
    units: str
    support: Limits
    dims: list[str]
    shape: list[Annotated[int, Field(ge=1)]]
    categories: list[str]


class _Constraint(_Table):
    kind: Literal["sum", "monotone"]
    dim: str | None = None
    total: float | str | None = None


class _Column(_Table):
    measurement: _Measurement
    warp: Literal["none", "above", "below", "between", "log", "nearest"]
    limits: Limits
    bend: Annotated[float, Field(gt=0)]
    center: Annotated[list[float], Field(min_length=1)]
    scale: Annotated[list[float], Field(min_length=1)]
    atoms: list[float]
    floor: bool = False
    double: bool = False
    constraint: _Constraint | None = None
    ratios: bool = False
    least: list[float] = []

    @model_validator(mode="after")
    def _fitting(self) -> _Column:
        size = math.prod(self.measurement.shape)
        if len(self.measurement.dims) != len(self.measurement.shape):
            raise ValueError("expected as many dims as lengths")
        if not {len(self.center), len(self.scale)} <= {1, size}:
            raise ValueError("expected a center and a scale for all values, or for each")
        if (self.measurement.kind == "categorical") != bool(self.measurement.categories):
            raise ValueError("expected categories where it is categorical")
        if any(math.isnan(float(x)) for x in (*self.limits, *self.measurement.support)):
            raise ValueError("expected limits that are numbers")
        along = None if self.constraint is None else self.constraint.dim
        if along is not None and along not in self.measurement.dims:
            raise ValueError("expected a constraint along one of its dims")
        if self.warp == "nearest" and not self.atoms:
            raise ValueError("expected atoms")
        return self


class _Conditioner(_Table):
    name: str
    distribution: str
    version: str
    options: dict[str, Any]


class _Features(_Table):
    labels: list[str]
    center: list[float]
    scale: list[float]

    @model_validator(mode="after")
    def _fitting(self) -> _Features:
        if not len(self.labels) == len(self.center) == len(self.scale):
            raise ValueError("expected as many centers and scales as labels")
        return self


class _Coord(_Table):
    dims: list[str]
    units: str
    values: Any

    @model_validator(mode="after")
    def _fitting(self) -> _Coord:
        found = np.asarray(self.values)  # a ValueError where it is ragged
        if found.ndim != len(self.dims) or found.dtype.kind not in "biufU":
            raise ValueError("expected numbers or names along its dims")
        return self


class _Score(_Table):
    model: float
    marginal: float
    nearest: float
    floor: float | None
    coverage_50: float | None
    coverage_90: float | None


class _LeftOut(_Table):
    expression: str
    trials: Count


class _Weights(_Table):
    path: str
    effective_trials: float


class _Data(_Table):
    files: list[str]
    sha256: str
    trials: Count
    settings: Count
    missing: dict[str, Count]
    missing_trials: dict[str, Count] = {}
    dropped_trials: Count
    dropped_reasons: list[str] = []
    doubts: list[str] = []
    private: bool = False
    left_out: _LeftOut | None = None
    weights: _Weights | None = None


class _Domain(_Table):
    reach: float
    weights: list[float] = []
    fixed: list[Count] | None = None


class _Step(_Table):
    stage: str
    step: Count


class _Start(_Table):
    model: str
    kept: bool
    score_over_anew: float | None


class _Training(_Table):
    members: Annotated[int, Field(ge=1)]
    preset: str
    stage: str
    ended: str
    health: list[str] = []
    history: list[_Step]
    start: _Start | None = None


class _Experiment(_Table):
    name: str
    text: str


class _Relevance(_Table):
    rise: float
    clear: bool


class _Manifest(_Table):
    virtlab: str
    seed: int
    experiment: _Experiment
    conditioner: _Conditioner
    parameters: Annotated[list[_Parameter], Field(min_length=1)]
    features: _Features
    columns: Annotated[list[_Column], Field(min_length=1)]
    coords: dict[str, _Coord]
    data: _Data
    domain: _Domain
    training: _Training
    scores: dict[str, _Score]
    calibration: dict[str, float]
    tails: dict[str, float] = {}
    relevance: dict[str, _Relevance] = {}
    verdict: list[str]

    @model_validator(mode="after")
    def _whole(self) -> _Manifest:
        missing = {column.measurement.name for column in self.columns} - self.scores.keys()
        if missing:
            raise ValueError(f"lacks scores of {', '.join(sorted(missing))}")
        totals = {column.constraint.total for column in self.columns if column.constraint}
        unknown = {total for total in totals if isinstance(total, str)} - {
            parameter.name for parameter in self.parameters
        }
        if unknown:
            raise ValueError(f"lacks the parameter {', '.join(sorted(unknown))}")
        along = [(c.measurement.dims, c.measurement.shape) for c in self.columns]
        along += [(c.dims, list(np.shape(c.values))) for c in self.coords.values()]
        lengths: dict[str, int] = {}
        for dim, length in (pair for each in along for pair in zip(*each, strict=True)):
            if lengths.setdefault(dim, length) != length:
                raise ValueError(f"expected one length of {dim}")
        return self


def faults_of(manifest: Mapping[str, Any]) -> str:
    """Say what a manifest lacks or garbles, ``""`` where all is well."""
    try:
        _Manifest.model_validate(dict(manifest))
    except ValidationError as error:
        found = [
            ".".join(map(str, fault["loc"] or ("manifest",)))
            + f": {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors()
        ]
        more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
        return "; ".join(found[:MOST_NAMED]) + more
    return ""
