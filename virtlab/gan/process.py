"""Gaussian processes on the settings' means: a prior mean for the core, learned out of fold.

Few trials and many parameters, most of them irrelevant, are where a Gaussian process with one
length scale per parameter (Rasmussen & Williams 2006, section 5.1) beats networks. So each member
fits one per feature to its own training trials. Its prediction enters as a condition and as the
mean that the mixture core starts from; at a training setting it is the prediction without that
setting, in closed form (section 5.4.2), so that the core learns how far the process errs at
settings that it has not seen.

Much of what a laboratory measures is the sum of what each parameter does alone, and a sum is known
far from all settings as soon as each of its terms is (Duvenaud et al. 2011, "Additive Gaussian
processes"). So the kernel is a sum too: one of all parameters together, and one of each alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from virtlab.gan.blocks import Floats
from virtlab.gan.layers import Weights

Array = NDArray[np.float64]

FEWEST = 5  # settings; fewer teach a process nothing
MOST_SETTINGS = 1000  # that a prediction rests on
MOST_TUNED = 200  # that length scales are found from; of 300 they take five times as long
MOST_ITERATIONS = 60
LEAST_NOISE = 1e-4  # of the variance: single precision must be able to invert
ROOT5 = float(np.sqrt(5))


@dataclass(frozen=True)
class Scales:
    """What shapes a kernel.

    Parameters
    ----------
    rates
        Inverse length scales of the parameters together, ``(feature,)``.
    ratio
        Those of a parameter alone are so many times as large.
    shares
        Variance of what each parameter does alone, in units of that of all together,
        ``(feature,)``.
    """

    rates: Array
    ratio: float
    shares: Array


@dataclass(frozen=True)
class Process:
    """One fitted process.

    Parameters
    ----------
    rows
        Which settings it rests on, ``(place,)``.
    places
        Their conditions, ``(place, feature)``.
    scales
        Of the kernel.
    weights
        Of the places: the prediction is their kernels' weighted sum, ``(place,)``.
    center
        Mean of the targets, which a prediction far from all places returns to.
    without
        Predictions at the places, each without its own setting, ``(place,)``.
    error
        Root mean square of what those predictions miss.
    """

    rows: NDArray[np.int64]
    places: Array
    scales: Scales
    weights: Array
    center: float
    without: Array
    error: float

    def predict(self, conditions: Array) -> Array:
        """Mean at ``(row, feature)`` conditions."""
        return self.center + _kernel(conditions, self.places, self.scales) @ self.weights


def fit_process(
    places: Array,
    targets: Array,
    counts: Array,
    rows: NDArray[np.int64],
    rng: np.random.Generator,
) -> Process:
    """Fit a process with Matern 5/2 kernels by its marginal likelihood.

    Parameters
    ----------
    places
        One row per setting, ``(setting, feature)``.
    targets
        Mean of the trials at each.
    counts
        How many trials that is: the noise of a mean falls with them.
    rows
        Settings to learn from; at most `MOST_SETTINGS` of them are used.
    rng
        Chooses the settings that are used.
    """
    if len(rows) < FEWEST:
        return _constant(places, 0.0, 1.0)
    if np.ptp(targets[rows]) == 0:
        return _constant(places, float(targets[rows[0]]), 0.0)
    if len(rows) > MOST_SETTINGS:
        rows = np.sort(rng.choice(rows, MOST_SETTINGS, replace=False))
    places, targets, counts = places[rows], targets[rows], counts[rows]
    center = float(np.average(targets, weights=counts))
    spread = float(np.sqrt(np.average((targets - center) ** 2, weights=counts))) or 1.0
    scaled = (targets - center) / spread
    some = rng.permutation(len(places))[:MOST_TUNED]
    scales, signal, noise = _tune(places[some], scaled[some], counts[some])
    covariance = signal * _kernel(places, places, scales) + np.diag(noise / counts)
    inverse = cho_solve(cho_factor(covariance, lower=True), np.eye(len(places)))
    alpha = inverse @ scaled
    miss = alpha / np.diag(inverse)
    return Process(
        rows=rows,
        places=places,
        scales=scales,
        weights=spread * signal * alpha,
        center=center,
        without=targets - spread * miss,
        error=spread * float(np.sqrt(np.average(miss**2, weights=counts))),
    )


def _constant(places: Array, value: float, error: float) -> Process:
    """A process that predicts one value everywhere."""
    none = np.zeros(0, np.int64)
    scales, weights = Scales(np.ones(places.shape[1]), 1.0, np.zeros(places.shape[1])), np.zeros(1)
    return Process(none, places[:1], scales, weights, value, np.zeros(0), error)


def _tune(places: Array, targets: Array, counts: Array) -> tuple[Scales, float, float]:
    """Scales, signal and noise variance of the highest marginal likelihood."""
    from scipy.optimize import minimize

    features = places.shape[1]
    one, other = pairs_of(len(places))
    gaps = np.abs(places[one] - places[other]).T
    limits = [(-7.0, 3.0)] * features + [(-8.0, 4.0)] * features
    limits += [(-3.0, 3.0), (-6.0, 4.0), (np.log(LEAST_NOISE), 2.0)]
    best = None
    for rate in (1.0, 1.0 / np.sqrt(features))[:features]:
        rates, shares = np.full(features, np.log(0.7 * rate)), np.full(features, -1.5)
        found = minimize(
            _negative_evidence,
            np.concatenate([rates, shares, [-0.5, 0.0, np.log(0.1)]]),
            (gaps, targets, counts),
            jac=True,
            method="L-BFGS-B",
            bounds=limits,
            options={"maxiter": MOST_ITERATIONS},
        )
        if best is None or found.fun < best.fun:
            best = found
    assert best is not None
    scales, signal, noise = _named(best.x)
    return scales, signal, max(noise, LEAST_NOISE * signal)


def pairs_of(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each two places, once: below the diagonal of their kernel."""
    return np.tril_indices(count, -1)


