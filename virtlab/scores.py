"""Proper scores of draws against what was measured, and the floor that noise sets them.

Plain arrays: ``draws (draw, trial, value)``, ``real (trial, value)``. One unit of distance is
the root mean square over a trial's values, so that a scalar's score is its CRPS in its own
unit and a signal's is comparable with it. Missing values are NaN and drop out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SPREAD_SHIFTS = 16  # pairs of draws per draw that the spread term is averaged over
CACHED = 50_000  # values worked on at once: a processor's cache holds them
REPEATED_SHARE = 0.05  # of the trials, with replicates, for a floor that speaks for all


def energy_scores(draws: Array, real: Array) -> Array:
    """Energy score of each trial, ``(trial,)``; the CRPS for a scalar.

    The fair version, whose expectation does not depend on the number of draws (Gneiting &
    Raftery 2007; Ferro 2014). NaN where all of a trial's values are missing.
    """
    draws = _hidden(draws, real)
    pieces = np.array_split(np.arange(len(draws)), max(1, draws.size // CACHED))
    error = sum(distance(draws[here], real).sum(axis=0) for here in pieces)
    scores: Array = error / len(draws) - 0.5 * _apart(draws, draws)
    return scores


def energy_distances(draws: Array, others: Array, real: Array) -> Array:
    """Energy distance between two sets of draws for each trial, ``(trial,)``.

    Twice the mean distance between them, less the mean distances within (Székely & Rizzo 2013);
    unbiased, so that it can be below 0. Both of as many draws; what is missing in `real` drops
    out.
    """
    draws, others = _hidden(draws, real), _hidden(others, real)
    distances: Array = 2 * _apart(draws, others) - _apart(draws, draws) - _apart(others, others)
    return distances


def _hidden(draws: Array, real: Array) -> Array:
    """Draws without what is missing in the real trials."""
    return draws + np.where(np.isnan(real), np.nan, 0.0) if np.isnan(real).any() else draws


def _apart(draws: Array, others: Array) -> Array:
    """Mean distance between a draw and another one, of the same set or of two, ``(trial,)``."""
    pieces = np.array_split(np.arange(len(draws)), max(1, draws.size // CACHED))
    shifts = range(1, min(SPREAD_SHIFTS, len(draws) - 1) + 1)
    total = sum(
        distance(draws[here], others[here - shift]).sum(axis=0)
        for shift in shifts
        for here in pieces
    )
    mean: Array = total / ((len(shifts) or np.nan) * len(draws))
    return mean


def distance(a: Array, b: Array) -> Array:
    """Root mean square difference over the last axis; NaN entries drop out."""
    gap = a - b
    total: Array = np.einsum("...i,...i->...", gap, gap)
    if not np.isnan(total).any():
        whole: Array = np.sqrt(total / gap.shape[-1])
        return whole
    seen = ~np.isnan(gap)
    count = seen.sum(axis=-1)
    total = np.square(np.where(seen, gap, 0)).sum(axis=-1)
    mean: Array = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    root: Array = np.sqrt(mean)
    return root


def replicate_floor(real: Array, setting: NDArray[np.int64], weight: Array | None = None) -> float:
    """Score of the true distribution: half the mean distance between replicates.

    Unbiased for the expected energy score that a perfect model would have. NaN where no
    setting was repeated: the noise is then not identifiable from the data. With weights, a
    pair counts as much as its two trials weigh together.
    """
    weight = np.ones(len(real)) if weight is None else weight
    order = np.argsort(setting, kind="stable")
    starts = np.flatnonzero(np.diff(setting[order], prepend=setting[order][:1] - 1))
    halves, weights = [], []
    for rows in np.split(order, starts[1:]):
        if len(rows) < 2:
            continue
        shifts = range(1, min(len(rows) - 1, SPREAD_SHIFTS) + 1)
        others = np.stack([np.roll(rows, shift) for shift in shifts])
        pairs = np.array([distance(real[rows], real[other]) for other in others])
        if np.isfinite(pairs).any():
            halves.append(0.5 * mean_of(pairs, weight[rows] * weight[others]))
            weights.append(float(weight[rows].sum()))
    return float(np.average(halves, weights=weights)) if halves else float("nan")


def count_repeated(setting: NDArray[np.int64]) -> int:
    """Trials that share their setting with another one."""
    counts = np.unique(setting, return_counts=True)[1]
    return int(counts[counts > 1].sum())


def repeats_enough(setting: NDArray[np.int64]) -> bool:
    """Whether trials with replicates are so many that a floor from them speaks for all."""
    return count_repeated(setting) >= REPEATED_SHARE * max(1, len(setting))


def without_floor(name: str, repeated: int, trials: int) -> str:
    """Why a measurement has no floor: its trials with replicates are too few, or none."""
    if not repeated:
        which = "no setting was repeated"
    else:
        which = f"only {repeated:,} of {trials:,} trials ({repeated / trials:.1%}) repeat a setting"
    return f"{name}: {which}: how much of its spread is noise cannot be told"


def ranks(draws: Array, real: Array, rng: np.random.Generator) -> Array:
    """Randomised rank of each real value among its draws, in [0, 1], ``(trial, value)``.

    Ties get a random rank, so that exact zeros and counts are judged fairly (Czado et al.
    2009). Uniform when the draws come from the real distribution; NaN where missing.
    """
    below = (draws < real).sum(axis=0)
    equal = (draws == real).sum(axis=0)
    rank: Array = (below + rng.random(real.shape) * (equal + 1)) / (len(draws) + 1)
    return np.where(np.isnan(real), np.nan, rank)


def coverage(rank: Array, level: float, weight: Array | None = None) -> float:
    """Share of real values inside the central interval of `level`; from `ranks`.

    With a weight for each trial, the share of their weight.
    """
    inside = np.where(np.isnan(rank), np.nan, np.abs(rank - 0.5) <= level / 2)
    return mean_of(inside, np.ones(len(rank)) if weight is None else weight)


def mean_of(values: Array, weight: Array) -> float:
    """Mean of what is not NaN; weights are per trial, or of the values' shape. NaN of nothing."""
    if weight.ndim < values.ndim:
        weight = weight.reshape(-1, *[1] * (values.ndim - 1))
    share = np.where(np.isnan(values), 0.0, weight)
    total = share.sum()
    return float((share * np.nan_to_num(values)).sum() / total) if total > 0 else float("nan")
