"""Settings to virtual trials."""

from __future__ import annotations

from virtlab.simulation.model import Model, load
from virtlab.simulation.run import Plan, Summary, plan, simulate_to_file

__all__ = ["Model", "Plan", "Summary", "load", "plan", "simulate_to_file"]
