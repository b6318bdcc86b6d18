"""What is believed of the goals at many settings together, and draws of what may be true.

A member of the ensemble is one sample of the function from settings to expected values, so that
members say which settings rise and fall together. There are few of them: chance alone makes them
agree between settings that have nothing to do with each other, which a taper over the distance
takes out (localisation, as in ensemble Kalman filters: Houtekamer & Mitchell 2001). What all
members may miss together is added; see `virtlab.screening.ignorance`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from virtlab.screening.ignorance import Ignorance, distances, matern

Floats = NDArray[np.float64]

TAPER = 2.0  # times the length over which errors are alike
JITTER = 1e-6


@dataclass(frozen=True)
class Belief:
    """Of the expected goals, each a multivariate normal over the settings.

    Parameters
    ----------
    mean
        Shape ``(goal, setting)``; the larger, the better.
    covariance
        Shape ``(goal, setting, setting)``.
    """

    mean: Floats
    covariance: Floats

    @property
    def deviation(self) -> Floats:
        """Standard deviation, ``(goal, setting)``."""
        variance: Floats = np.einsum("gss->gs", self.covariance)
        return np.sqrt(np.maximum(variance, 0))

    def draws(self, count: int, rng: np.random.Generator) -> Floats:
        """What may be true at all settings together, ``(goal, draw, setting)``, in pairs."""
        size = self.mean.shape[1]
        found = np.empty((len(self.mean), 2 * (count // 2), size))
        for goal, covariance in enumerate(self.covariance):
            root = _root(covariance)
            half = rng.standard_normal((count // 2, size)) @ root.T
            # Each draw has its mirror image, so that means are exact.
            found[goal] = self.mean[goal] + np.concatenate([half, -half])
        return found

    def once_measured(self, settings: Sequence[int], noise: Floats) -> Belief:
        """What is left to learn once some settings have a trial each; the mean stays.

        Parameters
        ----------
        settings
            Their places.
        noise
            Variance of a trial, ``(goal,)``.
        """
        covariance = self.covariance.copy()
        for at in settings:
            for own, variance in zip(covariance, noise, strict=True):
                spread = own[at, at] + variance
                if spread > 0:
                    own -= np.outer(own[at], own[at]) / spread
        return replace(self, covariance=covariance)


def believe(
    means: Floats,
    scatter: Floats,
    trials: int,
    places: Floats,
    ignorance: Sequence[Ignorance | None],
) -> Belief:
    """Join what members say with what all of them may miss.

    Parameters
    ----------
    means
        Of each member, ``(goal, setting, member)``; the larger, the better.
    scatter
        Variance of a member's virtual trials, ``(goal, setting)``.
    trials
        How many virtual trials there are at each setting.
    places
        Of the settings, ``(setting, feature)``.
    ignorance
        Per goal.
    """
    table = distances(places, places)
    usual = float(np.median(table[np.triu_indices(len(table), 1)])) if len(table) > 1 else 1.0
    covariance = np.empty((len(means), len(places), len(places)))
    for goal, (own, missing) in enumerate(zip(means, ignorance, strict=True)):
        apart = own - own.mean(axis=1, keepdims=True)
        spread = apart @ apart.T / (own.shape[1] - 1)
        # A member's mean over few trials is itself noisy. Rows and columns shrink alike: with the
        # diagonal alone taken down there would be no such normal.
        variance = np.maximum(np.diag(spread), np.finfo(float).tiny)
        of_mean = scatter[goal] * own.shape[1] / trials
        left = np.sqrt(np.maximum(variance - of_mean, 0) / variance)
        spread *= left[:, None] * left
        length = usual if missing is None else missing.length
        covariance[goal] = spread * matern(table / (TAPER * (length or 1.0)))
        if missing is not None:
            covariance[goal] += missing.covariance(places)
    return Belief(means.mean(axis=2), covariance)


def _root(covariance: Floats) -> Floats:
    """A square root of what rounding may have made not quite positive."""
    size = float(np.mean(np.diag(covariance))) or 1.0
    jitter = JITTER
    while True:
        try:
            raised = covariance + jitter * size * np.eye(len(covariance))
            return np.asarray(np.linalg.cholesky(raised), np.float64)
        except np.linalg.LinAlgError:
            jitter *= 10
