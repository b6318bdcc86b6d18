"""Weights and gaps in the trials, from the lab file to virtual trials and what is said of them."""

import h5py
import numpy as np
import pytest

from virtlab import scores
from virtlab.config import parse_experiment
from virtlab.training import train

EXPERIMENT = """
[experiment]
name = "recorded by preference"
[data]
files = ["lab.h5"]
[parameters.x]
path = "x"
[measurements.y]
path = "y"
[model]
members = 4
"""

OFTEN = 4  # times as often are trials above 0 recorded as those below


@pytest.fixture(scope="module")
def preferred(tmp_path_factory):
    """400 trials of a law that is symmetric about 0, of which the half above 0 is preferred."""
    folder = tmp_path_factory.mktemp("preferred")
    rng = np.random.default_rng(2)
    side = np.where(np.arange(400) % (OFTEN + 1) < OFTEN, 1.0, -1.0)
    with h5py.File(folder / "lab.h5", "w") as file:
        file["x"] = np.repeat(np.linspace(0, 1, 40), 10)
        file["y"] = side * (1 + 0.1 * rng.standard_normal(400))
        file["weight"] = np.where(side > 0, 1 / OFTEN, 1.0)
    return folder


def share_above(model):
    found = model.simulate({"x": np.linspace(0, 1, 9)}, trials=400, seed=1)
    return float((found["y"] > 0).mean())


@pytest.fixture(scope="module")
def weighted_model(preferred, few_steps):
    text = EXPERIMENT.replace('["lab.h5"]', '["lab.h5"]\nweights = "weight"')
    with few_steps():
        return train(parse_experiment(text, preferred / "w.toml"), output=preferred / "w.virtlab")


def test_weights_recover_the_law_behind_preferred_recording(preferred, weighted_model, few_steps):
    with few_steps():
        plain = train(parse_experiment(EXPERIMENT, preferred / "p.toml"))
    assert share_above(plain) == pytest.approx(OFTEN / (OFTEN + 1), abs=0.08)
    assert share_above(weighted_model) == pytest.approx(0.5, abs=0.08)


def test_model_says_that_weights_were_used_and_what_the_trials_are_worth(weighted_model):
    found = weighted_model.manifest["data"]["weights"]
    assert found["path"] == "weight"
    assert found["effective_trials"] == pytest.approx(160**2 / 100)
    assert "trial weights weight: the 400 trials say as much as 256" in weighted_model.summary()


def test_assessment_is_of_the_weighted_trials(weighted_model):
    # E|a - b| / 2 of a law that is at 1 or -1 alike; of the trials as recorded it is 0.32.
    assert weighted_model.scores["y"]["marginal"] == pytest.approx(0.5, abs=0.06)
    assert weighted_model.scores["y"]["coverage_90"] == pytest.approx(0.9, abs=0.06)


def test_coverage_and_floor_are_weighted():
    rank = np.array([[0.5], [0.5], [0.99], [np.nan]])
    weight = np.array([1.0, 1.0, 6.0, 100.0])
    assert scores.coverage(rank, 0.5, weight) == pytest.approx(0.25)
    real = np.array([[0.0], [2.0], [0.0], [4.0]])
    setting = np.array([0, 0, 1, 1])
    assert scores.replicate_floor(real, setting) == pytest.approx(1.5)
    weighted = scores.replicate_floor(real, setting, np.array([3.0, 3.0, 1.0, 1.0]))
    assert weighted == pytest.approx(1 * 0.75 + 2 * 0.25)
