"""Settings to conditions: `Parameter`, `Conditioner`, the built-in `generic`; `Constraint`."""

from __future__ import annotations

from virtlab.conditioning.conditioner import (
    Conditioner,
    Conditions,
    Encode,
    condition,
    constraints_of,
    encode_parameter,
    generic,
)
from virtlab.conditioning.constraints import (
    Constraint,
    Direction,
    Monotone,
    NonNegative,
    Sum,
    bind,
    refuse_broken,
)
from virtlab.conditioning.parameters import Parameter, ParameterKind, Scale, suggestion
from virtlab.conditioning.settings import Settings, categories_of, check_settings

__all__ = [
    "Conditioner",
    "Conditions",
    "Constraint",
    "Direction",
    "Encode",
    "Monotone",
    "NonNegative",
    "Parameter",
    "ParameterKind",
    "Scale",
    "Settings",
    "Sum",
    "bind",
    "categories_of",
    "check_settings",
    "condition",
    "constraints_of",
    "encode_parameter",
    "generic",
    "refuse_broken",
    "suggestion",
]
