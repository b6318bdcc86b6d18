"""A tiny lab with every kind of measurement, and a model trained on it once for all tests."""

import contextlib
import os
from dataclasses import replace

import h5py
import numpy as np
import pytest

# As `virtlab.training` sets it, for tests that import TensorFlow first.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

TINY_EXPERIMENT = """
[experiment]
name = "tiny"

[data]
files = ["lab.h5"]

[parameters.power]
path = "parameters/power"
units = "W"
bounds = [0, 20]

[parameters.material]
path = "parameters/material"

[measurements.light]
path = "measurements/light"
units = "lm"
support = [0, inf]

[measurements.clicks]
path = "measurements/clicks"
kind = "count"

[measurements.state]
path = "measurements/state"

[measurements.trace]
path = "measurements/trace"
units = "V"
dims = ["time"]
coords.time = { path = "axes/time", units = "s" }

[model]
members = 4

[training]
seed = 5
"""

POWERS = np.linspace(0.5, 10, 20)
DARK = 0.3  # share of trials with light at exactly zero


def write_tiny_lab(folder):
    """120 trials: 20 powers x 2 materials x 3 replicates; returns experiment.toml's path."""
    rng = np.random.default_rng(1)
    power = np.repeat(POWERS, 6)
    glass = np.tile([True, False], 60)
    dark = rng.random(120) < DARK
    time = np.linspace(0, 1, 24)
    wave = power[:, None] * np.sin(2 * np.pi * time) + rng.normal(0, 1, (120, 1)) * time
    with h5py.File(folder / "lab.h5", "w") as file:
        file["parameters/power"] = power
        file["parameters/power"].attrs["units"] = "W"
        file["parameters/material"] = np.where(glass, "glass", "steel").astype("S5")
        light = np.where(dark, 0.0, power * np.where(glass, 3, 1) + rng.gamma(2.0, 0.4, 120))
        file["measurements/light"] = light
        file["measurements/light"].attrs["units"] = "lm"
        file["measurements/clicks"] = rng.poisson(1 + power)
        up = rng.random(120) < np.where(glass, 0.9, 0.2)
        file["measurements/state"] = np.where(up, "up", "down").astype("S4")
        file["measurements/trace"] = wave + rng.normal(0, 0.1, wave.shape)
        file["measurements/trace"].attrs["units"] = "V"
        file["axes/time"] = time
        file["axes/time"].attrs["units"] = "s"
    path = folder / "experiment.toml"
    path.write_text(TINY_EXPERIMENT)
    return path


@contextlib.contextmanager
def train_shortly(likelihood=600, game=50, every=50):
    """Train for so many steps at most: quick, and the same on every machine."""
    from virtlab.gan import fit, presets

    def small(blocks, preset, members):
        sizes = presets.sizes_for(blocks, preset, members)
        steps = min(likelihood, sizes.likelihood_steps)
        return replace(sizes, likelihood_steps=steps, game_steps=game, every=every)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "sizes_for", small)
        yield


@pytest.fixture(scope="session")
def few_steps():
    """Context in which training takes few steps."""
    return train_shortly


@pytest.fixture(scope="session")
def tiny_experiment(tmp_path_factory):
    """experiment.toml of the tiny lab, in a folder that nobody changes."""
    return write_tiny_lab(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_model(tiny_experiment, tmp_path_factory):
    """Path of a model file trained on the tiny lab; nobody changes it."""
    from virtlab.training import train

    path = tmp_path_factory.mktemp("models") / "tiny.virtlab"
    with train_shortly():
        train(tiny_experiment, output=path)
    return path


@pytest.fixture(scope="session")
def tiny(tiny_model):
    """The tiny model, loaded."""
    from virtlab.simulation import load

    return load(tiny_model)
