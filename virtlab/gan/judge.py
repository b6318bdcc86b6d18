"""Held-out energy scores of every member, on settings that it never saw."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from virtlab.gan.batches import TrainingSet
from virtlab.gan.folds import Folds
from virtlab.gan.generators import Generator
from virtlab.gan.layers import Weights
from virtlab.gan.losses import energy_score, spread_of
from virtlab.gan.stages import by_draw, side_by_side

# Per held-out row. Two states are compared by as many as the latter; of signals and images, whose
# many values say more at once, by twice the former.
FEWEST_DRAWS, MOST_DRAWS = 16, 64
DRAWN_ROWS = 20_000  # with few rows and few draws the best of many scores is the luckiest


@dataclass(frozen=True)
class Look:
    """What held-out rows show of each member.

    Parameters
    ----------
    scores
        Mean energy score in units of the marginal's, ``(member,)``.
    spread
        Mean distance between two draws at a row's setting, ``(member, row)``.
    error
        Mean distance of the draws from what was measured, ``(member, row)``.
    """

    scores: NDArray[np.float64]
    spread: NDArray[np.float64]
    error: NDArray[np.float64]


class Judge:
    """Scores an ensemble on its held-out rows, always with the same latents.

    `seconds` is how long the last `look` took.
    """

    def __init__(self, generator: Generator, data: TrainingSet, folds: Folds, seed: int) -> None:
        self._generator, self._data, self._folds, self._seed = generator, data, folds, seed
        self._rows = data.rows(tf.constant(folds.held))
        self._real = data.joint(self._rows.values, self._rows.levels) * self._rows.joint_seen
        self._share = folds.held_mask.astype(np.float64)
        if data.weight is not None:
            self._share *= data.weight[folds.held]
        draws = 0 if data.layout.wide else DRAWN_ROWS // folds.held.shape[1]
        self._everyday = int(np.clip(draws, FEWEST_DRAWS, MOST_DRAWS))
        self.seconds = 0.0
        self.marginal = self._mean(self.marginal_scores())

    def scores(self, weights: Weights) -> NDArray[np.float64]:
        """Mean energy score of each member, in units of its marginal's; shape ``(member,)``."""
        return self.look(weights).scores

    def look(self, weights: Weights) -> Look:
        """Scores, and how draws scatter beside how far they are from the truth."""
        start = time.monotonic()
        drawn = self._draws(weights, self._everyday)
        rows = self._energy_scores(drawn)
        spread = np.asarray(spread_of(drawn, self._rows.joint_seen), np.float64)
        self.seconds = time.monotonic() - start
        return Look(self._mean(rows) / self.marginal, spread, rows + 0.5 * spread)

    def real_spread(self, setting: NDArray[np.int64]) -> NDArray[np.float64]:
        """Mean distance of a row from the member's other rows of its setting, ``(member, row)``.

        NaN where a setting has no other row, and in padding.
        """
        found = np.full(self._folds.held.shape, np.nan)
        real = np.asarray(self._real, np.float64)
        for member, count in enumerate(self._folds.held_count):
            where = setting[self._folds.held[member, :count]]
            for one in np.unique(where):
                rows = np.flatnonzero(where == one)
                if len(rows) > 1:
                    own = real[member][rows]
                    apart = np.linalg.norm(own[:, None] - own, axis=-1)
                    found[member, rows] = apart.sum(axis=1) / (len(rows) - 1)
        return found

    @property
    def share(self) -> NDArray[np.float64]:
        """How much each held-out row counts, ``(member, row)``; sums to 1 for each member."""
        share: NDArray[np.float64] = self._share / self._share.sum(axis=1, keepdims=True)
        return share

    def gain(
        self, before: Weights, after: Weights, setting: NDArray[np.int64]
    ) -> tuple[float, float]:
        """Mean fall of the held-out score from one state to another, and its standard error."""
        draws = 2 * FEWEST_DRAWS if self._data.layout.wide else MOST_DRAWS
        fall = self.row_scores(before, draws) - self.row_scores(after, draws)
        return self.mean_by_setting(fall, setting)

    def mean_by_setting(
        self, rows: NDArray[np.float64], setting: NDArray[np.int64]
    ) -> tuple[float, float]:
        """Mean of a number per held-out row, ``(member, row)``, and its standard error.

        Rows of one setting, over all members that held it out, count as one observation:
        replicates and members at a setting are not independent evidence. Settings count as much
        as their rows weigh on average.
        """
        real = self._share > 0
        share, rows = self._share[real], rows[real]
        where = np.unique(setting[self._folds.held[real]], return_inverse=True)[1]
        weight, count = np.bincount(where, share), len(np.bincount(where))
        by_setting = np.bincount(where, share * rows) / weight
        part = weight / np.bincount(where)
        part /= part.sum()
        mean = float(part @ by_setting)
        if count < 2:
            return mean, np.inf
        square = float(np.square(part * (by_setting - mean)).sum())
        return mean, float(np.sqrt(square * count / (count - 1)))

    def row_scores(
        self, weights: Weights, draws: int, conditions: NDArray[np.float32] | None = None
    ) -> NDArray[np.float64]:
        """Energy score of each held-out row, ``(member, row)``; at other conditions if given.

        Of other draws than those of `look`, which chose the states that are compared here.
        """
        return self._energy_scores(self._draws(weights, draws, conditions, after=MOST_DRAWS))

    def _energy_scores(self, drawn: tf.Tensor) -> NDArray[np.float64]:
        return np.asarray(self._scored(drawn), np.float64)

    @tf.function(autograph=False)
    def _scored(self, drawn: tf.Tensor) -> tf.Tensor:
        return energy_score(drawn, self._real, self._rows.joint_seen)

    def _draws(
        self,
        weights: Weights,
        draws: int,
        conditions: NDArray[np.float32] | None = None,
        after: int = 0,
    ) -> tf.Tensor:
        """Joint values of held-out rows, ``(draw, member, row, value)``, after so many others."""
        given = self._rows.conditions if conditions is None else tf.constant(conditions)
        parameters = self._setting_part(weights, given)
        # Of signals and images a cache holds one draw at best.
        most = 1 if self._data.layout.wide else max(1, DRAWN_ROWS // self._folds.held.shape[1])
        parts = [
            self._draw(weights, parameters, tf.constant(after + first), min(most, draws - first))
            for first in range(0, draws, most)
        ]
        return tf.concat(parts, axis=0)

    @tf.function(autograph=False)
    def _setting_part(self, weights: Weights, conditions: tf.Tensor) -> tf.Tensor:
        return self._generator.setting_part(weights, conditions)

    @tf.function(autograph=False)
    def _draw(
        self, weights: Weights, parameters: tf.Tensor, first: tf.Tensor, count: int
    ) -> tf.Tensor:
        seed = self._seed, 2 * first
        drawn = side_by_side(self._generator, weights, parameters, seed, count)
        return by_draw(self._data.joint(*drawn), count) * self._rows.joint_seen

    def marginal_scores(self) -> NDArray[np.float64]:
        """Scores of drawing training trials at random, whatever the setting."""
        rng = np.random.default_rng(self._seed)
        drawn = []
        for _ in range(self._everyday):
            place = self._places(rng.random(self._folds.held.shape))
            index = np.take_along_axis(self._folds.train, place, axis=1)
            rows = self._data.rows(tf.constant(index))
            drawn.append(self._data.joint(rows.values, rows.levels) * self._rows.joint_seen)
        return self._energy_scores(tf.stack(drawn))

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
