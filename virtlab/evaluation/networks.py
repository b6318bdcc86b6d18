"""Baselines that are networks: a conditional variational autoencoder, and a plain one.

They import TensorFlow, and take seconds for each fold: they are asked for by name.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from virtlab.evaluation.learners import Cache, Draw, Lesson, nearest_rows
from virtlab.evaluation.matching import Array

if TYPE_CHECKING:  # TensorFlow takes seconds to import
    from virtlab.gan.autoencoders import Autoencoder

MOST_LATENTS = 8
FAINT = 0.1  # of the largest spread: values of a signal that vary less count no more


def conditional_vae(lesson: Lesson, rng: np.random.Generator, cache: Cache) -> Draw:
    """Decode latents from the prior at the condition, and add the decoder's noise."""
    center, scale = _standard(lesson)
    standard = ((lesson.values - center) / scale).astype(np.float32)
    latents = min(MOST_LATENTS, standard.shape[1] + 1)
    trained = _trained(lesson, standard, latents, rng, cache, variational=True)

    def draw(conditions: Array, draws: int) -> Array:
        places = np.repeat(conditions, draws, axis=0).astype(np.float32)
        noise = rng.standard_normal((len(places), latents)).astype(np.float32)
        mean, spread = trained.decode(places, noise)
        values = mean + spread * rng.standard_normal(mean.shape)
        return _snapped(lesson, (values * scale + center).reshape(len(conditions), draws, -1))

    return draw


def latent_resampling(lesson: Lesson, rng: np.random.Generator, cache: Cache) -> Draw:
    """Decode latents of trials at the nearest settings, blurred by how far these lie apart."""
    center, scale = _standard(lesson)
    standard = ((lesson.values - center) / scale).astype(np.float32)
    latents = min(MOST_LATENTS, max(1, standard.shape[1] // 2))
    trained = _trained(lesson, standard, latents, rng, cache, variational=False)
    codes = trained.encode(standard)
    nowhere = np.zeros((len(codes), 0), np.float32)
    rest = standard - trained.decode(nowhere, codes)[0]
    near = nearest_rows(lesson)

    def draw(conditions: Array, draws: int) -> Array:
        rows = near(conditions)
        pick = rng.integers(0, rows.shape[1], (len(conditions), draws))
        chosen = np.take_along_axis(rows, pick, axis=1)
        # Silverman's rule of thumb, within each neighbourhood.
        width = codes[rows].std(axis=1, keepdims=True) * rows.shape[1] ** -0.2
        blurred = codes[chosen] + width * rng.standard_normal((*chosen.shape, latents))
        flat = blurred.reshape(-1, latents).astype(np.float32)
        values = trained.decode(np.zeros((len(flat), 0), np.float32), flat)[0]
        values = values.reshape(*chosen.shape, -1) + rest[rng.integers(0, len(rest), chosen.shape)]
        return _snapped(lesson, values * scale + center)

    return draw


def _trained(
    lesson: Lesson,
    standard: NDArray[np.float32],
    latents: int,
    rng: np.random.Generator,
    cache: Cache,
    *,
    variational: bool,
) -> Autoencoder:
    """One that is compiled on the first fold, and trained anew on each."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from virtlab.gan.autoencoders import Autoencoder

    if "autoencoder" not in cache:
        features = lesson.conditions.shape[1]
        cache["autoencoder"] = Autoencoder(
            features, standard.shape[1], latents=latents, variational=variational
        )
    trained: Autoencoder = cache["autoencoder"]
    trained.fit(lesson.conditions.astype(np.float32), standard, int(rng.integers(2**31)))
    return trained


def _standard(lesson: Lesson) -> tuple[Array, Array]:
    """Center and scale of each value."""
    scale = lesson.values.std(axis=0)
    for _, here in lesson.slices:
        most = scale[here].max()
        scale[here] = np.maximum(scale[here], FAINT * most) if most > 0 else 1.0
    return lesson.values.mean(axis=0), scale


def _snapped(lesson: Lesson, values: Array) -> Array:
    """Values as they can be measured: categories, whole counts, within limits."""
    for measurement, here in lesson.slices:
        part = values[..., here]
        if measurement.kind == "categorical":
            high = lesson.values[:, here].max()
            values[..., here] = np.eye(part.shape[-1])[part.argmax(axis=-1)] * high
            continue
        part = np.round(part) if measurement.kind == "count" else part
        values[..., here] = np.clip(part, *measurement.support)
    return values
