"""Settings to virtual trials."""

from __future__ import annotations

from virtlab.simulation.model import Model, load
from virtlab.simulation.plan import Plan
from virtlab.simulation.run import plan, simulate_to_file
from virtlab.simulation.summary import Summary

__all__ = ["Model", "Plan", "Summary", "load", "plan", "simulate_to_file"]
