"""Train a conditional density by maximum likelihood until held-out trials stop improving."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from choice import Trained
from problem import Data, Draw
from torch import Tensor, nn

PATIENCE = 30
"""Epochs without a better held-out likelihood before training stops."""
CHUNK = 2000
"""Rows drawn at once: a covariance goes with every row."""


@dataclass(frozen=True)
class Standard:
    """Conditions and measurements with mean 0 and deviation 1, as the training data have them."""

    centre: np.ndarray
    width: np.ndarray
    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, data: Data) -> Standard:
        return cls(data.c.mean(0), data.c.std(0) + 1e-12, *data.scales())

    def conditions(self, c: np.ndarray) -> Tensor:
        return torch.as_tensor((c - self.centre) / self.width, dtype=torch.float32)

    def measurements(self, y: np.ndarray) -> Tensor:
        return torch.as_tensor((y - self.mean) / self.scale, dtype=torch.float32)

    def undo(self, y: Tensor) -> np.ndarray:
        return self.mean + self.scale * y.double().numpy()


def noises(few: bool, atoms: bool) -> list[dict[str, float]]:
    """Noise settings that are tried: on measurements with exact repeated values, on few trials.

    No density can have atoms, so these are blurred. With few trials, noise on conditions and
    measurements is a regulariser made for such models (Rothfuss et al., 2019).
    """
    if few:
        return [{"jitter": noise, "blur": noise} for noise in (0.0, 0.1, 0.2)]
    return [{"jitter": noise} for noise in ((0.01, 0.1) if atoms else (0.0,))]


def train(
    make: Callable[[], nn.Module],
    data: Data,
    held: Data | None,
    *,
    seed: int,
    rate: float,
    decay: float,
    max_steps: int,
    jitter: float,
    blur: float = 0.0,
) -> Trained:
    """Adam on the negative log-likelihood; the epoch with the best held-out one is kept.

    ``make()`` gives a module that turns conditions into a distribution over measurements.
    ``jitter`` is the deviation, in units of the data's own, of the noise added to measurements,
    ``blur`` of that added to conditions. Without ``held`` it takes ``max_steps`` and keeps these.
    """
    torch.manual_seed(seed)
    standard = Standard.of(data)
    c, y = standard.conditions(data.c), standard.measurements(data.y)
    model = make()
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    slower = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.3, patience=10)
    if held is not None:
        c_held, y_held = standard.conditions(held.c), standard.measurements(held.y)
        if data.has_atoms:
            y_held = y_held + jitter * torch.randn_like(y_held)
    batch = int(np.clip(len(c) // 10, 16, 128))
    best, best_state, best_step, waited, step = np.inf, model.state_dict(), 0, 0, 0
    while step < max_steps and waited < PATIENCE:
        model.train()
        for rows in torch.randperm(len(c)).split(batch):
            noisy_c = c[rows] + blur * torch.randn(len(rows), c.shape[1])
            noisy_y = y[rows] + jitter * torch.randn(len(rows), y.shape[1])
            loss = -model(noisy_c).log_prob(noisy_y).mean()
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimiser.step()
            step += 1
        if held is None:
            best_step, best_state = step, model.state_dict()
            continue
        model.eval()
        with torch.no_grad():
            score = -float(model(c_held).log_prob(y_held).mean())
        slower.step(score)
        waited += 1
        if score < best:
            best, best_step, waited = score, step, 0
            best_state = copy.deepcopy(model.state_dict())
    model.load_state_dict(best_state)
    model.eval()
    # Likelihoods of a blurred atom depend on how much it is blurred; all others can be compared.
    loss = None if data.has_atoms or held is None else best
    return Trained(_sampler(model, standard), best_step, waited < PATIENCE, loss)


def _sampler(model: nn.Module, standard: Standard) -> Draw:
    def draw(c: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        torch.manual_seed(int(rng.integers(2**62)))
        with torch.no_grad():
            drawn = [model(rows).sample() for rows in standard.conditions(c).split(CHUNK)]
        return standard.undo(torch.cat(drawn))

    return draw
