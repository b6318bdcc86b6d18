"""What is kept of virtual trials while they go by, portion by portion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from virtlab.evaluation.compared import Compared, Examples
from virtlab.evaluation.matching import Array, Matched
from virtlab.jury import ALONE, Jury
from virtlab.scores import distance, energy_scores, ranks
from virtlab.trials import Measurement

MOST_AT_ONCE = 4e6  # of draws x trials x values, scored at once
MARGINAL_DRAWS = 100
QUANTILES = (0.05, 0.5, 0.95)


@dataclass
class Collected:
    """One measurement's scores, ranks and summaries of its draws."""

    measurement: Measurement
    real: Array
    jury: Jury
    score: Array
    ranks: Array
    one: Array
    mean: Array
    variance: Array
    quantiles: Array
    examples: list[Examples]
    rng: np.random.Generator
    draws: int = 0

    @classmethod
    def empty(
        cls,
        measurement: Measurement,
        real: Array,
        settings: int,
        rng: np.random.Generator,
        jury: Jury = ALONE,
    ) -> Collected:
        """Nothing collected yet."""
        trials, width = real.shape
        return cls(
            measurement=measurement,
            real=real,
            jury=jury,
            score=np.full(trials, np.nan),
            ranks=np.full((len(jury.shares), *real.shape), np.nan),
            one=np.full(real.shape, np.nan),
            mean=np.empty((settings, width)),
            variance=np.empty((settings, width)),
            quantiles=np.empty((settings, len(QUANTILES), width)),
            examples=[],
            rng=rng,
        )

    def add(
        self, drawn: Array, here: NDArray[np.int64], matched: Matched, shown: Sequence[int]
    ) -> None:
        """Take in the jury's draws ``(setting, draw, value)`` of consecutive settings `here`.

        Scores and coverage are those of the whole ensemble; all else is of the judges' draws.
        """
        own = self.jury.of_judges(drawn.swapaxes(0, 1)).swapaxes(0, 1)
        self.draws = own.shape[1]
        self.mean[here] = own.mean(axis=1)
        self.variance[here] = own.var(axis=1, ddof=1)
        self.quantiles[here] = np.quantile(own, QUANTILES, axis=1).swapaxes(0, 1)
        rows = rows_at(here, matched)
        rows = rows[~np.isnan(self.real[rows]).all(axis=1)]
        for part in parts_of(rows, drawn[0].size):
            draws = drawn[matched.setting[part] - here[0]].swapaxes(0, 1)
            self.score[part] = self.jury.energy_scores(draws, self.real[part])
            for view, voices in enumerate(self.jury.views(draws)):
                self.ranks[view, part] = ranks(voices, self.real[part], self.rng)
            # One virtual trial for each real one; replicates get different draws.
            pick = matched.occurrence[part] % self.draws
            self.one[part] = draws[pick, np.arange(len(part))]
        for setting in shown:
            if here[0] <= setting <= here[-1]:
                self.examples.append(
                    Examples(
                        {name: values[setting] for name, values in matched.settings.items()},
                        self.real[matched.setting == setting],
                        own[setting - here[0]],
                    )
                )

    def finish(self, matched: Matched, marginal: Array | None = None) -> Compared:
        """Add what ignoring the parameters scores, unless that is known."""
        if marginal is None:
            marginal = _marginal_scores(self.real, matched.weight, self.rng)
        return Compared(
            measurement=self.measurement,
            real=self.real,
            setting=matched.setting,
            weight=matched.weight,
            score=self.score,
            marginal=marginal,
            ranks=self.ranks,
            shares=self.jury.shares,
            one=self.one,
            draws=self.draws,
            mean=self.mean,
            variance=self.variance,
            quantiles=self.quantiles,
            examples=tuple(self.examples),
        )


def rows_at(here: NDArray[np.int64], matched: Matched) -> NDArray[np.int64]:
    """Trials at settings `here`."""
    found: NDArray[np.int64] = np.flatnonzero(np.isin(matched.setting, here))
    return found


def parts_of(rows: NDArray[np.int64], each: int) -> Iterator[NDArray[np.int64]]:
    """Rows in pieces small enough to be scored at once."""
    size = max(1, int(MOST_AT_ONCE / each))
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _marginal_scores(real: Array, weight: Array, rng: np.random.Generator) -> Array:
    """Score of resampling the other real trials, whatever the setting, ``(trial,)``."""
    found = np.full(len(real), np.nan)
    seen = np.flatnonzero(~np.isnan(real).all(axis=1))
    if len(seen) < 2:
        return found
    alike = bool((weight == weight[0]).all())
    share = weight[seen] / weight[seen].sum()
    for part in parts_of(np.arange(len(seen)), MARGINAL_DRAWS * real.shape[1]):
        shape = (MARGINAL_DRAWS, len(part))
        if alike:
            step = rng.integers(1, len(seen), shape)
        else:  # itself is replaced by its neighbour
            step = np.maximum((rng.choice(len(seen), shape, p=share) - part) % len(seen), 1)
        other = seen[(part + step) % len(seen)]
        found[seen[part]] = _scores_with_gaps(real[other], real[seen[part]])
    return found


def _scores_with_gaps(draws: Array, real: Array) -> Array:
    """As `energy_scores`, for draws that lack values themselves."""
    if not np.isnan(draws).any():
        return energy_scores(draws, real)
    error = np.nanmean([distance(drawn, real) for drawn in draws], axis=0)
    spread = distance(draws, np.roll(draws, 1, axis=0) + np.where(np.isnan(real), np.nan, 0.0))
    scores: Array = error - 0.5 * np.nanmean(spread, axis=0)
    return scores
