"""What was simulated, in numbers that fit on a screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.design import Design
from virtlab.domain import VERDICTS
from virtlab.simulation.drawing import decoded
from virtlab.simulation.outside import Outside, find_outside
from virtlab.storage.template import Template
from virtlab.trials import Measurement

if TYPE_CHECKING:
    from virtlab.simulation.model import Model
    from virtlab.simulation.plan import Plan

QUANTILES = (0.05, 0.5, 0.95)
MOST_VALUES = 2**20
"""Per measurement, that a summary looks at."""

Piece = Mapping[str, NDArray[Any]]
"""What a summary looks at of one region: ``(any, *own dims)`` by measurement."""


class Sample:
    """The trials that a summary looks at: the first ones of each setting, or of every so-manieth.

    They are the same whatever regions they come in.

    Parameters
    ----------
    settings, trials
        How many there are in all.
    size
        Values per trial of the largest measurement.
    """

    def __init__(self, settings: int, trials: int, size: int) -> None:
        self.trials = max(1, min(trials, MOST_VALUES // (settings * size)))
        self.every = max(1, -(-settings * size // MOST_VALUES))
        self.whole = self.trials == trials and self.every == 1
        self._pieces: list[Piece] = []

    def wanted(self, trials: range) -> range:
        """Those of some trials that are looked at."""
        return range(trials.start, max(trials.start, min(trials.stop, self.trials)))

    def take(self, settings: range, trials: range, values: Mapping[str, NDArray[Any]]) -> Piece:
        """Copy from a region what is looked at: ``(setting, trial, *own dims)`` by name."""
        count = len(self.wanted(trials))
        first = -settings.start % self.every
        kept = {name: v[first :: self.every, :count].copy() for name, v in values.items()}
        return {name: v.reshape(-1, *v.shape[2:]) for name, v in kept.items()}

    def add(self, piece: Piece) -> None:
        """Look at what was taken, in the order of the regions."""
        if piece:
            self._pieces.append(piece)

    def of(self, name: str) -> NDArray[Any]:
        """All that was taken of one measurement, ``(any, *own dims)``."""
        return np.concatenate([piece[name] for piece in self._pieces])


@dataclass(frozen=True)
class Summary:
    """What was simulated.

    Parameters
    ----------
    plan
        How much.
    seed
        Of the latents.
    whole
        The numbers are of all trials; otherwise of a sample of them.
    measurements
        Per measurement: unit, mean, sd and quantiles, or shares of the categories.
    domain
        Number of settings inside, at the edge, outside.
    outside
        What lies outside the data, if anything does.
    trust
        How far the model can be trusted, from its held-out scores, a sentence each.
    """

    plan: Plan
    seed: int
    whole: bool
    measurements: dict[str, dict[str, Any]]
    domain: dict[str, int]
    outside: Outside | None
    trust: list[str]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "output": str(self.plan.output),
            "settings": self.plan.settings,
            "trials": self.plan.trials,
            "seed": self.seed,
            "over_all": self.whole,
            "measurements": self.measurements,
            "domain": self.domain,
            "worst": self.outside.farthest if self.outside else None,
            "trust": self.trust,
        }

    def lines(self) -> list[str]:
        """For the terminal."""
        rows: list[tuple[str, ...]] = [("measurement", "unit", "mean", "sd", "5 %", "50 %", "95 %")]
        notes = []
        for name, found in self.measurements.items():
            if "shares" in found:
                top = sorted(found["shares"].items(), key=lambda item: -item[1])[:5]
                notes.append(f"{name}: " + ", ".join(f"{key} {share:.1%}" for key, share in top))
                continue
            numbers = [found["mean"], found["sd"], *found["quantiles"].values()]
            rows.append((name, found["units"] or "-", *(f"{number:.4g}" for number in numbers)))
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        table = [
            "  ".join(
                cell.ljust(width) if i < 2 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        total = self.plan.settings * self.plan.trials
        head = f"{total:,} virtual trials at {self.plan.settings:,} settings, seed {self.seed}"
        if not self.whole:
            head += "; over a sample of them:"
        elif self.plan.settings > 1:
            head += "; over all of them:"
        body = (table if len(rows) > 1 else []) + notes
        end = f"written to {self.plan.output}"
        return [head, *body, *self.trust, self._domain_line(), end]

    def _domain_line(self) -> str:
        counts = ", ".join(f"{self.domain[name]:,} {name}" for name in VERDICTS)
        line = f"settings: {counts} the training data"
        return line + (f"\nwarning: {self.outside}" if self.outside else "")


def summarise(
    model: Model, design: Design, template: Template, sample: Sample, planned: Plan, seed: int
) -> Summary:
    """Describe the trials of a sample, and where their settings lie."""
    counts = Counter(np.ravel(template.variables["domain"].known).tolist())
    distance = np.ravel(template.variables["domain_distance"].known)
    return Summary(
        plan=planned,
        seed=seed,
        whole=sample.whole,
        measurements={
            column.measurement.name: _describe(
                decoded(column, sample.of(column.measurement.name)), column.measurement.units
            )
            for column in model.columns
        },
        domain={name: counts[name] for name in VERDICTS},
        outside=find_outside(design, distance),
        trust=[_trust(column.measurement, model) for column in model.columns]
        + [f"note: {said}" for said in model.manifest["verdict"]],
    )


def _trust(measurement: Measurement, model: Model) -> str:
    """One measurement's held-out scores in a sentence."""
    score = model.scores[measurement.name]
    unit = f" {measurement.units}" if measurement.units not in ("", "1") else ""
    said = (
        f"held out, {measurement.name}: CRPS {score['model']:.3g}{unit}, "
        f"{score['marginal']:.3g} ignoring the parameters"
    )
    if score["floor"] is not None:
        said += f", {score['floor']:.3g} between replicates"
    if score["coverage_90"] is not None:
        said += f"; 90 % intervals held {score['coverage_90']:.0%}"
    return said


def _describe(values: NDArray[Any], units: str) -> dict[str, Any]:
    """Mean, spread and quantiles over all settings, trials and own dims."""
    if values.dtype == object:
        shares = Counter(values.ravel().tolist())
        return {"units": units, "shares": {k: n / values.size for k, n in sorted(shares.items())}}
    quantiles = np.quantile(values, QUANTILES)
    return {
        "units": units,
        "mean": float(values.mean(dtype=np.float64)),
        "sd": float(values.std(dtype=np.float64)),
        "quantiles": {f"{q:g}": float(v) for q, v in zip(QUANTILES, quantiles, strict=True)},
    }
