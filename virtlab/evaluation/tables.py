"""A comparison as a table for the terminal, and as plain values for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from virtlab.evaluation.baselines import Baseline, coverage_90
from virtlab.evaluation.comparison import Comparison
from virtlab.evaluation.joint import Joint
from virtlab.evaluation.scoring import LEVELS, Scored
from virtlab.evaluation.two_sample import TwoSample

LEVEL_NAMES = tuple(f"{level:.0%}".rstrip("%") for level in LEVELS)


def score_table(comparison: Comparison) -> list[str]:
    """Scores of the model beside floor, baselines and marginal, a line per measurement."""
    names = [baseline.name for baseline in comparison.baselines]
    rows: list[tuple[str, ...]] = [
        ("measurement", "unit", "model", "", "floor", *names, "marginal", "90 % held")
    ]
    for place, scored in enumerate(comparison.measurements):
        interval = f"[{as_number(scored.model.low)}, {as_number(scored.model.high)}]"
        others = [baseline.measurements[place].model.value for baseline in comparison.baselines]
        cells = [as_number(scored.model.value), interval, as_number(scored.floor)]
        cells += [as_number(value) for value in (*others, scored.marginal.value)]
        held = as_share(coverage_90(scored))
        rows.append((scored.measurement.name, scored.measurement.units or "-", *cells, held))
    return aligned(rows)


def moment_table(comparison: Comparison) -> list[str]:
    """How mean and spread of virtual trials miss the real ones, two lines per measurement."""
    heads = ("of virtual trials", "unit", "bias", "", "error", "", "floor", "ceiling")
    rows: list[tuple[str, ...]] = [heads]
    for scored in comparison.measurements:
        for what, moment in (("mean", scored.mean), ("spread", scored.spread)):
            if moment is None:
                continue
            cells = []
            for found in (moment.bias, moment.rmse):
                cells += [as_number(found.value)]
                cells += [f"[{as_number(found.low)}, {as_number(found.high)}]"]
            cells += [as_number(moment.floor), as_number(moment.ceiling)]
            name = f"{scored.measurement.name}: {what}"
            rows.append((name, scored.measurement.units or "-", *cells))
    return aligned(rows) if len(rows) > 1 else []


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows as lines, numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def as_number(value: float | None) -> str:
    """Four digits, or a dash."""
    return "-" if value is None or value != value else f"{value:.4g}"


def as_share(value: float | None) -> str:
    """Percent, or a dash."""
    return "-" if value is None or value != value else f"{value:.0%}"


def comparison_dict(comparison: Comparison) -> dict[str, Any]:
    """For JSON."""
    return {
        "trials": comparison.trials,
        "settings": comparison.settings,
        "copied_trials": comparison.copied,
        "settings_trained_on": comparison.known,
        "draws": comparison.draws,
        "seed": comparison.seed,
        "domain": comparison.region_counts,
        "two_sample": _apart_dict(comparison.two_sample),
        "joint": _joint_dict(comparison.joint),
        "fidelity": {name: asdict(found) for name, found in comparison.fidelity.items()},
        "correlations": [asdict(found) for found in comparison.correlations],
        "usefulness": [asdict(found) for found in comparison.usefulness],
        "measurements": {s.measurement.name: _scored_dict(s) for s in comparison.measurements},
        "baselines": {baseline.name: _baseline_dict(baseline) for baseline in comparison.baselines},
        "baselines_learned_from": comparison.learned_from,
        "by_setting": _by_setting(comparison),
    }


def _by_setting(comparison: Comparison) -> dict[str, Any]:
    """What happened where, a list entry per setting."""
    return {
        "parameters": {name: values.tolist() for name, values in comparison.values.items()},
        "domain": comparison.region.tolist(),
        "domain_distance": comparison.distance.tolist(),
        "scores": {s.measurement.name: s.by_setting.tolist() for s in comparison.measurements},
        "found_out": comparison.two_sample.won.tolist(),
    }


def _baseline_dict(baseline: Baseline) -> dict[str, Any]:
    return {
        "seconds": baseline.seconds,
        "two_sample": _apart_dict(baseline.two_sample),
        "joint": _joint_dict(baseline.joint),
        "joint_behind": asdict(baseline.joint_behind),
        "behind": {name: asdict(found) for name, found in baseline.behind.items()},
        "measurements": {s.measurement.name: _scored_dict(s) for s in baseline.measurements},
    }


def _apart_dict(apart: TwoSample) -> dict[str, Any]:
    auc = None if apart.auc is None else asdict(apart.auc)
    return {"auc": auc, "trials": apart.trials, "note": apart.note}


def _joint_dict(joint: Joint) -> dict[str, Any]:
    return {
        "trials": joint.trials,
        "score": asdict(joint.score),
        "marginal": joint.marginal,
        "floor": joint.floor,
        "coverage": {
            level: asdict(found) for level, found in zip(LEVEL_NAMES, joint.coverage, strict=True)
        },
    }


def _scored_dict(scored: Scored) -> dict[str, Any]:
    return {
        "units": scored.measurement.units,
        "trials": scored.trials,
        "model": asdict(scored.model),
        "marginal": asdict(scored.marginal),
        "gain": asdict(scored.gain),
        "floor": scored.floor,
        "repeated": scored.repeated,
        "coverage": {
            level: asdict(found) for level, found in zip(LEVEL_NAMES, scored.coverage, strict=False)
        },
        "pit": [asdict(found) for found in scored.pit],
        "mean": None if scored.mean is None else asdict(scored.mean),
        "spread": None if scored.spread is None else asdict(scored.spread),
        "dispersion": None if scored.dispersion is None else asdict(scored.dispersion),
        "spread_ratio": scored.spread_ratio,
        "diversity": None if scored.diversity is None else asdict(scored.diversity),
        "regions": {name: asdict(region) for name, region in scored.regions.items()},
    }
