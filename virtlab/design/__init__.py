"""Parameter designs to settings: which settings to simulate."""

from __future__ import annotations

from virtlab.design.designs import MOST_SETTINGS, Design, design_from, make_design

__all__ = ["MOST_SETTINGS", "Design", "design_from", "make_design"]
