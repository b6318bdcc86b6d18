"""An evaluation as one HTML page."""

from __future__ import annotations

from virtlab.report.page import (
    check_metrics,
    check_report,
    evaluate_to_report,
    render,
    write_report,
)

__all__ = ["check_metrics", "check_report", "evaluate_to_report", "render", "write_report"]
