"""Arithmetic and comparisons over parameters and measurements, read from text, never run."""

from __future__ import annotations

from virtlab.expressions.choice import Choice, chosen, no_choice, parse_choice
from virtlab.expressions.parsing import Expression, known_names, parse_goal, parse_requirement

__all__ = [
    "Choice",
    "Expression",
    "chosen",
    "known_names",
    "no_choice",
    "parse_choice",
    "parse_goal",
    "parse_requirement",
]
