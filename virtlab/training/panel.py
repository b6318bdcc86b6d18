"""Draws by some members of an ensemble, who speak for all of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from virtlab import scores
from virtlab.gan.predict import HeldOut

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """Draws for held-out trials by the members that did not learn from them.

    A trial is held out for few members, and each of them is worse and narrower than all together.
    What members are worth together follows their number M as 1 / M: the energy score exactly, of
    which two draws are of different members in (M - 1) / M of the pairs; squared errors and
    variances likewise; coverage nearly. So that of all is found from one and from a few.

    Parameters
    ----------
    draws
        ``(member, draw, trial, value)``.
    judges
        The first so many members judge the trials. The trials ended the training of the others:
        that flatters how near these are to them, not how far members are from each other.
    size
        Members of the whole ensemble.
    """

    draws: Array
    judges: int
    size: int

    @classmethod
    def of(cls, held: HeldOut, draws: NDArray[np.floating]) -> Panel:
        """Of draws ``(draw, trial, value)`` that were made of `held`."""
        members = held.judges + held.enders
        apart = draws.reshape(members, -1, *draws.shape[1:]).astype(np.float64)
        return cls(apart, held.judges, held.members)

    def energy_scores(self, real: Array) -> Array:
        """Energy score of each trial, ``(trial,)``; see `virtlab.scores.energy_scores`."""
        alone: Array = np.mean([scores.energy_scores(own, real) for own in self._of_judges], axis=0)
        if len(self.draws) == 1:
            return alone
        pairs = zip(self.draws, np.roll(self.draws, 1, axis=0), strict=True)
        apart = np.mean([scores.energy_distances(*pair, real) for pair in pairs], axis=0)
        together: Array = alone - (1 - 1 / self.size) / 4 * apart
        return together

    def coverage(
        self,
        real: Array,
        levels: Sequence[float],
        rng: np.random.Generator,
        weight: Array | None = None,
    ) -> list[float]:
        """Share of real values inside the central interval of each level."""

        def covered(draws: Array) -> Array:
            rank = scores.ranks(draws, real, rng)
            return np.array([scores.coverage(rank, level, weight) for level in levels])

        found: list[float] = np.clip(self._together(covered), 0, 1).tolist()
        return found

    def dispersion(self, real: Array, weight: Array) -> float | None:
        """Stated over real scatter around the mean of the draws; 1 is right.

        Intervals can be right and scores good while rare draws stray far: only variances tell.
        """

        def scatter(draws: Array) -> Array:
            stated = np.where(np.isnan(real), np.nan, draws.var(axis=0))
            missed = np.square(draws.mean(axis=0) - real)
            return np.array([scores.mean_of(each, weight) for each in (stated, missed)])

        stated, missed = self._together(scatter)
        ratio = math.sqrt(stated / missed) if stated > 0 < missed else math.nan
        return ratio if math.isfinite(ratio) else None

    @property
    def _of_judges(self) -> Array:
        return self.draws[: self.judges]

    def _together(self, figures: Callable[[Array], Array]) -> Array:
        """Figures of draws ``(draw, trial, value)``, told of the whole ensemble."""
        alone = np.array([figures(own) for own in self.draws])
        count = len(alone)
        judged: Array = alone[: self.judges].mean(axis=0)
        if count == 1:
            return judged
        few = figures(self.draws.reshape(-1, *self.draws.shape[2:])) - alone.mean(axis=0)
        found: Array = judged + few * (1 - 1 / self.size) / (1 - 1 / count)
        return found
