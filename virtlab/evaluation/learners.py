"""The simpler models: what they learn from, and how each does it.

A learner is a function of a `Lesson`, a random generator, and a cache that it may use from fold
to fold; what it returns draws at conditions ``(setting, feature)``: ``(setting, draw, value)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.evaluation.matching import Array, Matched
from virtlab.trials import Measurement

Draw = Callable[[Array, int], Array]
Cache = dict[str, Any]
Learner = Callable[["Lesson", np.random.Generator, Cache], Draw]

TREES, LEAF = 60, 5
TUNED, KNOWN = 250, 1_000  # trials that a process finds its length scales from, and predicts from
FEW_VALUES, COMPONENTS = 6, 6  # wider measurements are learned as components


@dataclass(frozen=True)
class Lesson:
    """Trials without gaps, side by side.

    Parameters
    ----------
    conditions
        ``(trial, feature)``.
    values
        All measurements in numbers, ``(trial, value)``.
    measurements
        What they are.
    widths
        Values of each.
    """

    conditions: Array
    values: Array
    measurements: tuple[Measurement, ...]
    widths: tuple[int, ...]

    @classmethod
    def of(cls, trials: Matched, measurements: Sequence[Measurement]) -> Lesson:
        """All trials; what one lacks is taken from the nearest that has it."""
        conditions = trials.conditions[trials.setting].astype(np.float64)
        parts = [_without_gaps(conditions, trials.real[m.name]) for m in measurements]
        widths = tuple(part.shape[1] for part in parts)
        return cls(conditions, np.concatenate(parts, axis=1), tuple(measurements), widths)

    def some(self, rows: NDArray[np.int64]) -> Lesson:
        """Those of some trials."""
        return replace(self, conditions=self.conditions[rows], values=self.values[rows])

    @property
    def slices(self) -> list[tuple[Measurement, slice]]:
        """Where each measurement stands."""
        ends = np.cumsum(self.widths).tolist()
        starts = [0, *ends[:-1]]
        places = map(slice, starts, ends)
        return list(zip(self.measurements, places, strict=True))


def _without_gaps(conditions: Array, values: Array) -> Array:
    """Missing values taken from the nearest trial that has all; else the mean."""
    from sklearn.neighbors import NearestNeighbors

    gaps = np.isnan(values)
    lacking, full = np.flatnonzero(gaps.any(axis=1)), np.flatnonzero(~gaps.any(axis=1))
    if not len(lacking):
        return values
    if len(full):
        nearest = NearestNeighbors(n_neighbors=1).fit(conditions[full])
        donors = values[full[nearest.kneighbors(conditions[lacking], return_distance=False)[:, 0]]]
    else:
        seen = np.maximum((~gaps).sum(axis=0), 1)
        donors = np.broadcast_to(
            np.where(gaps, 0, values).sum(axis=0) / seen, (len(lacking), gaps.shape[1])
        )
    filled = values.copy()
    filled[lacking] = np.where(gaps[lacking], donors, values[lacking])
    return filled


def nearest_settings(lesson: Lesson, rng: np.random.Generator, _cache: Cache) -> Draw:
    """Resample the trials of the nearest settings: as many as the root of all trials."""
    near = nearest_rows(lesson)

    def draw(conditions: Array, draws: int) -> Array:
        rows = near(conditions)
        pick = rng.integers(0, rows.shape[1], (len(conditions), draws))
        drawn: Array = lesson.values[np.take_along_axis(rows, pick, axis=1)]
        return drawn

    return draw


def nearest_rows(lesson: Lesson) -> Callable[[Array], NDArray[np.int64]]:
    """The nearest trials of conditions: as many as the root of all, ``(setting, neighbour)``."""
    from sklearn.neighbors import NearestNeighbors

    size = len(lesson.values)
    count = min(size, max(5, round(np.sqrt(size))))
    found = NearestNeighbors(n_neighbors=count).fit(lesson.conditions)

    def near(conditions: Array) -> NDArray[np.int64]:
        rows: NDArray[np.int64] = found.kneighbors(conditions, return_distance=False)
        return rows

    return near


def quantile_forest(lesson: Lesson, rng: np.random.Generator, _cache: Cache) -> Draw:
    """Resample the leaves of a random forest (Meinshausen 2006): whole trials, jointly."""
    from sklearn.ensemble import RandomForestRegressor

    targets = np.concatenate(
        [_components(lesson.values[:, here])[0] for _, here in lesson.slices], axis=1
    )
    forest = RandomForestRegressor(
        TREES,
        min_samples_leaf=min(LEAF, max(1, len(targets) // 4)),
        random_state=int(rng.integers(2**31)),
        n_jobs=1,
    ).fit(lesson.conditions, targets.squeeze())
    inside = forest.apply(lesson.conditions)
    order = np.argsort(inside, axis=0, kind="stable")
    leaves = np.take_along_axis(inside, order, axis=0)

    def draw(conditions: Array, draws: int) -> Array:
        found = forest.apply(conditions)
        tree = rng.integers(0, TREES, (len(conditions), draws))
        rows = np.empty(tree.shape, np.int64)
        for t in range(TREES):
            setting, place = np.nonzero(tree == t)
            first = np.searchsorted(leaves[:, t], found[setting, t], side="left")
            last = np.searchsorted(leaves[:, t], found[setting, t], side="right")
            rows[setting, place] = order[rng.integers(first, last), t]
        drawn: Array = lesson.values[rows]
        return drawn

    return draw


def gaussian_process(lesson: Lesson, rng: np.random.Generator, cache: Cache) -> Draw:
    """A process with one length scale per feature for each measurement (scikit-learn).

    Length scales are found once, on the first fold's trials, which favours it a little. A wide
    measurement is learned as principal components; what they leave over is resampled.
    """
    size = len(lesson.values)
    rows = rng.permutation(size)[:KNOWN]
    parts = [
        _process(measurement, lesson.conditions[rows], lesson.values[rows, here], rng, cache)
        for measurement, here in lesson.slices
    ]

    def draw(conditions: Array, draws: int) -> Array:
        return np.concatenate([part(conditions, draws) for part in parts], axis=-1)

    return draw


def _process(
    measurement: Measurement,
    conditions: Array,
    values: Array,
    rng: np.random.Generator,
    cache: Cache,
) -> Draw:
    """One measurement's process."""
    from sklearn.gaussian_process import GaussianProcessRegressor

    scores, turn, center = _components(values)
    rest = values - center - scores @ turn.T
    kernel = _tuned(measurement.name, conditions[:TUNED], scores[:TUNED], cache)
    process = GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True)
    process.fit(conditions, scores)

    def draw(asked: Array, draws: int) -> Array:
        mean, spread = process.predict(asked, return_std=True)
        mean, spread = mean.reshape(len(asked), 1, -1), spread.reshape(len(asked), 1, -1)
        if measurement.kind == "categorical":
            return _categories(mean[:, 0], draws, values.max(), rng)
        noise = rng.standard_normal((len(asked), draws, scores.shape[1]))
        drawn = (mean + spread * noise) @ turn.T + center
        drawn += rest[rng.integers(0, len(rest), drawn.shape[:2])]
        drawn = np.round(drawn) if measurement.kind == "count" else drawn
        limited: Array = np.clip(drawn, *measurement.support)
        return limited

    return draw


