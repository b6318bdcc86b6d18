"""What stands in the report: numbers as text, figures as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import virtlab
from virtlab.evaluation import Evaluation
from virtlab.evaluation.audit import Audit
from virtlab.evaluation.comparison import Comparison
from virtlab.evaluation.scoring import LEVELS
from virtlab.report.drivers import make_drivers
from virtlab.report.figures import draw_domain, draw_history
from virtlab.report.sections import Figure, format_interval, make_figure, make_sections
from virtlab.report.together import (
    baseline_table,
    fidelity_table,
    together_figures,
    usefulness_table,
    worst_table,
)
from virtlab.simulation.remarks import remarks

LITTLE = 0.2  # weight in distances of a feature that hardly matters


@dataclass(frozen=True)
class Number:
    """One of the three numbers on top."""

    value: str
    label: str
    note: str


def contents(evaluation: Evaluation) -> dict[str, Any]:
    """Everything that the template names."""
    manifest, comparison = evaluation.manifest, evaluation.comparison
    return {
        "title": str(manifest["experiment"]["name"]),
        "headline": evaluation.headline,
        "verdict": evaluation.verdict,
        "learned": ". ".join([_learned(manifest), *_capitals(remarks(manifest["data"]))]) + ".",
        "numbers": _numbers(manifest, comparison),
        "parameters": [_parameter(found) for found in manifest["parameters"]],
        "measurements": make_sections(manifest, comparison),
        "compared": _compared_line(comparison),
        "training": _training(manifest),
        "history": _history(manifest),
        "domain": _domain(manifest, comparison),
        "domain_figure": None if comparison is None else make_figure(draw_domain(comparison), ""),
        "baselines": baseline_table(comparison),
        "together": together_figures(comparison),
        "together_tables": [
            table
            for make in (fidelity_table, usefulness_table, worst_table)
            if (table := make(comparison)) is not None
        ],
        "audit": _audit(evaluation.audit),
        "drivers": make_drivers(evaluation.sensitivity, manifest) if evaluation.sensitivity else [],
        "driver_notes": evaluation.sensitivity.notes if evaluation.sensitivity else (),
        "provenance": _provenance(evaluation),
    }


def _learned(manifest: Mapping[str, Any]) -> str:
    data = manifest["data"]
    return (
        f"Learned from {data['trials']:,} trials at {data['settings']:,} settings: "
        f"{_count(len(manifest['columns']), 'measurement')} as a function of "
        f"{_count(len(manifest['parameters']), 'parameter')}"
    )


def _capitals(sentences: list[str]) -> list[str]:
    return [sentence[:1].upper() + sentence[1:] for sentence in sentences]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _parameter(found: Mapping[str, Any]) -> tuple[str, str, str]:
    """Name, unit, and range in the training data."""
    unit = "" if found["units"] in ("", "1") else str(found["units"])
    if found["kind"] == "categorical":
        names = [str(name) for name in found["categories"]]
        more = f", … {len(names)} in all" if len(names) > 8 else ""
        return str(found["name"]), unit, ", ".join(names[:8]) + more
    low, high = found["range"]
    return str(found["name"]), unit, f"{float(low):g} to {float(high):g}"


def _numbers(manifest: Mapping[str, Any], comparison: Comparison | None) -> list[Number]:
    """Three numbers: how much is learned, how honest the intervals are, what to compare with."""
    if comparison is not None:
        return _new_numbers(comparison)
    scores = manifest["scores"]
    ratios = {name: _ratio(s["model"], s["marginal"]) for name, s in scores.items()}
    nearest = {name: _ratio(s["model"], s["nearest"]) for name, s in scores.items()}
    floors = [s["floor"] / s["marginal"] for s in scores.values() if s["floor"] and s["marginal"]]
    held = {n: s["coverage_90"] for n, s in scores.items() if s["coverage_90"] is not None}
    best = f"a perfect model: {np.mean(floors):.2f}" if floors else "best possible: not known"
    return [
        Number(
            _mean(ratios), "times the score of ignoring the parameters", f"{best}{_worst(ratios)}"
        ),
        _coverage_number(held),
        Number(
            _mean(nearest),
            "times the score of resampling the nearest settings",
            f"below 1 the model is worth having{_worst(nearest)}",
        ),
    ]


def _new_numbers(comparison: Comparison) -> list[Number]:
    scored = [s for s in comparison.measurements if s.trials]
    ratios = {s.measurement.name: _ratio(s.model.value, s.marginal.value) for s in scored}
    floors = [_ratio(s.floor, s.marginal.value) for s in scored if math.isfinite(s.floor)]
    best = f"a perfect model: {np.mean(floors):.2f}" if floors else "best possible: not known"
    at = LEVELS.index(0.9)
    held = {s.measurement.name: s.coverage[at].value for s in scored if s.coverage}
    apart = comparison.two_sample
    if apart.auc is None:
        last = Number("–", "telling virtual from real", apart.note)
    else:
        last = Number(
            f"{apart.auc.value:.2f}",
            "AUC of a classifier that tells virtual from real",
            f"0.50: it cannot; 1: always; 90 % interval {format_interval(apart.auc, '.2f')}",
        )
    return [
        Number(
            _mean(ratios), "times the score of ignoring the parameters", f"{best}{_worst(ratios)}"
        ),
        _coverage_number(held),
        last,
    ]


def _coverage_number(held: Mapping[str, float]) -> Number:
    label = "of real values held by 90 % intervals"
    if not held:
        return Number("–", label, "categories have no intervals")
    name, share = max(held.items(), key=lambda item: abs(item[1] - 0.9))
    note = f"{name}, the farthest off" if len(held) > 1 else "ideal: 90 %"
    return Number(f"{share:.0%}", label, note)


def _ratio(first: float, second: float) -> float:
    return first / second if second else math.nan


def _mean(ratios: Mapping[str, float]) -> str:
    known = [ratio for ratio in ratios.values() if math.isfinite(ratio)]
    return f"{np.mean(known):.2f}" if known else "–"


def _worst(ratios: Mapping[str, float]) -> str:
    known = {name: ratio for name, ratio in ratios.items() if math.isfinite(ratio)}
    if len(known) < 2:
        return ""
    name = max(known, key=lambda key: known[key])
    return f"; mean of {len(known)}, the worst {name} {known[name]:.2f}"


def _compared_line(comparison: Comparison | None) -> str:
    if comparison is None:
        return ""
    if comparison.held_out:
        return (
            f"Judged on {comparison.trials:,} of these trials at {comparison.settings:,} settings, "
            f"each by {comparison.draws} virtual trials of members that never saw its setting. "
            "When to stop, and how wide to scatter, was chosen by held-out scores, too: a new set "
            "of trials is the stricter test."
        )
    return (
        f"Held against {comparison.trials:,} new real trials at {comparison.settings:,} settings, "
        f"{comparison.draws} virtual trials at each."
    )


def _training(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    training = manifest["training"]
    facts = [
        ("preset", str(training["preset"])),
        ("members", str(training["members"])),
        ("kept after", str(training["stage"])),
        ("ended", str(training["ended"])),
        ("health", "; ".join(training.get("health", ["not watched"]))),
        ("held-out score", f"{training['score']:.3f} of the marginal's"),
    ]
    gain, error = training["refinement_gain"], training["refinement_gain_error"]
    if gain is not None and math.isfinite(gain):
        about = "" if error is None else f" ± {error:.2g}"
        facts.append(("fall of the score by refinement", f"{gain:.2g}{about}"))
    for name, factor in manifest["calibration"].items():
        tail = float(manifest.get("tails", {}).get(name, 0))
        heavier = f", with heavier tails (h = {tail:.2f})" if tail else ""
        facts.append((f"spread of {name} after calibration", f"x {float(factor):.2f}{heavier}"))
    return facts


def _history(manifest: Mapping[str, Any]) -> Figure | None:
    history = manifest["training"]["history"]
    if not history:
        return None
    return make_figure(
        draw_history(history), "Held-out score along training; 1 has learned nothing."
    )


def _domain(manifest: Mapping[str, Any], comparison: Comparison | None) -> list[str]:
    reach = float(manifest["domain"]["reach"])
    said = [
        "A setting is inside the data where it is as near to a training setting as 95 % of those "
        f"are to each other ({reach:.3g} standardised units), at the edge up to twice as far, and "
        "outside beyond; so are values and pairs of categories that were never run. virtlab does "
        "not extrapolate: believe nothing outside."
    ]
    weights = manifest["domain"].get("weights", [])
    labels = manifest["features"]["labels"] if weights else []
    little = [name for name, weight in zip(labels, weights, strict=True) if weight <= LITTLE]
    if little:
        said.append(
            "Parameters count by what they matter to the measurements; next to nothing, so that "
            f"only values far beyond the data are outside: {', '.join(little)}."
        )
    if comparison is not None:
        counts = ", ".join(f"{n:,} {name}" for name, n in comparison.region_counts.items())
        said.append(
            f"Held-out settings, seen from the others: {counts}."
            if comparison.held_out
            else f"New settings: {counts}."
        )
    return said


def _audit(found: Audit | None) -> list[tuple[str, str]]:
    """The memorisation audit as facts; its words come first."""
    if found is None:
        return []
    rows = [("verdict", found.words.removeprefix("memorisation: "))]
    told = {
        f"virtual trials nearer to a training trial, beside {found.control}": found.nearness,
        "the same of draws of a Gaussian process fitted to these trials": found.usual_nearness,
        "advantage of guessing who was trained on": found.advantage,
        "the same of a Gaussian process fitted to these trials": found.usual,
        f"exact copies, above those among {found.control}": found.copies,
    }
    rows += [
        (label, f"{number.value:.2f} {format_interval(number, '.2f')}")
        for label, number in told.items()
        if number is not None
    ]
    if found.gaps is not None:
        rows.append(
            (
                "median distance to the nearest training trial, in standard deviations",
                f"virtual {found.gaps[0]:.3g}, {found.control} {found.gaps[1]:.3g}",
            )
        )
    return rows


def _provenance(evaluation: Evaluation) -> list[tuple[str, str]]:
    manifest, comparison = evaluation.manifest, evaluation.comparison
    conditioner = manifest["conditioner"]
    rows = [
        ("model file", evaluation.name),
        ("sha256 of the model file", evaluation.digest),
        ("sha256 of the training data", str(manifest["data"]["sha256"])),
        ("training files", ", ".join(map(str, manifest["data"]["files"]))),
        ("trained by", f"virtlab {manifest['virtlab']}, seed {manifest['seed']}"),
        (
            "conditioner",
            f"{conditioner['name']} ({conditioner['distribution']} {conditioner['version']})",
        ),
        ("evaluated by", f"virtlab {virtlab.__version__}"),
    ]
    if comparison is not None:
        if not comparison.held_out:
            rows.append(("sha256 of the new data", str(evaluation.data_digest)))
        rows.append(("seed of the evaluation", str(comparison.seed)))
    return rows
