"""Mixture density network (Bishop, 1994) with full covariances, on components if wide."""

from __future__ import annotations

import torch
from choice import FEW, Trained, choose
from components import WIDEST, on_components
from likelihood import noises, train
from problem import Data, Fitted
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily, MultivariateNormal

MAX_STEPS = 20_000
FLOOR = 1e-4
"""Least deviation, in units of the data's own."""


class MixtureDensity(nn.Module):
    """Conditions ``(n, features)`` to a mixture of Gaussians over ``(n, width)``."""

    def __init__(self, features: int, width: int, components: int, hidden: int) -> None:
        super().__init__()
        self.width, self.components = width, components
        self.below = torch.tril_indices(width, width, -1)
        self.sizes = [components * size for size in (1, width, width, self.below.shape[1])]
        self.trunk = nn.Sequential(
            nn.Linear(features, hidden), nn.SiLU(),
            nn.Linear(hidden, hidden), nn.SiLU(),
            nn.Linear(hidden, sum(self.sizes)),
        )  # fmt: skip
        with torch.no_grad():  # components that start apart, wide, and without correlation
            last = self.trunk[-1]
            last.weight *= 0.1
            last.bias.zero_()
            if components > 1:
                at = self.sizes[0]
                last.bias[at : at + self.sizes[1]] = torch.randn(self.sizes[1])

    def forward(self, c: Tensor) -> Distribution:
        weights, at, spread, below = self.trunk(c).split(self.sizes, dim=1)
        shape = (len(c), self.components, self.width)
        lower = torch.diag_embed(spread.clamp(-10, 5).exp().reshape(shape) + FLOOR)
        lower[..., self.below[0], self.below[1]] = below.reshape(*shape[:2], -1)
        gaussian = MultivariateNormal(at.reshape(shape), scale_tril=lower, validate_args=False)
        mixing = Categorical(logits=weights, validate_args=False)
        return MixtureSameFamily(mixing, gaussian, validate_args=False)


def fit(data: Data, seed: int) -> Fitted:
    """Size and noise by the held-out likelihood, or energy score where there are atoms."""
    few = len(data.y) < FEW
    sizes = [(1, 32), (5, 64)] if few else [(1, 64), (5, 64), (10, 128)]
    settings = [
        {"components": components, "hidden": hidden} | noise
        for components, hidden in sizes
        for noise in noises(few, data.has_atoms and data.width <= WIDEST)
    ]
    return choose(on_components(_train), settings, data, seed, MAX_STEPS)


def _train(settings: dict, data: Data, held: Data | None, seed: int, max_steps: int) -> Trained:
    noise = dict(settings)
    size = noise.pop("components"), noise.pop("hidden")
    return train(
        lambda: MixtureDensity(data.c.shape[1], data.width, *size),
        data,
        held,
        seed=seed,
        rate=1e-3,
        decay=1e-4,
        max_steps=max_steps,
        **noise,
    )
