"""How far the expected goal may be off where nobody measured: learned from errors out of fold.

Members of an ensemble that learned from nearly the same trials share their errors: where they
agree they may be wrong together, and how far apart they are says too little. So what is unknown
of the expected goal is taken for a Gaussian process over the settings, conditioned on those that
were measured. Its correlation is found from the measured means by marginal likelihood, its size
from what out-of-fold predictions missed beyond the noise of the trials: on settings that the
members had not seen, stated and actual errors then agree on average.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MOST_PLACES = 600  # measured settings that are conditioned on
LENGTHS = np.geomspace(0.2, 10, 14)  # tried, in units of the median distance
NOISES = np.geomspace(1e-3, 3, 12)  # tried, in units of the process's variance
FEWEST = 8  # measured settings; fewer say nothing of length and size
ROOT5 = float(np.sqrt(5))


@dataclass(frozen=True)
class Ignorance:
    """A process of the prediction's error.

    Parameters
    ----------
    places
        Measured settings, ``(place, feature)``; a step along a feature counts by its weight.
    noise
        Variance of each place's measured mean, ``(place,)``, in units of the process's.
    length
        Over which errors are alike.
    variance
        Of an error far from all that was measured.
    """

    places: Floats
    noise: Floats
    length: float
    variance: float

    def correlation(self, first: Floats, second: Floats) -> Floats:
        """Matern 5/2 between ``(row, feature)`` and ``(column, feature)``."""
        return matern(distances(first, second) / self.length)

    def covariance(self, places: Floats) -> Floats:
        """Of the errors at some settings ``(row, feature)`` together, given what was measured."""
        from scipy.linalg import cho_factor, cho_solve

        own = self.correlation(self.places, self.places) + np.diag(self.noise)
        across = self.correlation(self.places, places)
        found = self.correlation(places, places)
        found -= across.T @ cho_solve(cho_factor(own, lower=True), across)
        return self.variance * found

    def deviation(self, places: Floats) -> Floats:
        """Standard deviation of the error at each setting, ``(row,)``."""
        from scipy.linalg import cho_factor, solve_triangular

        own = self.correlation(self.places, self.places) + np.diag(self.noise)
        factor = cho_factor(own, lower=True)[0]
        half = solve_triangular(factor, self.correlation(self.places, places), lower=True)
        left: Floats = np.sqrt(self.variance * np.maximum(1 - (half**2).sum(axis=0), 0))
        return left


def learn_ignorance(
    places: Floats,
    goal: Floats,
    counts: Floats,
    noise: float,
    missed: Floats,
) -> Ignorance | None:
    """Learn it from measured settings; None where they are too few, or nothing was missed.

    Parameters
    ----------
    places
        Measured settings, ``(place, feature)``.
    goal, counts
        Mean over the trials of each, and how many these are, ``(place,)``.
    noise
        Variance between replicates; 0 where there are none: then it is what the likelihood of the
        measured means takes for noise.
    missed
        What predictions out of fold missed of `goal`, ``(place,)``; NaN where there was none.
    """
    judged = np.isfinite(missed)
    if judged.sum() < FEWEST or np.ptp(goal) == 0 or not missed[judged].any():
        return None
    if len(places) > MOST_PLACES:
        some = _some(len(places), goal)
        return learn_ignorance(places[some], goal[some], counts[some], noise, missed[some])
    table = distances(places, places)
    usual = float(np.median(table[np.triu_indices(len(table), 1)])) or 1.0
    least = min(0.5 * noise / float(np.var(goal)), float(NOISES[-1]))
    length, ratio, size = _likeliest(table / usual, goal, counts, NOISES[least <= NOISES])
    noise = noise or ratio * size
    correlation = matern(table / (length * usual))
    inverse = np.linalg.inv(correlation + np.diag(ratio / counts))
    left_out = np.maximum(1 / np.diag(inverse) - ratio / counts, 1e-6)
    beyond = missed[judged] ** 2 - noise / counts[judged]
    # What its own standard error may hide is not told from nothing.
    least_told = float(beyond.std(ddof=1)) * np.sqrt(len(beyond))
    total = max(float(beyond.sum()), least_told)
    variance = total / float(left_out[judged].sum())
    return Ignorance(places, ratio / counts, length * usual, variance)


def _some(size: int, goal: Floats) -> NDArray[np.intp]:
    """As many places as can be conditioned on: half the best, the others evenly among the rest."""
    order = np.argsort(-goal)
    half = MOST_PLACES // 2
    rest = order[half:]
    return np.sort(np.append(order[:half], rest[:: -(-(size - half) // half)]))


def _likeliest(
    table: Floats, goal: Floats, counts: Floats, ratios: Floats
) -> tuple[float, float, float]:
    """Length, noise of one trial over the process's variance, and that, of highest likelihood."""
    centred = goal - np.average(goal, weights=counts)
    best, found = -np.inf, (float(LENGTHS[0]), float(ratios[-1]), float(np.var(goal)))
    for length in LENGTHS:
        correlation = matern(table / length)
        for ratio in ratios:
            try:
                factor = np.linalg.cholesky(correlation + np.diag(ratio / counts))
            except np.linalg.LinAlgError:
                continue
            whitened = np.linalg.solve(factor, centred)
            size = float(whitened @ whitened) / len(goal)
            likelihood = -0.5 * len(goal) * np.log(size) - np.log(np.diag(factor)).sum()
            if likelihood > best:
                best, found = likelihood, (float(length), float(ratio), size)
    return found


def matern(distance: Floats) -> Floats:
    """Matern 5/2 of distances in units of the length (Rasmussen & Williams 2006, 4.2.1)."""
    root = ROOT5 * distance
    correlation: Floats = (1 + root + root**2 / 3) * np.exp(-root)
    return correlation


def distances(first: Floats, second: Floats) -> Floats:
    """Euclidean, ``(row, column)``."""
    square = (first**2).sum(1)[:, None] + (second**2).sum(1)[None] - 2 * first @ second.T
    found: Floats = np.sqrt(np.maximum(square, 0))
    return found
