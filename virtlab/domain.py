"""Is this setting inside the data? Distance to training settings, against their own gaps.

What is as near to a training setting as 95 % of them are to each other is inside, so that holes
within the hull are outside like what lies beyond it. Parameters count by what they matter: one
that is irrelevant pushes nothing outside, and among many such a relevant one does not hide.
Categories that never were run, alone or together, count as outside however near the rest is.

A private model keeps no training setting: means of groups of them stand for all, so that holes
smaller than a group are not seen (microaggregation, Domingo-Ferrer & Mateo-Sanz 2002).

The disagreement of the ensemble's members was measured as a further sign and left out: it finds
large errors worse than the distance does, and adds nothing to it (tests/benchmarks/domain.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Distances = NDArray[np.float64]

VERDICTS = ("inside", "edge", "outside")
INSIDE_QUANTILE = 0.95
EDGE = 2.0  # times the distance that still counts as inside
NEVER_RUN = 2 * EDGE  # least distance of what no training setting says anything of
HALFWAY = (1 + EDGE) / 2
FAINT = 0.05  # weight of a feature that does not matter: far beyond the data, it still does
SAME = 1e-5  # conditions that differ by less are of one setting
SIGHT = 20  # standard deviations of a feature beyond its training values that networks see
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
    weights
        What a step along each feature counts in distances, ``(feature,)``.
    fixed
        Where the reference are means of groups: the features that were the same in all training.
        None: it is of single settings, and tells.
    """

    reference: Floats
    reach: float
    weights: Floats
    fixed: tuple[int, ...] | None = None

    def distance(self, conditions: Floats) -> Distances:
        """Distance to the nearest training setting in units of `reach`, ``(setting,)``."""
        nearest = _nearest(conditions * self.weights, self.reference * self.weights)
        never = np.maximum(self._never_varied(conditions), self._pairs(conditions))
        if self.reach == 0:  # one setting alone
            return np.maximum(np.where(nearest > 0, NEVER_RUN, 0.0), never)
        return np.maximum(nearest / self.reach, never)

    def in_sight(self, conditions: Floats) -> Floats:
        """Conditions as networks see them: much farther out their arithmetic would overflow."""
        low, high = self._sight
        return np.clip(conditions, low, high)

    @cached_property
    def _sight(self) -> tuple[Floats, Floats]:
        return self.reference.min(axis=0) - SIGHT, self.reference.max(axis=0) + SIGHT

    def _never_varied(self, conditions: Floats) -> Distances:
        """`NEVER_RUN` where a feature that was the same in all training differs, else 0."""
        same = np.flatnonzero(np.ptp(self.reference, axis=0) == 0)
        fixed = same if self.fixed is None else np.array(self.fixed, np.intp)
        moved = np.abs(conditions[:, fixed] - self.reference[0, fixed]) > SAME
        return np.where(moved.any(axis=1), NEVER_RUN, 0.0)

    def _pairs(self, conditions: Floats) -> Distances:
        """How far a pair of categories that was never run together puts a setting, else 0."""
        columns, unseen, verdict = self._unseen_pairs
        on = (conditions[:, columns] > 0).astype(np.float32)
        return np.where(((on @ unseen) * on).any(axis=1), verdict, 0.0)

    @cached_property
    def _unseen_pairs(self) -> tuple[NDArray[np.intp], Floats, float]:
        """Columns of categories, 1 for pairs never run, and what such a pair says.

        Where more than 5 % of the training settings hold a pair that no other one holds, a new
        pair is nothing unusual, and the scores on held-out settings are of such pairs, too.
        """
        level = np.isin(self.reference, (-1, 1)).all(axis=0) & (self.weights > FAINT)
        columns = np.flatnonzero(level)
        on = (self.reference[:, columns] > 0).astype(np.float32)
        count = on.T @ on
        alone = ((on @ (count == 1).astype(np.float32)) * on).any(axis=1)
        usual = self.fixed is None and bool(alone.mean() > 1 - INSIDE_QUANTILE)
        return columns, (count == 0).astype(np.float32), HALFWAY if usual else NEVER_RUN


def verdicts(distance: Distances) -> NDArray[np.object_]:
    """``inside``, ``edge`` or ``outside`` for each distance."""
    grade = (distance > 1 + 1e-6).astype(int) + (distance > EDGE + 1e-6)
    named: NDArray[np.object_] = np.array(VERDICTS, dtype=object)[grade]
    return named


