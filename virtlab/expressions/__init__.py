"""Arithmetic and comparisons over parameters and measurements, read from text, never run."""

from __future__ import annotations

from virtlab.expressions.choice import chosen
from virtlab.expressions.parsing import Expression, known_names, parse_goal, parse_requirement

__all__ = ["Expression", "chosen", "known_names", "parse_goal", "parse_requirement"]
