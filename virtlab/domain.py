"""Is this setting inside the data? Distance to training settings, against their own gaps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

VERDICTS = ("inside", "edge", "outside")
INSIDE_QUANTILE = 0.95
EDGE = 2.0  # times the distance that still counts as inside
MOST_REFERENCES = 20_000
_TABLE = 2_000_000  # distances held in memory at once


@dataclass(frozen=True)
class Domain:
    """The settings that a model was trained on.

    Parameters
    ----------
    reference
        Distinct training conditions, standardised, ``(setting, feature)``.
    reach
        The gap to the nearest other training setting that 95 % of them stay within: what is
        this near to a training setting is inside the data, up to twice as far is its edge.
    """

    reference: Floats
    reach: float

    def distance(self, conditions: Floats) -> NDArray[np.float64]:
        """Distance to the nearest training setting in units of `reach`, ``(setting,)``."""
        nearest = _nearest(conditions, self.reference)
        if self.reach > 0:
            return nearest / self.reach
        return np.where(nearest > 0, np.inf, 0.0)


def verdicts(distance: NDArray[np.float64]) -> NDArray[np.object_]:
    """``inside``, ``edge`` or ``outside`` for each distance."""
    grade = (distance > 1 + 1e-6).astype(int) + (distance > EDGE + 1e-6)
    named: NDArray[np.object_] = np.array(VERDICTS, dtype=object)[grade]
    return named


def learn_domain(conditions: Floats, rng: np.random.Generator) -> Domain:
    """Domain of training conditions, ``(trial, feature)``; repeated settings count once."""
    reference = np.unique(conditions, axis=0)
    if len(reference) > MOST_REFERENCES:
        keep = rng.choice(len(reference), MOST_REFERENCES, replace=False)
        reference = reference[np.sort(keep)]
    if len(reference) < 2:
        return Domain(reference, 0.0)
    gaps = _nearest(reference, reference, skip_self=True)
    return Domain(reference, float(np.quantile(gaps, INSIDE_QUANTILE)))


def _nearest(rows: Floats, reference: Floats, *, skip_self: bool = False) -> NDArray[np.float64]:
    """Euclidean distance from each row to the nearest reference (or the nearest other one)."""
    found = np.empty(len(rows))
    wide = reference.astype(np.float64)
    squares = (wide**2).sum(axis=1)
    size = max(1, _TABLE // len(reference))
    for start in range(0, len(rows), size):
        part = rows[start : start + size].astype(np.float64)
        table = squares - 2 * part @ wide.T + (part**2).sum(axis=1)[:, None]
        if skip_self:
            table[np.arange(len(part)), np.arange(start, start + len(part))] = np.inf
        found[start : start + size] = np.sqrt(np.maximum(table.min(axis=1), 0))
    # The matrix product rounds: what is that small is the same setting.
    return np.where(found < 1e-5, 0.0, found)