def learn_domain(
    conditions: Floats, rng: np.random.Generator, relevance: Floats | None = None
) -> Domain:
    """Domain of training conditions, ``(trial, feature)``; repeated settings count once.

    Parameters
    ----------
    relevance
        What each feature matters, 0 not at all, 1 or more as much as all of them together,
        ``(feature,)``; see `feature_relevance`. None: all alike.
    """
    reference = np.unique(conditions, axis=0)
    if len(reference) > MOST_REFERENCES:
        reference = reference[_some(reference, rng)]
    weights = np.ones(reference.shape[1], np.float32)
    if len(reference) < 2:
        return Domain(reference, 0.0, weights)
    if relevance is not None:
        weights = _weights(reference, relevance)
    gaps = _nearest(reference * weights, reference * weights, skip_self=True)
    return Domain(reference, float(np.quantile(gaps, INSIDE_QUANTILE)), weights)


def learn_private_domain(
    conditions: Floats, rng: np.random.Generator, relevance: Floats | None, least: int
) -> Domain:
    """As `learn_domain`, of means of at least so many settings instead of the settings.

    A combination of categories that has fewer settings is left out, and outside from then on.
    The reference is empty where that leaves nothing.
    """
    whole = learn_domain(conditions, rng, relevance)
    rows, weights = whole.reference, whole.weights
    category = np.isin(rows, (-1, 1)).all(axis=0)
    _, combination = np.unique(rows[:, category], axis=0, return_inverse=True)
    means, gaps = [], []
    for each in np.unique(combination.ravel()):
        own = np.flatnonzero(combination.ravel() == each)
        for group in _groups(own, rows * weights, least) if len(own) >= least else []:
            mean = rows[group].mean(axis=0, dtype=np.float64)
            means.append(mean)
            # To the mean of the others: each would lie too near to a mean that it is part of.
            away = np.linalg.norm((rows[group] - mean) * weights, axis=1)
            gaps.append(away * len(group) / (len(group) - 1))
    reference = np.array(means, np.float32).reshape(-1, rows.shape[1])
    reach = float(np.quantile(np.concatenate(gaps), INSIDE_QUANTILE)) if gaps else 0.0
    fixed = np.flatnonzero(np.ptp(rows, axis=0) == 0)
    return Domain(reference, reach, weights, tuple(fixed.tolist()))


def _groups(rows: NDArray[np.intp], places: Floats, least: int) -> list[NDArray[np.intp]]:
    """Split rows at the median of where they are widest, down to `least` (LeFevre et al. 2006)."""
    if len(rows) < 2 * least:
        return [rows]
    widest = int(np.ptp(places[rows], axis=0).argmax())
    order = rows[np.argsort(places[rows, widest], kind="stable")]
    half = len(order) // 2
    return _groups(order[:half], places, least) + _groups(order[half:], places, least)


def _some(reference: Floats, rng: np.random.Generator) -> NDArray[np.intp]:
    """Rows to represent many, sorted: the rarest pairs of categories first, else at random."""
    order = rng.permutation(len(reference))
    on = (reference[:, np.isin(reference, (-1, 1)).all(axis=0)] > 0).astype(np.float32)
    rare = ((on.T @ on > 0) & (on.T @ on <= 2)).astype(np.float32)
    common = ((on @ rare) * on).max(axis=1, initial=0) == 0
    return np.sort(order[np.argsort(common[order], kind="stable")][:MOST_REFERENCES])


def feature_relevance(labels: Sequence[str], relevance: Mapping[str, Any]) -> Floats:
    """What each feature matters, ``(feature,)``, from what parameters do; 1 where it is unknown.

    Parameters
    ----------
    labels
        Of the features.
    relevance
        By parameter: ``rise`` of the held-out score where it is shuffled, its standard
        ``error``, and the labels of the ``features`` that it moves.
    """
    found: dict[str, float] = {}
    for parameter in relevance.values():
        most = max(parameter["rise"] + parameter["error"], 0.0)
        for label in parameter["features"]:
            found[label] = max(found.get(label, 0.0), most)
    return np.array([found.get(label, 1.0) for label in labels], np.float32)


def _weights(reference: Floats, relevance: Floats) -> Floats:
    """Weights from relevance, a share of variance; a feature counts like those it moves with.

    Of features that always moved together the data cannot tell which one matters, and the model
    may have learned from either.
    """
    own = np.clip(np.sqrt(relevance), FAINT, 1)
    varies = np.flatnonzero(np.ptp(reference, axis=0) > 0)
    together = np.abs(np.atleast_2d(np.corrcoef(reference[:, varies], rowvar=False)))
    together[together < 2 / np.sqrt(len(reference))] = 0  # what chance makes
    np.fill_diagonal(together, 1)
    own[varies] = (together * own[varies]).max(axis=1)
    weights: Floats = np.clip(own, FAINT, 1).astype(np.float32)
    return weights


def _nearest(rows: Floats, reference: Floats, *, skip_self: bool = False) -> Distances:
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
    return np.where(found < SAME, 0.0, found)
