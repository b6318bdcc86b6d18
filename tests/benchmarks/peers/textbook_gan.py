"""The textbook conditional GAN (Mirza and Osindero, 2014): dense, LeakyReLU, cross-entropy."""

from __future__ import annotations

import copy

import numpy as np
import torch
from choice import Trained, choose
from likelihood import Standard
from problem import Data, Draw, Fitted, energy_score
from torch import nn

MAX_STEPS, PATIENCE, LOOK = 30_000, 8_000, 500
"""Steps at most, without a better held-out energy score before it stops, between two looks."""
LATENT, HIDDEN, BATCH = 32, 128, 64


def network(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, HIDDEN), nn.LeakyReLU(0.2),
        nn.Linear(HIDDEN, HIDDEN), nn.LeakyReLU(0.2),
        nn.Linear(HIDDEN, outputs),
    )  # fmt: skip


def fit(data: Data, seed: int) -> Fitted:
    """Nothing to choose but the steps."""
    return choose(_train, [{}], data, seed, MAX_STEPS)


def _train(_: dict, data: Data, held: Data | None, seed: int, max_steps: int) -> Trained:
    """Adam as for DCGAN (2e-4, 0.5); the step with the best held-out energy score is kept."""
    torch.manual_seed(seed)
    standard = Standard.of(data)
    c, y = standard.conditions(data.c), standard.measurements(data.y)
    generator = network(LATENT + c.shape[1], y.shape[1])
    critic = network(y.shape[1] + c.shape[1], 1)
    draw = sampler(generator, standard)
    rates = {"lr": 2e-4, "betas": (0.5, 0.999)}
    move_generator = torch.optim.Adam(generator.parameters(), **rates)
    move_critic = torch.optim.Adam(critic.parameters(), **rates)
    cross_entropy = nn.BCEWithLogitsLoss()
    ones, zeros = torch.ones(BATCH, 1), torch.zeros(BATCH, 1)
    best, best_state, best_step = np.inf, generator.state_dict(), 0
    for step in range(1, max_steps + 1):
        rows = torch.randint(len(c), (BATCH,))
        fake = generator(torch.cat([torch.randn(BATCH, LATENT), c[rows]], 1))
        real_said = critic(torch.cat([y[rows], c[rows]], 1))
        fake_said = critic(torch.cat([fake.detach(), c[rows]], 1))
        move_critic.zero_grad()
        (cross_entropy(real_said, ones) + cross_entropy(fake_said, zeros)).backward()
        move_critic.step()
        move_generator.zero_grad()
        cross_entropy(critic(torch.cat([fake, c[rows]], 1)), ones).backward()
        move_generator.step()
        if held is None:
            best_step = step
        elif step % LOOK == 0:
            score = energy_score(draw, held, seed)
            if score < best:
                best, best_step = score, step
                best_state = copy.deepcopy(generator.state_dict())
            if step - best_step >= PATIENCE:
                break
    generator.load_state_dict(best_state)
    return Trained(draw, best_step, held is not None and step - best_step < PATIENCE)


def sampler(generator: nn.Module, standard: Standard) -> Draw:
    def draw(c: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        latent = torch.as_tensor(rng.standard_normal((len(c), LATENT)), dtype=torch.float32)
        with torch.no_grad():
            return standard.undo(generator(torch.cat([latent, standard.conditions(c)], 1)))

    return draw
