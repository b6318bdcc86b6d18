"""Wide outputs as a few principal components, for peers that model each output's dependence.

What the components leave over is resampled from the training trials, whatever the condition.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from choice import Train, Trained
from problem import Data, Draw

WIDEST, NUMBER = 16, 16
"""Widest output that is modelled as it stands, and the components that stand for a wider one."""


@dataclass(frozen=True)
class Components:
    """``mean`` and ``scale (width,)``, ``turn (width, number)``, ``left_over (n, width)``."""

    mean: np.ndarray
    scale: np.ndarray
    turn: np.ndarray
    left_over: np.ndarray

    @classmethod
    def of(cls, data: Data) -> Components:
        mean, scale = data.scales()
        standard = (data.y - mean) / scale
        turn = np.linalg.svd(standard, full_matrices=False)[2][:NUMBER].T
        return cls(mean, scale, turn, standard - standard @ turn @ turn.T)

    def narrow(self, data: Data) -> Data:
        """The same trials with their components' scores as measurements."""
        scores = ((data.y - self.mean) / self.scale) @ self.turn
        return replace(data, y=scores, one_unit=False)

    def widen(self, draw: Draw) -> Draw:
        """A sampler of scores as a sampler of measurements."""

        def wide(c: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            standard = draw(c, rng) @ self.turn.T
            rest = self.left_over[rng.integers(0, len(self.left_over), len(c))]
            return self.mean + self.scale * (standard + rest)

        return wide


def on_components(train: Train) -> Train:
    """The same training, on the components where the output is wide."""

    def narrow_train(
        settings: dict, data: Data, held: Data | None, seed: int, max_steps: int
    ) -> Trained:
        if data.width <= WIDEST:
            return train(settings, data, held, seed, max_steps)
        parts = Components.of(data)
        narrow_held = None if held is None else parts.narrow(held)
        trained = train(settings, parts.narrow(data), narrow_held, seed, max_steps)
        return replace(trained, draw=parts.widen(trained.draw))

    return narrow_train