def _tuned(name: str, conditions: Array, scores: Array, cache: Cache):  # type: ignore[no-untyped-def]
    """A kernel of the highest marginal likelihood, remembered from the first fold."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    scale = np.full(conditions.shape[1], 2.0)
    start = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(scale, (0.1, 1e3), nu=2.5)
    kernel = start + WhiteKernel(0.1, (1e-5, 1e1))
    if name not in cache:
        with warnings.catch_warnings():
            # An irrelevant parameter's length scale ends at its bound, where it belongs.
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = GaussianProcessRegressor(kernel, normalize_y=True).fit(conditions, scores)
        cache[name] = found.kernel_.theta
    return kernel.clone_with_theta(cache[name])


def _categories(shares: Array, draws: int, high: float, rng: np.random.Generator) -> Array:
    """Draw one-hot categories in proportion to predicted shares ``(setting, category)``."""
    shares = np.maximum(shares, 1e-6)
    ladder = np.cumsum(shares / shares.sum(axis=1, keepdims=True), axis=1)
    chosen = (rng.random((len(shares), draws, 1)) > ladder[:, None]).sum(axis=-1)
    drawn: Array = np.eye(shares.shape[1])[np.minimum(chosen, shares.shape[1] - 1)] * high
    return drawn


def _components(values: Array) -> tuple[Array, Array, Array]:
    """Scores ``(trial, k)``, axes ``(value, k)`` and center; narrow values stay as they are."""
    width = values.shape[1]
    if width <= FEW_VALUES:
        return values, np.eye(width), np.zeros(width)
    from sklearn.utils.extmath import randomized_svd

    center = values.mean(axis=0)
    number = min(COMPONENTS, *values.shape)
    axes = randomized_svd(values - center, number, random_state=0)[2].T
    return (values - center) @ axes, axes, center
