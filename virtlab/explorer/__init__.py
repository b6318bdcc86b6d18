"""A page to try settings on: sliders, and what virtual trials look like there."""

from __future__ import annotations

from virtlab.explorer.exploring import explore

__all__ = ["explore"]
