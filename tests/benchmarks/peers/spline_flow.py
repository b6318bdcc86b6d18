"""Conditional neural spline flow (Durkan et al., 2019), as zuko implements it.

Five autoregressive transforms of eight bins; wide outputs as components, since drawing one of
hundreds of entries after the other would take hours.
"""

from __future__ import annotations

import zuko
from choice import FEW, Trained, choose
from components import WIDEST, on_components
from likelihood import noises, train
from problem import Data, Fitted

MAX_STEPS = 10_000


def make_flow(features: int, width: int) -> zuko.flows.NSF:
    return zuko.flows.NSF(
        width,
        features,
        transforms=5,
        bins=8,
        hidden_features=(64, 64),
        randperm=width > 1,
    )


def fit(data: Data, seed: int) -> Fitted:
    """Noise by the held-out likelihood, or energy score where there are atoms."""
    settings = noises(len(data.y) < FEW, data.has_atoms and data.width <= WIDEST)
    return choose(on_components(_train), settings, data, seed, MAX_STEPS)


def _train(noise: dict, data: Data, held: Data | None, seed: int, max_steps: int) -> Trained:
    return train(
        lambda: make_flow(data.c.shape[1], data.width),
        data,
        held,
        seed=seed,
        rate=1e-3,
        decay=1e-5,
        max_steps=max_steps,
        **noise,
    )
