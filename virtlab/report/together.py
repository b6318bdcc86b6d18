"""All measurements together: simpler models, joint coverage, clouds of features, correlations."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from virtlab.evaluation.baselines import coverage_90
from virtlab.evaluation.comparison import Comparison
from virtlab.evaluation.correlation import Correlation
from virtlab.evaluation.estimates import Estimate
from virtlab.evaluation.scoring import LEVELS, Scored
from virtlab.evaluation.usefulness import Usefulness
from virtlab.report.drawing import FAINT, REAL, VIRTUAL, draw_svg, name_axes, short
from virtlab.report.sections import Figure, format_interval, make_figure

MOST_COLUMNS = 6  # measurements in the table
MOST_ROWS = 12
CONFUSED = 0.45  # an AUC below is no chance


@dataclass(frozen=True)
class Table:
    """Rows of text under heads, with what they mean."""

    caption: str
    heads: list[str]
    rows: list[list[str]] = field(default_factory=list)
    note: str = ""


def baseline_table(comparison: Comparison | None) -> Table | None:
    """The model and simpler ones, judged alike; None where there are none to compare with."""
    if comparison is None or not comparison.baselines:
        return None
    shown = comparison.measurements[:MOST_COLUMNS]
    joint = len(comparison.measurements) > 1
    heads = ["", *(_headed(scored) for scored in shown), *(["all together"] if joint else [])]
    table = Table(
        f"The model beside simpler ones, on {_trials(comparison)}; lower is better",
        [*heads, "told from real (AUC)", "90 % held", "seconds"],
        note=_baseline_note(comparison),
    )

    def row(
        name: str,
        scores: list[Estimate],
        together: Estimate | float,
        auc: Estimate | None,
        scored: tuple[Scored, ...],
        seconds: str,
    ) -> list[str]:
        cells = [name, *(f"{s.value:.4g} {format_interval(s)}" for s in scores)]
        if joint:
            value = together if isinstance(together, float) else together.value
            cells.append(_plain(value))
        return [*cells, "–" if auc is None else f"{auc.value:.2f}", _held(scored), seconds]

    floor = [_plain(s.floor) for s in shown] + ([_plain(comparison.joint.floor)] if joint else [])
    table.rows.append(["replicate floor", *floor, "0.50", "90 %", ""])
    own = comparison.measurements
    apart = comparison.two_sample.auc
    table.rows.append(
        row("this model", [s.model for s in shown], comparison.joint.score, apart, own, "")
    )
    for baseline in sorted(comparison.baselines, key=lambda each: each.joint.score.value):
        table.rows.append(
            row(
                baseline.name,
                [s.model for s in baseline.measurements[:MOST_COLUMNS]],
                baseline.joint.score,
                baseline.two_sample.auc,
                baseline.measurements,
                f"{baseline.seconds:.1f}",
            )
        )
    ceiling = [f"{s.marginal.value:.4g}" for s in shown]
    ceiling += [_plain(comparison.joint.marginal)] if joint else []
    table.rows.append(["ignore parameters", *ceiling, "–", "–", ""])
    return table


def _headed(scored: Scored) -> str:
    units = scored.measurement.units
    return short(scored.measurement.name + ("" if units in ("", "1") else f" ({units})"), 28)


def _held(scored: tuple[Scored, ...]) -> str:
    shares = [coverage_90(each) for each in scored]
    known = [share for share in shares if math.isfinite(share)]
    if not known:
        return "–"
    low, high = min(known), max(known)
    return f"{low:.0%}" if round(low, 2) == round(high, 2) else f"{low:.0%} to {high:.0%}"


def _trials(comparison: Comparison) -> str:
    kind = "held-out" if comparison.held_out else "new"
    return f"{comparison.trials:,} {kind} trials at {comparison.settings:,} settings"


def _baseline_note(comparison: Comparison) -> str:
    same = (
        "Each simpler model learned from the same folds as the members that judge a setting"
        if comparison.held_out
        else "Each simpler model learned from the trials that the model file keeps"
    )
    said = (
        f"{same}: {comparison.learned_from:,} trials in all. In brackets: 90 % intervals, from "
        "settings drawn anew. All together: every measurement in units of its spread."
    )
    aucs = [r.two_sample.auc.value for r in comparison.baselines if r.two_sample.auc is not None]
    if min(aucs, default=1.0) < CONFUSED:
        said += (
            " An AUC well below 0.5 is of models that repeat real trials: the classifier has met "
            "the same trial as a real one."
        )
    return said


def fidelity_table(comparison: Comparison | None) -> Table | None:
    """Clouds of features."""
    if comparison is None or not comparison.fidelity:
        return None
    table = Table(
        "Alike, and as varied? Clouds of (setting, features), half against half",
        ["", "virtual", "real against real", "real of any setting"],
        note="Fréchet distance: lower is better. Precision and density fall where virtual trials "
        "are unlike real ones; recall and coverage fall where they lack variety. Good is what real "
        "trials reach against each other.",
    )
    for name, found in comparison.fidelity.items():
        table.rows.append(
            [name]
            + [
                f"{each.value:.3f} {format_interval(each, '.3f')}"
                for each in (found.model, found.floor, found.ceiling)
            ]
        )
    for scored in comparison.measurements:
        seen = scored.diversity
        if seen is not None:
            for what, virtual, real in (
                ("outcomes", seen.virtual_overall, seen.real_overall),
                ("told apart by the parameters", seen.virtual_told_apart, seen.real_told_apart),
            ):
                label = f"effective categories of {scored.measurement.name}, {what}"
                table.rows.append([label, f"{virtual:.2f}", f"{real:.2f}", "–"])
    return table


def usefulness_table(comparison: Comparison | None) -> Table | None:
    """What a regressor learns from virtual trials."""
    if comparison is None or not comparison.usefulness:
        return None
    return Table(
        "Useful? Error on real trials of a regressor that learned from …",
        ["", "real trials", "virtual trials", "real and virtual", "virtual are worth"],
        [_useful(found) for found in comparison.usefulness],
        "In units of the measurement's spread. Virtual trials alone are at the settings of the "
        "test, those beside real ones at others. They hold no information that the training trials "
        "do not: a gain is smoothing.",
    )


def _useful(found: Usefulness) -> list[str]:
    worth = "–" if found.worth is None else f"{found.worth:,} of {found.settings:,} real settings"
    cells = [
        f"{e.value:.3f} {format_interval(e, '.3f')}"
        for e in (found.real, found.virtual, found.both)
    ]
    return [found.measurement, *cells, worth]


def together_figures(comparison: Comparison | None) -> list[Figure]:
    """Joint coverage, and correlations."""
    if comparison is None:
        return []
    found = []
    if comparison.joint.trials:
        found.append(
            make_figure(
                _draw_joint(comparison),
                "Joint regions of all measurements (TARP): on the diagonal is ideal.",
            )
        )
    if comparison.correlations:
        found.append(
            make_figure(
                _draw_correlations(comparison.correlations[:MOST_ROWS]),
                "Correlations of what the setting does not explain; bars: 90 % intervals.",
            )
        )
    return found


def _draw_joint(comparison: Comparison) -> str:
    held = np.array([[e.value, e.low, e.high] for e in comparison.joint.coverage])

    def paint(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1)
        if np.isfinite(held).all():
            axes.fill_between(LEVELS, held[:, 1], held[:, 2], color=VIRTUAL, alpha=0.25, lw=0)
        axes.plot(LEVELS, held[:, 0], "o-", color=VIRTUAL, markersize=4)
        axes.set(xlim=(0, 1), ylim=(0, 1))
        for set_ticks in (axes.set_xticks, axes.set_yticks):
            set_ticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
        name_axes(axes, "joint region as stated", "real trials inside")

    told = ", ".join(f"{level:.0%}: {row[0]:.0%}" for level, row in zip(LEVELS, held, strict=True))
    return draw_svg(paint, f"Joint coverage, stated and found: {told}.")


def _draw_correlations(found: list[Correlation]) -> str:
    rows = list(reversed(found))

    def paint(axes: Any) -> None:
        for place, each in enumerate(rows):
            if math.isfinite(each.real.low):
                axes.plot(
                    [each.real.low, each.real.high], [place, place], color=REAL, alpha=0.5, lw=3
                )
            axes.plot(each.real.value, place, "o", color=REAL, label=None if place else "real")
            axes.plot(
                each.virtual,
                place,
                "D",
                color=VIRTUAL,
                markersize=5,
                label=None if place else "virtual",
            )
        axes.axvline(0, color=FAINT, linewidth=1)
        axes.set_yticks(range(len(rows)), [short(each.what, 34) for each in rows])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlim(-1.02, 1.02)
        axes.tick_params(axis="y", length=0)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
        name_axes(axes, "correlation", "")

    told = "; ".join(f"{e.what}: real {e.real.value:.2f}, virtual {e.virtual:.2f}" for e in found)
    height = 1.3 + 0.3 * len(rows)
    return draw_svg(paint, f"Correlations: {told}.", size=(4.8, max(2.2, height)))


def worst_table(comparison: Comparison | None) -> Table | None:
    """Settings where a classifier finds virtual trials out most often."""
    if comparison is None or comparison.two_sample.auc is None:
        return None
    won = comparison.two_sample.won
    order = [int(i) for i in np.argsort(-won) if math.isfinite(won[i])][:3]
    if not order or not comparison.two_sample.auc.low > 0.5:
        return None
    names = list(comparison.values)
    rows = []
    for i in order:
        values = [comparison.values[name][i] for name in names]
        shown = [v if isinstance(v, str) else f"{float(v):.4g}" for v in values]
        rows.append([*(short(str(v), 24) for v in shown), f"{won[i]:.0%}"])
    return Table(
        "Where virtual trials are found out most often",
        [*names, "found out"],
        rows,
        "Share of pairs of a real and a virtual trial in which a classifier told which was which, "
        "around each setting; 50 % is chance.",
    )


def _plain(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "–"
