"""The figures that every measurement has: scores, calibration; and those of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from virtlab.domain import EDGE
from virtlab.evaluation.comparison import Comparison
from virtlab.evaluation.estimates import Estimate
from virtlab.evaluation.scoring import LEVELS, PIT_BINS, Scored
from virtlab.report.drawing import (
    FAINT,
    FLOOR,
    INK,
    REAL,
    SIMPLE,
    VIRTUAL,
    draw_svg,
    name_axes,
)


def draw_scores(rows: Sequence[tuple[str, float, float, float, str]], what: str) -> str:
    """Dot plot of scores, `what` they are: label, value, low, high (NaN: none), and colour."""
    rows = [row for row in rows if np.isfinite(row[1])]

    def paint(axes: Any) -> None:
        for place, (_, value, low, high, color) in enumerate(reversed(rows)):
            axes.plot([0, value], [place, place], color=FAINT, linewidth=1, zorder=1)
            if np.isfinite(low) and np.isfinite(high):
                axes.plot([low, high], [place, place], color=color, linewidth=3, alpha=0.5)
            axes.plot([value], [place], "o", color=color, markersize=7)
            axes.annotate(
                f"{value:.3g}", (value, place), (0, 7), textcoords="offset points", ha="center"
            )
        axes.set_yticks(range(len(rows)), [label for label, *_ in reversed(rows)])
        axes.set_ylim(-0.5, len(rows) - 0.3)
        ends = [end for row in rows for end in (row[1], row[3]) if np.isfinite(end)]
        axes.set_xlim(min([0.0, *ends]), 1.12 * max([0.0, *ends]) or 1.0)
        axes.tick_params(axis="y", length=0)
        name_axes(axes, f"{what}, lower is better", "")

    told = ", ".join(f"{label} {value:.3g}" for label, value, *_ in rows)
    return draw_svg(paint, f"{what}: {told}; lower is better.")


def score_rows(found: Mapping[str, Any]) -> list[tuple[str, float, float, float, str]]:
    """Rows of the held-out scores of one measurement."""
    labels = (
        ("floor", "replicate floor", FLOOR),
        ("model", "this model", VIRTUAL),
        ("nearest", "nearest settings", SIMPLE),
        ("marginal", "ignore parameters", SIMPLE),
    )
    return [
        (label, float(found[key]), np.nan, np.nan, color)
        for key, label, color in labels
        if found[key] is not None
    ]


def new_score_rows(
    scored: Scored, baselines: Mapping[str, Estimate]
) -> list[tuple[str, float, float, float, str]]:
    """Rows of the scores on the trials judged, of the model and of simpler ones by name."""
    others = [(name, e.value, e.low, e.high, SIMPLE) for name, e in baselines.items()]
    others.sort(key=lambda row: row[1])
    floor = [("replicate floor", scored.floor, np.nan, np.nan, FLOOR)]
    model, marginal = scored.model, scored.marginal
    return (floor if np.isfinite(scored.floor) else []) + [
        ("this model", model.value, model.low, model.high, VIRTUAL),
        *others,
        ("ignore parameters", marginal.value, marginal.low, marginal.high, SIMPLE),
    ]


def draw_calibration(scored: Scored) -> str:
    """Stated against held coverage, with its band."""
    held = np.array([[found.value, found.low, found.high] for found in scored.coverage])

    def paint(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1)
        if np.isfinite(held).all():
            axes.fill_between(LEVELS, held[:, 1], held[:, 2], color=VIRTUAL, alpha=0.25, lw=0)
        axes.plot(LEVELS, held[:, 0], "o-", color=VIRTUAL, markersize=4)
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.annotate("too wide", (0.04, 0.9), color=INK)
        axes.annotate("too narrow", (0.96, 0.06), color=INK, ha="right")
        axes.set_xticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
        axes.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
        name_axes(axes, "interval as stated", "real values held by it")

    at = LEVELS.index(0.9)
    return draw_svg(
        paint,
        f"Calibration curve: intervals stated as 50 % held {held[LEVELS.index(0.5), 0]:.0%}, "
        f"those stated as 90 % held {held[at, 0]:.0%} of real values; the diagonal is ideal.",
    )


def draw_pit(scored: Scored) -> str:
    """Where real values fall within the virtual distribution, in tenths."""
    share = np.array([[found.value, found.low, found.high] for found in scored.pit])

    def paint(axes: Any) -> None:
        place = (np.arange(PIT_BINS) + 0.5) / PIT_BINS
        axes.bar(place, share[:, 0], 0.9 / PIT_BINS, color=VIRTUAL, alpha=0.55)
        if np.isfinite(share).all():
            axes.vlines(place, share[:, 1], share[:, 2], color=VIRTUAL, linewidth=1.5)
        axes.axhline(1, color=FAINT, linestyle="--", linewidth=1)
        axes.set_xticks([0, 0.5, 1], ["low", "middle", "high"])
        axes.set_ylim(0, max(2.0, 1.05 * float(np.nanmax(share))))
        name_axes(axes, "rank of the real value", "share, 1 = as expected")

    told = ", ".join(f"{value:.2g}" for value in share[:, 0])
    return draw_svg(paint, f"PIT histogram, ten bins; 1 in each is ideal: {told}.")


def draw_history(history: Sequence[Mapping[str, Any]]) -> str:
    """Held-out score along training."""
    stages = list(dict.fromkeys(str(row["stage"]) for row in history))
    colors = dict(zip(stages, (SIMPLE, VIRTUAL, REAL, FLOOR), strict=False))

    def paint(axes: Any) -> None:
        start = 0.0
        for stage in stages:
            rows = [row for row in history if row["stage"] == stage]
            steps = start + np.array([row["step"] for row in rows], float)
            color = colors.get(stage, INK)
            axes.plot(steps, [row["score"] for row in rows], color=color, label=stage)
            axes.plot(steps, [row["best"] for row in rows], color=color, linestyle=":")
            start = float(steps[-1])
        scores = np.array([row["score"] for row in history], float)
        top = np.nanquantile(scores[np.isfinite(scores)], 0.98) if np.isfinite(scores).any() else 1
        axes.set_ylim(0, 1.1 * max(float(top), 1e-9))
        axes.legend(loc="best", title="dotted: best so far", title_fontsize=9)
        name_axes(axes, "step", "held-out score, marginal = 1")

    last = history[-1]
    return draw_svg(
        paint,
        f"Held-out score along training, stages {', '.join(stages)}: from "
        f"{history[0]['score']:.3g} to {last['best']:.3g} at best.",
    )


def draw_domain(comparison: Comparison) -> str:
    """How far the judged settings lie from those that their judges had seen."""
    which = "held-out settings" if comparison.held_out else "new settings"
    far = np.where(np.isfinite(comparison.distance), comparison.distance, 10 * EDGE)
    right = max(1.25 * EDGE, float(np.quantile(far, 0.98)) * 1.1)

    def paint(axes: Any) -> None:
        bins = np.linspace(0, right, 31)
        axes.hist(np.clip(far - 1e-6, 0, right - 1e-9), bins, color=VIRTUAL, alpha=0.6)
        for at, label in ((1.0, "edge"), (EDGE, "outside")):
            axes.axvline(at, color=INK, linewidth=1, linestyle="--")
            axes.annotate(
                f"{label} →",
                (at, 0.97),
                (4, 0),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                va="top",
                color=INK,
            )
        axes.set_xlim(0, right)
        axes.margins(y=0.2)
        axes.yaxis.get_major_locator().set_params(integer=True)
        name_axes(axes, "distance to the nearest training setting", which)

    counts = ", ".join(f"{n} {name}" for name, n in comparison.region_counts.items())
    return draw_svg(paint, f"Distances of {which} to the training settings: {counts}.")
