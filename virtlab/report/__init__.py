"""An evaluation, and a screen, as one HTML page each; so can a backtest."""

from __future__ import annotations

from virtlab.report.course import backtest_to_files, draw_course
from virtlab.report.page import (
    check_metrics,
    check_report,
    evaluate_to_report,
    render,
    write_report,
)
from virtlab.report.screened import render_screen, screen_to_files, write_page

__all__ = [
    "backtest_to_files",
    "check_metrics",
    "check_report",
    "draw_course",
    "evaluate_to_report",
    "render",
    "render_screen",
    "screen_to_files",
    "write_page",
    "write_report",
]
