"""What is looked at of a signal or an image: moments, extremes, centroid, width, components."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from virtlab.trials import Measurement

Array = NDArray[np.float64]

FEW_VALUES = 8  # up to as many are features themselves
COMPONENTS = 5


def features_of(measurement: Measurement, real: Array, virtual: Array) -> Array:
    """Features of real, then virtual trials; what is missing in one is hidden in the other."""
    masked = np.where(np.isnan(real), np.nan, virtual)
    # Virtual trials are stored in single precision: that alone must not give them away.
    both = np.concatenate([real, masked]).astype(np.float32).astype(np.float64)
    if measurement.kind == "categorical" or measurement.size <= FEW_VALUES:
        return both
    return np.concatenate([_shape_features(measurement, both), _components(both)], axis=1)


def _shape_features(measurement: Measurement, both: Array) -> Array:
    """Mean, spread, extremes, and along each dim roughness, centroid and width."""
    gone = _all_missing(both)
    filled = np.where(np.isnan(both) & ~gone[:, None], _row_means(both)[:, None], both)
    found = [filled.mean(axis=1), filled.std(axis=1), filled.min(axis=1), filled.max(axis=1)]
    grid = filled.reshape(-1, *measurement.shape)
    weight = grid - found[2].reshape(-1, *[1] * len(measurement.shape))
    for axis, length in enumerate(measurement.shape, start=1):
        others = tuple(i for i in range(1, grid.ndim) if i != axis)
        if length > 1:
            found.append(np.abs(np.diff(grid, axis=axis)).mean(axis=tuple(range(1, grid.ndim))))
        profile = weight.sum(axis=others)
        total = profile.sum(axis=1)
        share = profile / np.where(total > 0, total, 1)[:, None]
        place = np.arange(length)
        center = share @ place
        found += [center, np.sqrt(np.maximum(share @ place**2 - center**2, 0))]
    return np.stack(found, axis=1)


def _all_missing(both: Array) -> NDArray[np.bool_]:
    gone: NDArray[np.bool_] = np.isnan(both).sum(axis=1) == both.shape[1]
    return gone


def _row_means(both: Array) -> Array:
    seen = ~np.isnan(both)
    mean: Array = np.where(seen, both, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    return mean


def _components(both: Array) -> Array:
    """Leading principal components of real and virtual trials together."""
    filled = np.where(np.isnan(both), 0, both)
    centered = filled - filled.mean(axis=0)
    _, axes = np.linalg.eigh(centered.T @ centered) if both.shape[1] <= 512 else _leading(centered)
    found: Array = centered @ axes[:, -COMPONENTS:]
    found[_all_missing(both)] = np.nan
    return found


def _leading(centered: Array) -> tuple[Array, Array]:
    """As ``eigh`` of the covariance, without making it: images have many entries."""
    from sklearn.utils.extmath import randomized_svd

    _, singular, rows = randomized_svd(centered, COMPONENTS, random_state=0)
    return singular[::-1] ** 2, rows[::-1].T
