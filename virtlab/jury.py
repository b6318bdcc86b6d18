"""Some members of an ensemble, who judge held-out trials and speak for all of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from virtlab import scores

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Jury:
    """Who drew for held-out trials: members that did not learn from them.

    A trial is held out for few members, and each of them is worse and narrower than all together.
    What members are worth together follows their number M as 1 / M: the energy score exactly, of
    which two draws are of different members in (M - 1) / M of the pairs; squared errors and
    variances likewise; coverage nearly, where members are not far apart. So that of all is found
    from one and from a few.

    Draws are ``(draw, trial, value)``: those of one member after those of another, as many of each.

    Parameters
    ----------
    judges
        Members that judge the trials; their draws come first.
    enders
        Members whose training the trials ended, where these are others: that flatters how near
        they are to the trials, not how far members are from each other.
    members
        Of the whole ensemble.
    """

    judges: int = 1
    enders: int = 0
    members: int = 1

    def __post_init__(self) -> None:
        if self.judges < 1 or self.enders < 0 or self.members < 1:
            raise ValueError(f"no such jury: {self}")

    @property
    def size(self) -> int:
        """Members that drew."""
        return self.judges + self.enders

    @property
    def shares(self) -> Array:
        """What each of the `views` counts for a figure of the whole ensemble; they sum to 1."""
        own = np.where(np.arange(self.size) < self.judges, 1 / self.judges, 0.0)
        if self.size == 1:
            return own
        together = (1 - 1 / self.members) / (1 - 1 / self.size)
        return np.append(own - together / self.size, together)

    def views(self, draws: Array) -> list[Array]:
        """Draws of each member, and of all that drew."""
        own = np.split(draws, self.size)
        return own if self.size == 1 else [*own, draws]

    def of_judges(self, draws: Array) -> Array:
        """The judges' draws alone."""
        return draws[: len(draws) * self.judges // self.size]

    def energy_scores(self, draws: Array, real: Array) -> Array:
        """Energy score of each trial, ``(trial,)``; see `virtlab.scores.energy_scores`."""
        own = np.split(draws, self.size)
        alone: Array = np.mean([scores.energy_scores(d, real) for d in own[: self.judges]], axis=0)
        if self.size == 1:
            return alone
        pairs = zip(own, [own[-1], *own[:-1]], strict=True)
        apart = np.mean([scores.energy_distances(*pair, real) for pair in pairs], axis=0)
        together: Array = alone - (1 - 1 / self.members) / 4 * apart
        return together

    def coverage(
        self,
        draws: Array,
        real: Array,
        levels: Sequence[float],
        rng: np.random.Generator,
        weight: Array | None = None,
    ) -> list[float]:
        """Share of real values inside the central interval of each level."""

        def covered(view: Array) -> Array:
            rank = scores.ranks(view, real, rng)
            return np.array([scores.coverage(rank, level, weight) for level in levels])

        found: list[float] = np.clip(self._figure(draws, covered), 0, 1).tolist()
        return found

    def dispersion(self, draws: Array, real: Array, weight: Array) -> float | None:
        """Stated over real scatter around the mean of the draws; 1 is right.

        Intervals can be right and scores good while rare draws stray far: only variances tell.
        """

        def scatter(view: Array) -> Array:
            stated = np.where(np.isnan(real), np.nan, view.var(axis=0))
            missed = np.square(view.mean(axis=0) - real)
            return np.array([scores.mean_of(each, weight) for each in (stated, missed)])

        stated, missed = self._figure(draws, scatter)
        ratio = math.sqrt(stated / missed) if stated > 0 < missed else math.nan
        return ratio if math.isfinite(ratio) else None

    def _figure(self, draws: Array, figure: Callable[[Array], Array]) -> Array:
        """A figure of draws, told of the whole ensemble."""
        found: Array = self.shares @ np.array([figure(view) for view in self.views(draws)])
        return found


ALONE = Jury()
"""Draws that are all of one piece."""
