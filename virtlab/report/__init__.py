"""An evaluation, and a screen, as one HTML page each."""

from __future__ import annotations

from virtlab.report.page import (
    check_metrics,
    check_report,
    evaluate_to_report,
    render,
    write_report,
)
from virtlab.report.screened import render_screen, screen_to_files, write_page

__all__ = [
    "check_metrics",
    "check_report",
    "evaluate_to_report",
    "render",
    "render_screen",
    "screen_to_files",
    "write_page",
    "write_report",
]
