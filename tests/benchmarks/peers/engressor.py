"""Engression (Shen and Meinshausen, 2024) by its authors' package."""

from __future__ import annotations

import copy

import numpy as np
import torch
from choice import Trained, choose
from engression.engression import Engressor
from engression.loss_func import energy_loss
from engression.utils import keep_rng_state
from problem import Data, Fitted

MAX_STEPS = 10_000
PATIENCE = 2_000
"""Steps without a better held-out energy score before training stops."""
CHOICES = ({"num_layer": 2, "lr": 1e-2}, {"num_layer": 3, "lr": 1e-3})
"""The rate of the package's own example, and a deeper network at a lower one."""


class _StoppedEarly(Exception):
    """Held-out trials have stopped improving."""


class _Engressor(Engressor):
    """Stops early: the package itself keeps the best parameters, but always trains to the end."""

    def _validation_loss(self, x_val: torch.Tensor, y_val: torch.Tensor) -> float:
        # 20 draws a trial where the package takes 2: of two, the luckiest draw would be kept.
        with torch.no_grad(), keep_rng_state(self.device):
            self.eval_mode()
            draws = self.model.sample(x_val, sample_size=20, expand_dim=False)
            self.train_mode()
        return float(energy_loss(y_val, draws, beta=self.beta, verbose=False))

    def _validate(self, x_val, y_val, epoch_idx, iters_per_epoch):
        super()._validate(x_val, y_val, epoch_idx, iters_per_epoch)
        self.iterations = iters_per_epoch
        self.parameters_kept = copy.copy(self._best_state)
        if (epoch_idx + 1 - (self.best_epoch or 0)) * iters_per_epoch > PATIENCE:
            raise _StoppedEarly


def fit(data: Data, seed: int) -> Fitted:
    """Depth and rate by the held-out energy score."""
    return choose(_train, CHOICES, data, seed, MAX_STEPS)


def _train(settings: dict, data: Data, held: Data | None, seed: int, max_steps: int) -> Trained:
    """Full batches up to 1,000 trials, batches of 500 above."""
    torch.manual_seed(seed)
    # Standardised here, not by the package: entries of one unit that hardly vary must stay small.
    mean, scale = data.scales()
    centre, width = data.c.mean(0), data.c.std(0) + 1e-12
    batch = 500 if len(data.y) > 1_000 else len(data.y)
    model = _Engressor(
        data.c.shape[1],
        data.width,
        num_epochs=max_steps // max(1, -(-len(data.y) // batch)),
        batch_size=batch,
        standardize=False,
        check_device=False,
        verbose=False,
        **settings,
    )
    parts = {"x": (data.c - centre) / width, "y": (data.y - mean) / scale}
    if held is not None:
        parts |= {"x_val": (held.c - centre) / width, "y_val": (held.y - mean) / scale}
    capped = held is not None
    try:
        model.train(**parts)
    except _StoppedEarly:
        model.model.load_state_dict(model.parameters_kept)
        capped = False

    def draw(c: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        torch.manual_seed(int(rng.integers(2**62)))
        drawn = model.sample((c - centre) / width, sample_size=1, expand_dim=False)
        return mean + scale * drawn.double().numpy()

    steps = max_steps if held is None else (model.best_epoch or 0) * model.iterations
    return Trained(draw, steps, capped)
