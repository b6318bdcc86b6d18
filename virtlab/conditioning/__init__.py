"""Settings to conditions: `Parameter`, `Conditioner`, and the built-in `generic` encodings."""

from __future__ import annotations

from virtlab.conditioning.conditioner import (
    Conditioner,
    Conditions,
    Encode,
    condition,
    encode_parameter,
    generic,
)
from virtlab.conditioning.parameters import Parameter, ParameterKind, Scale, suggestion
from virtlab.conditioning.settings import Settings, categories_of, check_settings

__all__ = [
    "Conditioner",
    "Conditions",
    "Encode",
    "Parameter",
    "ParameterKind",
    "Scale",
    "Settings",
    "categories_of",
    "check_settings",
    "condition",
    "encode_parameter",
    "generic",
    "suggestion",
]