def _named(logs: Array) -> tuple[Scales, float, float]:
    """Scales, signal and noise variance from the vector of their logs."""
    (rates, shares), (ratio, signal, noise) = np.split(np.exp(logs[:-3]), 2), np.exp(logs[-3:])
    return Scales(rates, float(ratio), shares), float(signal), float(noise)


def _negative_evidence(
    logs: Array, gaps: Array, targets: Array, counts: Array
) -> tuple[float, Array]:
    """Negative log marginal likelihood, with a weak prior on the logs, and its gradient.

    Gaps of pairs of places are ``(feature, pair)``.
    """
    scales, signal, noise = _named(logs)
    features, pairs = len(gaps), pairs_of(len(targets))
    squares = np.square(ROOT5 * scales.rates[:, None] * gaps)
    squares_alone = scales.ratio**2 * squares
    together, bend = _matern(squares.sum(0))
    alone, bends = _matern(squares_alone)
    level = 1 + scales.shares.sum()
    kernel = together + scales.shares @ alone
    covariance = np.diag(signal * level + (noise + LEAST_NOISE * signal) / counts)
    covariance[pairs] = signal * kernel  # what is above the diagonal is not read
    factor = cho_factor(covariance, lower=True)
    inverse = cho_solve(factor, np.eye(len(targets)))
    alpha = inverse @ targets
    value = 0.5 * targets @ alpha + np.log(np.diag(factor[0])).sum()
    pull = inverse - np.outer(alpha, alpha)
    between, within = signal * pull[pairs], 0.5 * signal * np.trace(pull)
    by_rate = squares @ (bend * between)
    by_rate_alone = scales.shares * ((bends * squares_alone) @ between)
    by_share = scales.shares * (alone @ between + within)
    by_signal = kernel @ between + level * within
    slope = np.concatenate([by_rate + by_rate_alone, by_share, [by_rate_alone.sum(), by_signal, 0]])
    slope[-1] = 0.5 * np.sum(np.diag(pull) * noise / counts)
    # A parameter is irrelevant until the data say otherwise: rates start from small. What it does
    # alone is as smooth as the rest or smoother: in wiggles of its own it would follow the noise.
    mean = np.repeat([-1.5, -2.0, -0.5, 0.0, -3.0], [features, features, 1, 1, 1])
    width = np.repeat([2.0, 2.0, 0.5, 3.0, 3.0], [features, features, 1, 1, 1])
    prior = (logs - mean) / width
    return float(value + 0.5 * prior @ prior), slope + prior / width


