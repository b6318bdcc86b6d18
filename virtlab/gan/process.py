"""Gaussian processes on the settings' means: a prior mean for the core, learned out of fold.

Few trials and many parameters, most of them irrelevant, are where a Gaussian process with one
length scale per parameter (Rasmussen & Williams 2006, section 5.1) beats networks. So each member
fits one per feature to its own training trials. Its prediction enters as a condition and as the
mean that the mixture core starts from; at a training setting it is the prediction without that
setting, in closed form (section 5.4.2), so that the core learns how far the process errs at
settings that it has not seen.
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
MOST_TUNED = 300  # that length scales are found from
MOST_ITERATIONS = 40
LEAST_NOISE = 1e-4  # of the variance: single precision must be able to invert
ROOT5 = float(np.sqrt(5))


@dataclass(frozen=True)
class Process:
    """One fitted process.

    Parameters
    ----------
    rows
        Which settings it rests on, ``(place,)``.
    places
        Their conditions, ``(place, feature)``.
    rates
        Inverse length scales, ``(feature,)``.
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
    rates: Array
    weights: Array
    center: float
    without: Array
    error: float

    def predict(self, conditions: Array) -> Array:
        """Mean at ``(row, feature)`` conditions."""
        return self.center + _kernel(conditions, self.places, self.rates) @ self.weights


