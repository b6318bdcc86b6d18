"""All measurements of a trial together: their energy score, and the coverage of joint regions.

One unit of distance is the root mean square over measurements, each in units of its own spread
among all real trials, so that each counts as one, however many values it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from virtlab.evaluation.collecting import parts_of, rows_at
from virtlab.evaluation.estimates import Estimate, estimate_mean, estimate_means
from virtlab.evaluation.matching import Array, Matched
from virtlab.evaluation.scoring import LEVELS
from virtlab.jury import ALONE, Jury
from virtlab.scores import distance, mean_of, repeats_enough, replicate_floor


@dataclass(frozen=True)
class Joint:
    """How whole trials compare.

    Parameters
    ----------
    trials
        With any value.
    score
        Energy score of all measurements together; see the module.
    scores
        Of each trial, ``(trial,)``.
    marginal
        Of resampling real trials, whatever the setting.
    floor
        Of replicates; NaN without any.
    coverage
        Share of trials inside the joint region of each of `LEVELS`: the draws nearer to a
        random reference trial than the real one is (TARP, Lemos et al. 2023).
    """

    trials: int
    score: Estimate
    scores: Array
    marginal: float
    floor: float
    coverage: tuple[Estimate, ...]


@dataclass
class CollectedJoint:
    """Joint scores and ranks while draws go by."""

    names: tuple[str, ...]
    scale: Array
    real: Array
    reference: Array
    jury: Jury
    score: Array
    ranks: Array
    rng: np.random.Generator

    @classmethod
    def empty(
        cls, real: Mapping[str, Array], rng: np.random.Generator, jury: Jury = ALONE
    ) -> CollectedJoint:
        """Nothing collected yet."""
        names = tuple(real)
        whole = np.concatenate([real[name] for name in names], axis=1)
        width = whole.shape[1]
        scale = np.concatenate(
            [
                np.full(values.shape[1], _spread(values) * np.sqrt(values.shape[1] / width))
                for values in real.values()
            ]
        ) * np.sqrt(len(names))
        whole = whole / scale
        step = rng.integers(1, max(len(whole), 2), len(whole))
        return cls(
            names=names,
            scale=scale,
            real=whole,
            reference=whole[(np.arange(len(whole)) + step) % len(whole)],
            jury=jury,
            score=np.full(len(whole), np.nan),
            ranks=np.full((len(jury.shares), len(whole)), np.nan),
            rng=rng,
        )

    def add(self, drawn: Mapping[str, Array], here: NDArray[np.int64], matched: Matched) -> None:
        """Take in the draws ``(setting, draw, value)`` of consecutive settings `here`."""
        whole = np.concatenate([drawn[name] for name in self.names], axis=-1) / self.scale
        rows = rows_at(here, matched)
        rows = rows[~np.isnan(self.real[rows]).all(axis=1)]
        for part in parts_of(rows, whole[0].size):
            draws, real = whole[matched.setting[part] - here[0]].swapaxes(0, 1), self.real[part]
            self.score[part] = self.jury.energy_scores(draws, real)
            for view, voices in enumerate(self.jury.views(draws)):
                self.ranks[view, part] = self._ranks(voices, real, self.reference[part])

    def _ranks(self, draws: Array, real: Array, reference: Array) -> Array:
        """Randomised rank of the real trial by nearness to the reference, ``(trial,)``."""
        hidden = reference + np.where(np.isnan(real), np.nan, 0.0)
        mine, others = distance(real, hidden), distance(draws, hidden)
        nearer, equal = (others < mine).sum(axis=0), (others == mine).sum(axis=0)
        rank = (nearer + self.rng.random(len(mine)) * (equal + 1)) / (len(draws) + 1)
        return np.where(np.isnan(mine), np.nan, rank)

    def finish(self, matched: Matched) -> Joint:
        """Add intervals, ceiling and floor."""
        setting, weight, rng = matched.setting, matched.weight, self.rng
        seen = ~np.isnan(self.ranks[0])
        inside = np.stack(
            [self.jury.shares @ np.where(seen, self.ranks <= level, 0) for level in LEVELS], axis=1
        )
        step = rng.integers(1, max(len(self.real), 2), (50, len(self.real)))
        other = (np.arange(len(self.real)) + step) % len(self.real)
        marginal = _resampled(self.real, other)
        full = ~np.isnan(self.real).all(axis=1)
        return Joint(
            trials=int((~np.isnan(self.score)).sum()),
            score=estimate_mean(self.score, weight, setting, rng),
            scores=self.score,
            marginal=mean_of(marginal, weight),
            floor=(
                replicate_floor(self.real[full], setting[full], weight[full])
                if repeats_enough(setting[full])
                else float("nan")
            ),
            coverage=tuple(
                each.within(0, 1)
                for each in estimate_means(inside * weight[:, None], seen * weight, setting, rng)
            ),
        )


def _spread(values: Array) -> float:
    """Root mean variance over the entries; 1 where nothing varies."""
    seen = ~np.isnan(values)
    count = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, values, 0).sum(axis=0) / count
    squares = np.where(seen, np.square(values - mean), 0)
    spread = float(np.sqrt(squares.sum() / max(seen.sum(), 1)))
    return spread or 1.0


def _resampled(real: Array, other: NDArray[np.int64]) -> Array:
    """Energy score of other trials ``(draw, trial)``; what any of them lacks drops out."""
    found = np.full(len(real), np.nan)
    for part in parts_of(np.arange(len(real)), len(other) * real.shape[1]):
        draws = real[other[:, part]]
        error = _means([distance(drawn, real[part]) for drawn in draws])
        hidden = np.where(np.isnan(real[part]), np.nan, 0.0)
        spread = _means(list(distance(draws, np.roll(draws, 1, axis=0) + hidden)))
        found[part] = error - 0.5 * spread
    return found


def _means(rows: list[Array]) -> Array:
    stacked = np.stack(rows)
    seen = ~np.isnan(stacked)
    count = seen.sum(axis=0)
    total = np.where(seen, stacked, 0).sum(axis=0)
    mean: Array = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return mean
