"""Gaussian process with one length scale per condition and constant noise (scikit-learn).

Several outputs are turned onto their principal components, one process each.
"""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
from components import Components
from problem import Data, Fitted
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel

HYPER_ROWS, HYPER_ROWS_SCALAR, POSTERIOR_ROWS = 500, 1000, 2000
"""Trials that choose the kernel of each of several outputs, or of one; the posterior's trials."""


def fit(data: Data, seed: int) -> Fitted:
    """Kernel and hyperparameters by marginal likelihood: no held-out trials are needed."""
    parts = Components.of(data)
    scores = parts.narrow(data).y
    centre, width = data.c.mean(0), data.c.std(0) + 1e-12
    rows = np.random.default_rng([seed, 3]).permutation(len(scores))[:POSTERIOR_ROWS]
    x = (data.c[rows] - centre) / width
    few = HYPER_ROWS_SCALAR if data.width == 1 else HYPER_ROWS
    processes = [process(x, column[rows], few, seed) for column in scores.T]

    def draw_scores(c: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        settings, where = np.unique(c, axis=0, return_inverse=True)
        known = [p.predict((settings - centre) / width, return_std=True) for p in processes]
        at, spread = (np.stack(part, axis=1)[where.ravel()] for part in zip(*known, strict=True))
        return at + spread * rng.standard_normal(at.shape)

    chosen = {"rows": len(rows), "kernels": [str(p.kernel_) for p in processes[:2]]}
    return Fitted(parts.widen(draw_scores), 0, False, chosen)


def process(x: np.ndarray, y: np.ndarray, few: int, seed: int) -> GaussianProcessRegressor:
    """Squared exponential or Matérn 5/2, tuned with two restarts on the first ``few`` rows."""
    tuned = []
    for smooth in (RBF, partial(Matern, nu=2.5)):
        start = ConstantKernel(1.0, (1e-3, 1e3)) * smooth(np.ones(x.shape[1]), (1e-1, 1e3))
        one = GaussianProcessRegressor(
            start + WhiteKernel(0.1, (1e-6, 1e2)),
            n_restarts_optimizer=2,
            normalize_y=True,
            random_state=seed,
        )
        with warnings.catch_warnings():
            # An irrelevant parameter's length scale ends at its bound, which is where it belongs.
            warnings.simplefilter("ignore", ConvergenceWarning)
            tuned.append(one.fit(x[:few], y[:few]))
    best = max(tuned, key=lambda one: one.log_marginal_likelihood_value_)
    if len(x) <= few:
        return best
    return GaussianProcessRegressor(best.kernel_, optimizer=None, normalize_y=True).fit(x, y)
