"""Held-out energy scores of every member, on settings that it never saw."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from virtlab.gan.batches import TrainingSet
from virtlab.gan.folds import Folds
from virtlab.gan.generators import Generator
from virtlab.gan.layers import Weights
from virtlab.gan.losses import energy_score
from virtlab.gan.stages import latents

EVERYDAY_DRAWS = 16
CAREFUL_DRAWS = 64


class Judge:
    """Scores an ensemble on its held-out rows, always with the same latents."""

    def __init__(self, generator: Generator, data: TrainingSet, folds: Folds, seed: int) -> None:
        self._generator, self._data, self._folds, self._seed = generator, data, folds, seed
        self._rows = data.rows(tf.constant(folds.held))
        self._real = data.joint(self._rows.values, self._rows.levels) * self._rows.joint_seen
        self._share = folds.held_mask.astype(np.float64)
        if data.weight is not None:
            self._share *= data.weight[folds.held]
        self.marginal = self._mean(self._marginal_scores())

    def scores(self, weights: Weights) -> NDArray[np.float64]:
        """Mean energy score of each member, in units of its marginal's; shape ``(member,)``."""
        return self._mean(self._row_scores(weights, EVERYDAY_DRAWS)) / self.marginal

    def gain(
        self, before: Weights, after: Weights, setting: NDArray[np.int64]
    ) -> tuple[float, float]:
        """Mean fall of the held-out score from one state to another, and its standard error.

        Rows of one setting, over all members that held it out, count as one observation:
        replicates and members at a setting are not independent evidence. Settings count as much
        as their rows weigh on average.
        """
        fall = self._row_scores(before, CAREFUL_DRAWS) - self._row_scores(after, CAREFUL_DRAWS)
        real = self._share > 0
        share, fall = self._share[real], fall[real]
        where = np.unique(setting[self._folds.held[real]], return_inverse=True)[1]
        weight, count = np.bincount(where, share), len(np.bincount(where))
        by_setting = np.bincount(where, share * fall) / weight
        part = weight / np.bincount(where)
        part /= part.sum()
        mean = float(part @ by_setting)
        if count < 2:
            return mean, np.inf
        square = float(np.square(part * (by_setting - mean)).sum())
        return mean, float(np.sqrt(square * count / (count - 1)))

    def _row_scores(self, weights: Weights, draws: int) -> NDArray[np.float64]:
        parameters = self._setting_part(weights)
        drawn = [self._draw(weights, parameters, tf.constant(i)) for i in range(draws)]
        scores = energy_score(tf.stack(drawn), self._real, self._rows.joint_seen)
        return np.asarray(scores, np.float64)

    @tf.function(autograph=False)
    def _setting_part(self, weights: Weights) -> tf.Tensor:
        return self._generator.setting_part(weights, self._rows.conditions)

    @tf.function(autograph=False)
    def _draw(self, weights: Weights, parameters: tf.Tensor, which: tf.Tensor) -> tf.Tensor:
        shape = self._folds.held.shape
        values, levels = self._generator.trial_part(
            weights, parameters, *latents(self._generator, shape, (self._seed, 2 * which))
        )
        return self._data.joint(values, levels) * self._rows.joint_seen

    def _marginal_scores(self) -> NDArray[np.float64]:
        """Scores of drawing training trials at random, whatever the setting."""
        rng = np.random.default_rng(self._seed)
        drawn = []
        for _ in range(EVERYDAY_DRAWS):
            place = self._places(rng.random(self._folds.held.shape))
            index = np.take_along_axis(self._folds.train, place, axis=1)
            rows = self._data.rows(tf.constant(index))
            drawn.append(self._data.joint(rows.values, rows.levels) * self._rows.joint_seen)
        scores = energy_score(tf.stack(drawn), self._real, self._rows.joint_seen)
        return np.asarray(scores, np.float64)

    def _places(self, uniform: NDArray[np.float64]) -> NDArray[np.int64]:
        """Training rows of each member, drawn in proportion to their weights."""
        if self._data.weight is None:
            return (uniform * self._folds.train_count[:, None]).astype(np.int64)
        rungs = self._folds.ladder(self._data.weight)
        pairs = zip(rungs, uniform, strict=True)
        return np.stack([np.searchsorted(own, drawn, side="right") for own, drawn in pairs])

    def _mean(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted mean over each member's own held-out rows."""
        mean: NDArray[np.float64] = (rows * self._share).sum(axis=1) / self._share.sum(axis=1)
        return mean
