"""What is looked at of a signal or an image, by every test that needs features of lab data.

Of its values the moments, extremes and total; along each dim roughness, centroid, width and
spectrum; and principal components.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from virtlab.trials import Measurement

Array = NDArray[np.float64]

FEW_VALUES = 8  # up to as many are features themselves
COMPONENTS = 5
BANDS = 5  # of a power spectrum, each twice as wide as the last
SHORTEST = 8  # dim that has a spectrum
QUIET = 1e-6  # of the mean power of a trial: what is below is no signal


def features_of(measurement: Measurement, real: Array, virtual: Array) -> Array:
    """Features of real, then virtual trials; what is missing in one is hidden in the other."""
    masked = np.where(np.isnan(real), np.nan, virtual)
    # Virtual trials are stored in single precision: that alone must not give them away.
    both = np.concatenate([real, masked]).astype(np.float32).astype(np.float64)
    if is_narrow(measurement):
        return both
    return np.concatenate([_shape_features(measurement, both), _components(both)], axis=1)


def is_narrow(measurement: Measurement) -> bool:
    """Whether its values are features themselves."""
    return measurement.kind == "categorical" or measurement.size <= FEW_VALUES


def _shape_features(measurement: Measurement, both: Array) -> Array:
    """Total, moments, extremes, and along each dim roughness, centroid, width and spectrum."""
    gone = _all_missing(both)
    filled = np.where(np.isnan(both) & ~gone[:, None], _row_means(both)[:, None], both)
    # The total is the mean, nothing being missing: in units of its spread they are the same.
    found = [filled.mean(axis=1), filled.std(axis=1), filled.min(axis=1), filled.max(axis=1)]
    found += _higher_moments(filled)
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
        if length >= SHORTEST:
            found += _spectrum(grid, axis)
    return np.stack(found, axis=1)


def _higher_moments(filled: Array) -> list[Array]:
    """Skewness and excess kurtosis of each trial's values; 0 where they are all the same."""
    away = filled - filled.mean(axis=1, keepdims=True)
    variance = np.square(away).mean(axis=1)
    safe = np.where(variance > 0, variance, 1)
    skewness = (away**3).mean(axis=1) / safe**1.5
    return [skewness, (away**4).mean(axis=1) / safe**2 - 3.0 * (variance > 0)]


def _spectrum(grid: Array, axis: int) -> list[Array]:
    """Logarithm of the power in bands of frequencies along a dim, summed over the other dims.

    Noise that is too smooth or too rough shows here, whatever its phase.
    """
    lines = np.moveaxis(grid, axis, -1)
    power = np.square(np.abs(np.fft.rfft(lines - lines.mean(axis=-1, keepdims=True), axis=-1)))
    power = power[..., 1:].reshape(len(grid), -1, power.shape[-1] - 1).sum(axis=1)
    ends = np.unique(np.geomspace(1, power.shape[1] + 1, BANDS + 1).round().astype(int)) - 1
    bands = np.add.reduceat(power, ends[:-1], axis=1)
    least = QUIET * float(np.nansum(power)) / len(power) or 1.0
    return list(np.log(bands + least).T)


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
