"""Counting images with dark pixels, and quadratures, from lab files to virtual trials."""

import h5py
import numpy as np
import pytest

from virtlab.config import parse_experiment
from virtlab.training import train

EXPERIMENT = """
[experiment]
name = "spots"
[data]
files = ["lab.h5"]
[parameters.power]
path = "power"
bounds = [0, 10]
[measurements.yield]
path = "yield"
[measurements.image]
path = "image"
kind = "count"
dims = ["y", "x"]
[measurements.quadratures]
path = "quadratures"
dims = ["part", "time"]
[measurements.offset]
path = "offset"
[model]
members = 2
[training]
seed = 3
"""
POWERS = np.linspace(1, 9, 30)


@pytest.fixture(scope="module")
def spots(tmp_path_factory, few_steps):
    """A model of 180 trials: a spot as bright as the power, in photons; and two waves."""
    folder, rng = tmp_path_factory.mktemp("spots"), np.random.default_rng(0)
    power = np.repeat(POWERS, 6)
    y, x = np.mgrid[-3:4, -5:7]
    spot = np.exp(-(x**2 + y**2) / 8)
    image = rng.poisson(power[:, None, None] * spot * rng.gamma(20, 1 / 20, (180, 1, 1)))
    angle, time = 2 * np.pi * rng.random(180), np.linspace(0, 3, 40)
    phase = angle[:, None] * 0.1 + 2 * time
    waves = power[:, None, None] * np.stack([np.cos(phase), np.sin(phase)], axis=1)
    with h5py.File(folder / "lab.h5", "w") as file:
        file["power"], file["image"] = power, image
        file["yield"] = image.sum(axis=(1, 2)) + rng.normal(0, 1.0, 180)
        file["quadratures"] = waves + rng.normal(0, 0.1, waves.shape)
        file["offset"] = rng.normal(0, 1.0, 180)
    with few_steps(likelihood=300, game=0, every=150):
        return train(parse_experiment(EXPERIMENT, folder / "experiment.toml"))


@pytest.fixture(scope="module")
def drawn(spots):
    return spots.simulate({"power": [2.0, 8.0]}, trials=400, seed=1)


def test_counting_images_come_back_as_whole_numbers_with_their_share_of_zeros(drawn):
    image = drawn["image"]
    assert image.dtype == np.int64
    assert int(image.min()) == 0
    y, x = np.mgrid[-3:4, -5:7]
    for power in (2.0, 8.0):
        expected = np.exp(-power * np.exp(-(x**2 + y**2) / 8))
        found = (image.sel(power=power) == 0).mean("trial").transpose("y", "x")
        assert np.abs(found - expected).mean() < 0.08
        middle = float(image.sel(power=power).isel(y=3, x=5).mean())
        assert middle == pytest.approx(power, rel=0.3)


def test_measurements_of_one_trial_belong_together(drawn):
    total = drawn["image"].sum(["y", "x"])
    at = {"power": 8.0}
    found = np.corrcoef(total.sel(at).values.ravel(), drawn["yield"].sel(at).values.ravel())
    assert found[0, 1] > 0.5


def test_each_quadrature_comes_back_in_its_place(drawn):
    time = np.linspace(0, 3, 40)
    found = drawn["quadratures"].sel(power=8.0).mean("trial")
    for part, wave in enumerate((np.cos, np.sin)):
        lead = np.mean(
            [wave(2 * time + 0.1 * angle) for angle in np.linspace(0, 2 * np.pi)], axis=0
        )
        np.testing.assert_allclose(found.isel(part=part).values.ravel(), 8 * lead, atol=1.5)
