"""experiment.toml and params.toml as frozen objects; all faults of a file reported at once."""

from __future__ import annotations

from virtlab.config.experiment import (
    CoordTable,
    DataTable,
    Experiment,
    ExperimentTable,
    MeasurementTable,
    ModelTable,
    ParameterTable,
    StopWhen,
    TrainingTable,
)
from virtlab.config.params import ObjectiveTable, Params, Range, Values
from virtlab.config.reading import (
    parse_experiment,
    parse_params,
    read_experiment,
    read_params,
    read_text,
)
from virtlab.config.tables import RESERVED, Interval, Name, Seed, Table, Unit

__all__ = [
    "RESERVED",
    "CoordTable",
    "DataTable",
    "Experiment",
    "ExperimentTable",
    "Interval",
    "MeasurementTable",
    "ModelTable",
    "Name",
    "ObjectiveTable",
    "ParameterTable",
    "Params",
    "Range",
    "Seed",
    "StopWhen",
    "Table",
    "TrainingTable",
    "Unit",
    "Values",
    "parse_experiment",
    "parse_params",
    "read_experiment",
    "read_params",
    "read_text",
]
