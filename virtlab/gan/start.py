"""Where training starts: heads as the principal components of each member's own trials."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from virtlab.gan.blocks import Blocks, Floats, Part
from virtlab.gan.folds import Folds
from virtlab.gan.heads import LEAST
from virtlab.gan.mixture import Mixture

MOST_ROWS = 4000  # trials that components are found from
STANDS_OUT = 10.0  # times the noise's variance
FLOOR_BIAS = 0.5  # log widths of what is above a floor start this far below the whole's


def start_heads(
    generator: Mixture, weights: dict[str, Floats], blocks: Blocks, folds: Folds
) -> dict[str, Floats]:
    """Weights whose heads reproduce the principal components of what each member may see.

    Held-out trials play no part: a basis that knew them would flatter held-out scores.
    """
    weights = dict(weights)
    for head in generator.heads:
        for member in range(folds.members):
            rows = np.unique(folds.train[member, : folds.train_count[member]])
            rows = rows[:: max(1, len(rows) // MOST_ROWS)]
            here = slice(head.part.start, head.part.stop)
            values, observed = blocks.values[rows, here], blocks.observed[rows, here]
            basis, center, left = principal(values, observed, head.part.latents)
            encoder = np.linalg.pinv(basis)
            weights[f"encoder{head.index}.basis"][member] = encoder
            bias = weights[f"encoder{head.index}.2.b"]
            bias[member, 0, : head.part.latents] -= (center @ encoder).astype(np.float32)
            if not head.part.floor:
                weights[f"decoder{head.index}.basis"][member] = basis
            place = _place(head.part, values, observed, center, left)
            weights[f"decoder{head.index}.place"][member, 0] = place
    return weights


def principal(
    values: Floats, observed: Floats, count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Principal components of unit variance.

    Parameters
    ----------
    values, observed
        Shape ``(trial, value)``; what was not observed counts as the mean.
    count
        Components.

    Returns
    -------
    basis, center, left
        ``(count, value)``, zeros for a component that the trials do not have; ``(value,)``; and
        the standard deviation of what the components leave of each value.
    """
    seen = np.maximum(observed.sum(axis=0), 1)
    center = (values * observed).sum(axis=0, dtype=np.float64) / seen
    centered = (values - center) * observed
    _, singular, components = np.linalg.svd(centered, full_matrices=False)
    deviation, components = singular[:count] / math.sqrt(len(values)), components[:count]
    # What is fainter than the least noise of a decoder would be magnified without limit.
    real = deviation > math.exp(LEAST)
    deviation, components = deviation[real], components[real]
    inside = centered @ components.T @ components
    left = np.sqrt((np.square(centered - inside) * observed).sum(axis=0) / seen)
    basis = np.zeros((count, values.shape[1]))
    basis[: len(components)] = deviation[:, None] * components
    return basis, center, left


def latents_for(values: Floats, observed: Floats, most: int) -> int:
    """Components whose variance is ten times that of noise, at least 2, at most `most`.

    Noise is the median eigenvalue. A weaker component is as a rule the bend of a stronger one,
    which the decoder learns: as a latent of its own it brings more noise than signal.

    Parameters
    ----------
    values, observed
        Shape ``(trial, value)``.
    most
        Upper limit.
    """
    seen = np.maximum(observed.sum(axis=0), 1)
    centered = (values - (values * observed).sum(axis=0) / seen) * observed
    variance = np.square(np.linalg.svd(centered.astype(np.float64), compute_uv=False))
    count = int((variance > STANDS_OUT * np.median(variance)).sum())
    return max(1, min(max(count, 2), most, len(values) // 4))


def _place(
    part: Part,
    values: Floats,
    observed: Floats,
    center: NDArray[np.float64],
    left: NDArray[np.float64],
) -> NDArray[np.float64]:
    """What the decoder says of each value before it has learned anything."""
    if not part.floor:
        return np.concatenate([center, np.log(np.maximum(left, math.exp(LEAST)))])
    above = (values > 0) * observed
    share = (above.sum(axis=0) + 0.5) / (observed.sum(axis=0) + 1)
    zero = np.zeros(part.stop - part.start)
    mean, scale = part.log
    logs = (np.log(np.maximum(values, 1e-12)) - mean) / scale
    middle = (logs * above).sum(axis=0) / np.maximum(above.sum(axis=0), 1)
    lit = np.log(share) - np.log1p(-share)
    low, high = middle - FLOOR_BIAS, middle + FLOOR_BIAS
    return np.concatenate([lit, zero, low, high, zero - FLOOR_BIAS, zero - FLOOR_BIAS])