def _matern(squares: Array) -> tuple[Array, Array]:
    """Matern 5/2 of five times squared distances, and what times these is its slope.

    The slope is that by the logarithm of the distance.
    """
    root = np.sqrt(squares)
    fall = np.exp(-root)
    return (1 + root + squares / 3) * fall, -(1 + root) * fall / 3


def _kernel(rows: Array, places: Array, scales: Scales) -> Array:
    """Matern 5/2 of ``(row, feature)`` against ``(setting, feature)``, together and alone."""
    squares = np.square(ROOT5 * scales.rates * (rows[:, None] - places))
    together, alone = _matern(squares.sum(-1))[0], _matern(scales.ratio**2 * squares)[0]
    kernel: Array = together + alone @ scales.shares
    return kernel


def pack(processes: list[list[Process]]) -> dict[str, Floats]:
    """Processes of each member and target as weights that are not trained.

    Returns
    -------
    weights
        ``places (member, target, place, feature)``, scaled by the length scales, ``weights
        (member, target, place)``, ``center (member, 1, target)``, ``rates`` and ``shares
        (member, target, 1, feature)`` and ``ratio (member, target, 1, 1)``; padded with places
        of no weight. What parameters do alone counts from zero distance, and `center` holds the
        rest: a parameter that never changes then adds nothing, and can be left out.
    """
    most = max(len(process.places) for own in processes for process in own)

    def padded(process: Process) -> tuple[Array, Array]:
        missing = most - len(process.places)
        places = np.concatenate([process.places, np.repeat(process.places[:1], missing, axis=0)])
        return places * process.scales.rates, np.append(process.weights, np.zeros(missing))

    pairs = [[padded(process) for process in own] for own in processes]
    found = {
        "process.places": [[places for places, _ in own] for own in pairs],
        "process.weights": [[weights for _, weights in own] for own in pairs],
        "process.center": [[[_at_zero(process) for process in own]] for own in processes],
        "process.rates": [[[process.scales.rates] for process in own] for own in processes],
        "process.shares": [[[process.scales.shares] for process in own] for own in processes],
        "process.ratio": [[[[process.scales.ratio]] for process in own] for own in processes],
    }
    return {name: np.asarray(value, np.float32) for name, value in found.items()}


def _at_zero(process: Process) -> float:
    """What is predicted where all parameters alone are at zero distance from all places."""
    return process.center + float(process.weights.sum() * process.scales.shares.sum())


def groups_of(weights: Weights) -> list[str]:
    """Names of the groups of processes: their own, and those of what training started from."""
    groups = {name.partition(".")[0] for name in weights if name.endswith(".places")}
    return sorted(groups)


def predictions(weights: Weights, conditions: tf.Tensor) -> tf.Tensor:
    """What each target's processes predict together, ``(member, row, target)``."""
    return tf.add_n([_predictions(weights, group, conditions) for group in groups_of(weights)])


def _predictions(weights: Weights, group: str, conditions: tf.Tensor) -> tf.Tensor:
    places, rates, shares, ratio = (
        weights[f"{group}.{name}"] for name in ("places", "rates", "shares", "ratio")
    )
    found = []
    for target in range(places.shape[1]):
        a, b = conditions * rates[:, target], places[:, target]
        square, kernel = 0.0, 0.0
        for i in range(places.shape[-1]):
            gap = tf.abs(a[..., i, None] - b[:, None, :, i])
            square += tf.square(gap)
            alone = _matern_of(ROOT5 * ratio[:, target] * gap) - 1
            kernel += shares[:, target, :, i, None] * alone
        kernel += _matern_of(ROOT5 * tf.sqrt(square))
        found.append(tf.matmul(kernel, weights[f"{group}.weights"][:, target, :, None]))
    return tf.concat(found, axis=-1) + weights[f"{group}.center"]


def _matern_of(root: tf.Tensor) -> tf.Tensor:
    return (1 + root + tf.square(root) / 3) * tf.exp(-root)