def fit_process(
    places: Array,
    targets: Array,
    counts: Array,
    rows: NDArray[np.int64],
    rng: np.random.Generator,
) -> Process:
    """Fit a process with a Matern 5/2 kernel by its marginal likelihood.

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
    rates, signal, noise = _tune(places[some], scaled[some], counts[some])
    covariance = signal * _kernel(places, places, rates) + np.diag(noise / counts)
    inverse = cho_solve(cho_factor(covariance, lower=True), np.eye(len(places)))
    alpha = inverse @ scaled
    miss = alpha / np.diag(inverse)
    return Process(
        rows=rows,
        places=places,
        rates=rates,
        weights=spread * signal * alpha,
        center=center,
        without=targets - spread * miss,
        error=spread * float(np.sqrt(np.average(miss**2, weights=counts))),
    )


def _constant(places: Array, value: float, error: float) -> Process:
    """A process that predicts one value everywhere."""
    none = np.zeros(0, np.int64)
    rates, weights = np.ones(places.shape[1]), np.zeros(1)
    return Process(none, places[:1], rates, weights, value, np.zeros(0), error)


def _tune(places: Array, targets: Array, counts: Array) -> tuple[Array, float, float]:
    """Inverse length scales, signal and noise variance of the highest marginal likelihood."""
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits

    features = places.shape[1]
    squares = np.square(places[:, None] - places[None])
    best = None
    for rate in (1.0, 1.0 / np.sqrt(features))[:features]:
        start = np.concatenate([np.full(features, np.log(0.7 * rate)), [0.0, np.log(0.1)]])
        with threadpool_limits(1):  # matrices are too small to share out
            found = minimize(
                _negative_evidence,
                start,
                (squares, targets, counts),
                jac=True,
                method="L-BFGS-B",
                bounds=[(-7.0, 3.0)] * features + [(-6.0, 4.0), (np.log(LEAST_NOISE), 2.0)],
                options={"maxiter": MOST_ITERATIONS},
            )
        if best is None or found.fun < best.fun:
            best = found
    assert best is not None
    signal = float(np.exp(best.x[-2]))
    return np.exp(best.x[:-2]), signal, max(float(np.exp(best.x[-1])), LEAST_NOISE * signal)


def _negative_evidence(
    logs: Array, squares: Array, targets: Array, counts: Array
) -> tuple[float, Array]:
    """Negative log marginal likelihood, with a weak prior on the logs, and its gradient."""
    rates2, signal, noise = np.exp(2 * logs[:-2]), np.exp(logs[-2]), np.exp(logs[-1])
    root = ROOT5 * np.sqrt(squares @ rates2)
    fall = np.exp(-root)
    kernel = (1 + root + root**2 / 3) * fall
    covariance = signal * kernel + np.diag((noise + LEAST_NOISE * signal) / counts)
    factor = cho_factor(covariance, lower=True)
    inverse = cho_solve(factor, np.eye(len(targets)))
    alpha = inverse @ targets
    value = 0.5 * targets @ alpha + np.log(np.diag(factor[0])).sum()
    pull = inverse - np.outer(alpha, alpha)
    slope = np.empty_like(logs)
    # d kernel / d log rate_j = -(5/3) (1 + root) exp(-root) square_j rate_j^2
    bend = -5 / 3 * signal * pull * (1 + root) * fall
    slope[:-2] = 0.5 * (bend.ravel() @ squares.reshape(-1, len(rates2))) * rates2
    slope[-2] = 0.5 * np.sum(pull * signal * kernel)
    slope[-1] = 0.5 * np.sum(np.diag(pull) * noise / counts)
    # A parameter is irrelevant until the data say otherwise: rates start from small.
    prior = np.append((logs[:-2] + 1.5) / 2.0, [logs[-2] / 3.0, (logs[-1] + 3) / 3.0])
    width = np.append(np.full(len(logs) - 2, 2.0), [3.0, 3.0])
    return float(value + 0.5 * prior @ prior), slope + prior / width


def _kernel(rows: Array, places: Array, rates: Array) -> Array:
    """Matern 5/2 of ``(row, feature)`` against ``(setting, feature)``."""
    a, b = rows * rates, places * rates
    square = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    root = ROOT5 * np.sqrt(np.maximum(square, 0))
    kernel: Array = (1 + root + root**2 / 3) * np.exp(-root)
    return kernel


def pack(processes: list[list[Process]]) -> dict[str, Floats]:
    """Processes of each member and target as weights that are not trained.

    Returns
    -------
    weights
        ``places (member, target, place, feature)``, scaled by the length scales, ``weights
        (member, target, place)``, ``center (member, 1, target)`` and ``rates (member,
        target, 1, feature)``; padded with places of no weight.
    """
    most = max(len(process.places) for own in processes for process in own)

    def padded(process: Process) -> tuple[Array, Array]:
        missing = most - len(process.places)
        places = np.concatenate([process.places, np.repeat(process.places[:1], missing, axis=0)])
        return places * process.rates, np.append(process.weights, np.zeros(missing))

    pairs = [[padded(process) for process in own] for own in processes]
    found = {
        "process.places": [[places for places, _ in own] for own in pairs],
        "process.weights": [[weights for _, weights in own] for own in pairs],
        "process.center": [[[process.center for process in own]] for own in processes],
        "process.rates": [[[process.rates] for process in own] for own in processes],
    }
    return {name: np.asarray(value, np.float32) for name, value in found.items()}


def groups_of(weights: Weights) -> list[str]:
    """Names of the groups of processes: their own, and those of what training started from."""
    groups = {name.partition(".")[0] for name in weights if name.endswith(".places")}
    return sorted(groups)


def predictions(weights: Weights, conditions: tf.Tensor) -> tf.Tensor:
    """What each target's processes predict together, ``(member, row, target)``."""
    return tf.add_n([_predictions(weights, group, conditions) for group in groups_of(weights)])


def _predictions(weights: Weights, group: str, conditions: tf.Tensor) -> tf.Tensor:
    places, rates = weights[f"{group}.places"], weights[f"{group}.rates"]
    found = []
    for target in range(places.shape[1]):
        a, b = conditions * rates[:, target], places[:, target]
        square = (
            tf.reduce_sum(tf.square(a), -1)[..., None] + tf.reduce_sum(tf.square(b), -1)[:, None]
        )
        square -= 2 * tf.matmul(a, b, transpose_b=True)
        root = ROOT5 * tf.sqrt(tf.maximum(square, 1e-12))
        kernel = (1 + root + tf.square(root) / 3) * tf.exp(-root)
        found.append(tf.matmul(kernel, weights[f"{group}.weights"][:, target, :, None]))
    return tf.concat(found, axis=-1) + weights[f"{group}.center"]


def _length2(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.square(x), axis=-1)
