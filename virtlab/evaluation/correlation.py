"""Does what belongs together stay together? Correlations of real and of virtual trials."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from virtlab.evaluation.compared import Compared
from virtlab.evaluation.estimates import INTERVAL, Estimate, row_means

Array = NDArray[np.float64]

ROUNDS = 200
MOST_PAIRS = 60
FEWEST_TRIALS = 20
MOST_ROWS = 2_000  # trials whose signals are correlated along a dim


@dataclass(frozen=True)
class Correlation:
    """One correlation of what is left when the model's mean at the setting is taken away.

    Parameters
    ----------
    what
        Two measurements, or a measurement and a lag along a dim.
    real
        Of real trials.
    virtual
        Of one virtual trial for each.
    difference
        Virtual minus real.
    """

    what: str
    real: Estimate
    virtual: float
    difference: Estimate


def find_correlations(compared: Sequence[Compared], *, seed: int) -> list[Correlation]:
    """Correlations between measurements and along their dims, bootstrapped over settings.

    A signal or an image stands for its mean between measurements; along a dim all its entries
    are held against those one and a quarter of the dim's length further.
    """
    rng = np.random.default_rng(seed)
    numeric = [c for c in compared if c.measurement.kind != "categorical"]
    if not numeric or len(numeric[0].real) < FEWEST_TRIALS:
        return []
    setting = numeric[0].setting
    left = [_left_over(one) for one in numeric]
    means = [tuple(row_means(part) for part in parts) for parts in left]
    found = []
    for a, b in itertools.islice(itertools.combinations(range(len(numeric)), 2), MOST_PAIRS):
        what = f"{numeric[a].measurement.name} and {numeric[b].measurement.name}"
        moments = [_moments(means[a][i][:, None], means[b][i][:, None]) for i in (0, 1)]
        found.append(_correlate(what, moments, setting, rng))
    for one, parts in zip(numeric, left, strict=True):
        found += _along_dims(one, parts, rng)
    return [each for each in found if np.isfinite(each.real.value + each.virtual)]


def _left_over(compared: Compared) -> tuple[Array, Array]:
    """Real and virtual trials minus the mean of the draws; missing alike."""
    mean = compared.mean[compared.setting]
    real = compared.real - mean
    return real, np.where(np.isnan(real), np.nan, compared.one - mean)


def _along_dims(
    compared: Compared, parts: tuple[Array, Array], rng: np.random.Generator
) -> list[Correlation]:
    measurement, found = compared.measurement, []
    rows = slice(None, None, max(1, len(compared.real) // MOST_ROWS))
    for axis, (dim, length) in enumerate(
        zip(measurement.dims, measurement.shape, strict=True), start=1
    ):
        for lag in sorted({1, length // 4} - {0}):
            if lag >= length:
                continue
            moments = []
            for part in parts:
                grid = np.moveaxis(part[rows].reshape(-1, *measurement.shape), axis, -1)
                size = len(grid)
                first, second = (
                    grid[..., :-lag].reshape(size, -1),
                    grid[..., lag:].reshape(size, -1),
                )
                moments.append(_moments(first, second))
            step = "step" if lag == 1 else "steps"
            what = f"{measurement.name}, {lag} {step} along {dim}"
            found.append(_correlate(what, moments, compared.setting[rows], rng))
    return found


def _moments(first: Array, second: Array) -> Array:
    """Sums that a correlation is made of, of each trial, ``(trial, 6)``."""
    seen = ~(np.isnan(first) | np.isnan(second))
    a, b = np.where(seen, first, 0), np.where(seen, second, 0)
    sums = (seen, a, b, a * a, b * b, a * b)
    return np.stack([part.sum(axis=1) for part in sums], axis=1).astype(np.float64)


def _correlate(
    what: str, moments: Sequence[Array], setting: NDArray[np.int64], rng: np.random.Generator
) -> Correlation:
    size = int(setting.max()) + 1
    sums = np.stack(
        [[np.bincount(setting, column, size) for column in part.T] for part in moments]
    )  # (real or virtual, sum, setting)
    real, virtual = (_from_sums(part.sum(axis=-1)) for part in sums)
    share = np.full(size, 1 / size)
    drawn = []
    for _ in range(ROUNDS):
        weight = rng.multinomial(size, share)
        drawn.append([_from_sums(part @ weight) for part in sums])
    rounds = np.array(drawn)
    return Correlation(
        what,
        _estimate(real, rounds[:, 0]),
        virtual,
        _estimate(virtual - real, rounds[:, 1] - rounds[:, 0]),
    )


def _from_sums(sums: Array) -> float:
    count, a, b, aa, bb, ab = sums
    if count < 2:
        return np.nan
    spread = (aa - a * a / count) * (bb - b * b / count)
    return float((ab - a * b / count) / np.sqrt(spread)) if spread > 0 else np.nan


def _estimate(value: float, rounds: Array) -> Estimate:
    known = rounds[np.isfinite(rounds)]
    if len(known) < ROUNDS // 2:
        return Estimate(value, np.nan, np.nan)
    low, high = np.quantile(known, INTERVAL)
    return Estimate(value, float(low), float(high))
