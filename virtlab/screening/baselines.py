"""What a screen has to beat: choice at random, and a Gaussian process with expected improvement."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.screening.acquisition import Choice, improving
from virtlab.screening.belief import Belief
from virtlab.screening.findings import LIKELY
from virtlab.screening.pool import Floats, Places, Pool

RESTARTS = 2
LENGTHS = (0.05, 100.0)


def choose_at_random(
    pool: Pool, known: Places, hidden: Places, count: int, rng: np.random.Generator
) -> Places:
    """Choose any of the hidden settings."""
    del pool, known
    return rng.permutation(hidden)[:count]


def choose_by_process(
    pool: Pool, known: Places, hidden: Places, count: int, rng: np.random.Generator
) -> Places:
    """Choose by expected improvement of a batch under a Gaussian process of the settings' means.

    Matern 5/2 with a length scale per parameter, shared by the features of a category, and white
    noise; all by marginal likelihood (scikit-learn). The batch is chosen like virtlab's own,
    greedily on joint draws: what is compared is what the two believe.
    """
    features, parameter = pool.features
    center, scale = features[known].mean(axis=0), features[known].std(axis=0)
    places = (features - center) / np.where(scale > 0, scale, 1)
    measured = known[np.isfinite(pool.goal[known])]
    fitted = _fitted(places[measured], pool.goal[measured], parameter, rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mean, covariance = fitted.predict(places[hidden], return_cov=True)
        good = known[pool.good[known]]
        reached = fitted.predict(places[good]) if len(good) else np.empty(0)
    # The white kernel's noise is on the diagonal of what it predicts.
    noise = float(fitted.kernel_.k2.noise_level) * float(fitted._y_train_std) ** 2
    covariance[np.diag_indices(len(hidden))] -= noise
    likely = _likely(pool, places, known, hidden, parameter, rng)
    choice = Choice(likely, np.ones(len(hidden)), np.ones(len(hidden), bool))
    belief = Belief(mean[None], covariance[None])
    return hidden[improving(belief, reached[None], choice, count, rng).settings]


def _likely(
    pool: Pool,
    places: Floats,
    known: Places,
    hidden: Places,
    parameter: Places,
    rng: np.random.Generator,
) -> Floats:
    """Probability that hidden settings are good, from a process of whether known ones are."""
    from scipy.special import ndtr

    good = pool.good[known].astype(np.float64)
    if np.ptp(good) == 0:
        return np.ones(len(hidden))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = _fitted(places[known], good, parameter, rng)
        mean, deviation = fitted.predict(places[hidden], return_std=True)
    found: Floats = ndtr((mean - LIKELY) / np.maximum(deviation, 1e-3))
    return found


def _fitted(places: Floats, goal: Floats, parameter: Places, rng: np.random.Generator) -> Any:
    """A process of the highest marginal likelihood."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, WhiteKernel

    kernel = ConstantKernel(1.0, (1e-2, 1e2)) * per_parameter(parameter) + WhiteKernel(
        0.1, (1e-4, 2.0)
    )
    process = GaussianProcessRegressor(
        kernel,
        normalize_y=True,
        n_restarts_optimizer=RESTARTS,
        random_state=int(rng.integers(2**31)),
    )
    with warnings.catch_warnings():  # a length scale at its limit is an answer
        warnings.simplefilter("ignore")
        return process.fit(places, goal)


def per_parameter(parameter: NDArray[np.intp]) -> Any:
    """A Matern 5/2 kernel whose features share a length scale where they share a parameter."""
    from sklearn.gaussian_process.kernels import Matern

    class PerParameter(Matern):  # type: ignore[misc]  # scikit-learn has no types
        """Length scales spread over features."""

        def __init__(
            self,
            length_scale: Any = 1.0,
            length_scale_bounds: Any = LENGTHS,
            nu: float = 2.5,
        ) -> None:
            super().__init__(length_scale, length_scale_bounds, nu)

        def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
            spread = Matern(np.atleast_1d(self.length_scale)[parameter], nu=self.nu)
            if not eval_gradient:
                return spread(X, Y)
            kernel, slope = spread(X, Y, eval_gradient=True)
            slope = slope.reshape(*kernel.shape, -1)
            own = np.zeros((*kernel.shape, int(parameter.max()) + 1))
            for feature, number in enumerate(parameter):
                own[..., number] += slope[..., feature]
            return kernel, own

    return PerParameter(np.ones(int(parameter.max()) + 1))
