"""One measurement's part of the report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from virtlab.domain import VERDICTS
from virtlab.evaluation.comparison import Comparison
from virtlab.evaluation.estimates import Estimate
from virtlab.evaluation.scoring import Scored
from virtlab.report.figures import (
    draw_calibration,
    draw_pit,
    draw_scores,
    new_score_rows,
    score_rows,
)
from virtlab.report.maps import draw_profiles
from virtlab.report.pictures import Axis, draw_pictures


@dataclass(frozen=True)
class Figure:
    """An SVG element, already safe, and its caption."""

    svg: Any
    caption: str
    wide: bool = False


@dataclass(frozen=True)
class Section:
    """One measurement."""

    name: str
    about: str
    figures: list[Figure]
    facts: list[tuple[str, str]]
    moments: list[tuple[str, ...]]
    regions: list[tuple[str, ...]]


def make_sections(manifest: Mapping[str, Any], comparison: Comparison | None) -> list[Section]:
    """One section per measurement, in the model's order."""
    judged = {} if comparison is None else {s.measurement.name: s for s in comparison.measurements}
    return [
        _section(
            column["measurement"], manifest, comparison, judged.get(column["measurement"]["name"])
        )
        for column in manifest["columns"]
    ]


def _section(
    measurement: Mapping[str, Any],
    manifest: Mapping[str, Any],
    comparison: Comparison | None,
    new: Scored | None,
) -> Section:
    """One measurement: the trials held against virtual ones, then what training held out."""
    name = str(measurement["name"])
    units = "" if measurement["units"] in ("", "1") else f" {measurement['units']}"
    unit = units and f" ({units.strip()})"
    held = manifest["scores"][name]
    kind = "energy score" if measurement["shape"] else "CRPS"
    what = ("score" if measurement["kind"] == "categorical" else kind) + unit
    figures: list[Figure] = []
    if comparison is not None and new is not None and new.trials:
        which = "Held-out trials" if comparison.held_out else "New trials"
        baselines = {
            baseline.name: found.model
            for baseline in comparison.baselines
            for found in baseline.measurements
            if found.measurement.name == name
        }
        on_new = draw_scores(new_score_rows(new, baselines), what)
        figures.append(make_figure(on_new, f"{which}; bars: 90 % intervals."))
    if comparison is None or not comparison.held_out:
        held_out = draw_scores(score_rows(held), what)
        figures.append(make_figure(held_out, "Settings held out in training."))
    if comparison is not None and new is not None:
        axes = _axes(new, manifest["coords"])
        figures += [make_figure(*pair) for pair in draw_pictures(new, axes, unit)]
        if new.coverage and new.trials:
            figures.append(make_figure(draw_calibration(new), "Calibration; band: 90 % interval."))
            figures.append(make_figure(draw_pit(new), "Rank of real among virtual; flat is ideal."))
        if new.trials:
            profiles = draw_profiles(comparison, new, manifest, unit)
            figures += [make_figure(svg, said, wide=wide) for svg, said, wide in profiles]
    shape = " x ".join(map(str, measurement["shape"]))
    about = f"{measurement['kind']}{', ' + shape if shape else ''}{unit}"
    told = _facts(held, new, units, new_trials=comparison is not None and not comparison.held_out)
    return Section(name, about, figures, told, _moments(new, unit), _regions(new))


def _axes(new: Scored, coords: Mapping[str, Any]) -> dict[str, Axis]:
    """Values along the measurement's own dims, or just their places."""
    axes = {}
    for dim, length in zip(new.measurement.dims, new.measurement.shape, strict=True):
        known = coords.get(dim, {"values": [], "units": ""})
        values = np.asarray(known["values"])
        if values.dtype.kind not in "fiu" or values.shape != (length,):
            axes[dim] = Axis(dim, np.arange(length, dtype=float))
            continue
        units = "" if known["units"] in ("", "1") else f" ({known['units']})"
        axes[dim] = Axis(f"{dim}{units}", values.astype(float))
    return axes


def _facts(
    held: Mapping[str, Any], new: Scored | None, unit: str, *, new_trials: bool
) -> list[tuple[str, str]]:
    """Numbers in words."""
    facts = []
    if new is not None:
        told = {
            f"score on {'new' if new_trials else 'held-out'} trials": new.model,
            "gain over ignoring the parameters": new.gain,
        }
        facts += [
            (label, f"{found.value:.3g} {format_interval(found)}{unit}")
            for label, found in told.items()
            if found is not None and math.isfinite(found.value)
        ]
        if new.dispersion is not None and math.isfinite(new.dispersion.value):
            ratio = new.dispersion
            facts.append(
                (
                    "stated scatter over real scatter",
                    f"{ratio.value:.2f} {format_interval(ratio, '.2f')}",
                )
            )
        if math.isfinite(new.spread_ratio):
            facts.append(("virtual spread over that of replicates", f"{new.spread_ratio:.2f}"))
    for level in ("50", "90") if new is None or new_trials else ():
        if held[f"coverage_{level}"] is not None:
            facts.append(
                (f"{level} % intervals held, in training", f"{held[f'coverage_{level}']:.0%}")
            )
    return facts


def _moments(new: Scored | None, unit: str) -> list[tuple[str, ...]]:
    """How mean and spread miss the real ones; the spread is left out where nothing was repeated."""
    if new is None:
        return []
    return [
        (
            f"{what}{unit}",
            *(
                f"{_plain(found.value)} {format_interval(found)}"
                for found in (moment.bias, moment.rmse)
            ),
            _plain(moment.floor),
            _plain(moment.ceiling),
        )
        for what, moment in (("mean", new.mean), ("spread", new.spread))
        if moment is not None and math.isfinite(moment.rmse.value)
    ]


def _regions(new: Scored | None) -> list[tuple[str, ...]]:
    """Scores inside, at the edge, outside; nothing where all is inside."""
    if new is None or list(new.regions) == ["inside"]:
        return []
    return [
        (
            name,
            f"{r.settings:,}",
            f"{r.trials:,}",
            _plain(r.model),
            _plain(r.marginal),
            _plain(r.floor),
            f"{r.coverage_90:.0%}" if math.isfinite(r.coverage_90) else "–",
        )
        for name in VERDICTS
        if (r := new.regions.get(name)) is not None
    ]


def _plain(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "–"


def format_interval(estimate: Estimate, form: str = ".3g") -> str:
    """In brackets, or nothing where it cannot be told."""
    if not math.isfinite(estimate.low):
        return ""
    return f"[{estimate.low:{form}}, {estimate.high:{form}}]"


def make_figure(svg: str, caption: str, *, wide: bool = False) -> Figure:
    """A figure whose SVG goes into the page as it is."""
    from markupsafe import Markup

    return Figure(Markup(svg), caption, wide)  # made by matplotlib, which escapes its texts
