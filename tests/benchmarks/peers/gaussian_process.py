"""Gaussian process with one length scale per condition and constant noise (scikit-learn).

Several outputs are turned onto their principal components, one process each; what the components
leave over is resampled from the training trials.
"""

from __future__ import annotations

import warnings

import numpy as np
from problem import Data, Fitted
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

HYPER_ROWS, POSTERIOR_ROWS = 500, 2000
"""Trials that choose the kernel's hyperparameters, and trials that the posterior rests on."""
COMPONENTS = 12


def fit(data: Data, seed: int) -> Fitted:
    """Hyperparameters by marginal likelihood, two restarts; no held-out trials are needed."""
    centre, width = data.c.mean(0), data.c.std(0) + 1e-12
    mean, scale = data.scales()
    standard = (data.y - mean) / scale
    turn = np.linalg.svd(standard, full_matrices=False)[2][:COMPONENTS].T
    scores = standard @ turn
    left_over = standard - scores @ turn.T
    rows = np.random.default_rng([seed, 3]).permutation(len(standard))[:POSTERIOR_ROWS]
    x = (data.c[rows] - centre) / width
    processes = [process(x, column[rows], seed) for column in scores.T]

    def draw(c: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        settings, where = np.unique(c, axis=0, return_inverse=True)
        known = [p.predict((settings - centre) / width, return_std=True) for p in processes]
        at, spread = (np.stack(part, axis=1)[where.ravel()] for part in zip(*known, strict=True))
        drawn = (at + spread * rng.standard_normal(at.shape)) @ turn.T
        if data.width > COMPONENTS:
            drawn = drawn + left_over[rng.integers(0, len(left_over), len(c))]
        return mean + scale * drawn

    return Fitted(draw, 0, False, {"rows": len(rows), "components": len(processes)})


def process(x: np.ndarray, y: np.ndarray, seed: int) -> GaussianProcessRegressor:
    few = slice(HYPER_ROWS)
    start = (
        ConstantKernel(1.0, (1e-3, 1e3)) * RBF(np.ones(x.shape[1]), (1e-1, 1e3))
        + WhiteKernel(0.1, (1e-6, 1e2))
    )  # fmt: skip
    tuned = GaussianProcessRegressor(
        start, n_restarts_optimizer=2, normalize_y=True, random_state=seed
    )
    with warnings.catch_warnings():
        # An irrelevant parameter's length scale ends at its bound, which is where it belongs.
        warnings.simplefilter("ignore", ConvergenceWarning)
        tuned.fit(x[few], y[few])
    if len(x) <= HYPER_ROWS:
        return tuned
    return GaussianProcessRegressor(tuned.kernel_, optimizer=None, normalize_y=True).fit(x, y)
