"""Constraints from experiment.toml to virtual trials, and the words in which data are refused."""

import subprocess
import sys

import h5py
import numpy as np
import pytest
import xarray as xr

from virtlab.config import parse_experiment
from virtlab.errors import ConfigError, DataError
from virtlab.training import train

EXPERIMENT = """
[experiment]
name = "bound"
[data]
files = ["*.h5"]
[parameters.heat]
path = "heat"
bounds = [0, 1]
[parameters.dose]
path = "dose"
units = "mg"
bounds = [0, 10]
[measurements.products]
path = "products"
units = "mg"
dims = ["species"]
sum = "dose"
[measurements.released]
path = "released"
dims = ["time"]
monotone = { dim = "time" }
[model]
members = 4
"""


def write(path, rows, *, spoil=None):
    rng = np.random.default_rng(len(path.name))
    heat, dose = rng.random(rows), np.round(rng.uniform(1, 9, rows), 3)
    share = np.stack([1 + 4 * heat, 2 + 0 * heat, 3 - 2 * heat], axis=1) * rng.gamma(
        30, 1, (rows, 3)
    )
    share[:, 2] *= rng.random(rows) < 0.7
    with h5py.File(path, "w") as file:
        file["heat"], file["dose"] = heat, dose
        file["dose"].attrs["units"] = "mg"
        products = share / share.sum(axis=1, keepdims=True) * dose[:, None]
        if spoil is not None:
            products[spoil] *= 0.8
        file["products"] = products
        file["products"].attrs["units"] = "mg"
        rate = (0.2 + heat[:, None]) * rng.gamma(3.0, 1.0, (rows, 30))
        file["released"] = (rate * (rng.random((rows, 30)) < 0.8)).cumsum(axis=1)


@pytest.fixture(scope="module")
def bound_model(tmp_path_factory, few_steps):
    folder = tmp_path_factory.mktemp("bound")
    write(folder / "a.h5", 90)
    write(folder / "bb.h5", 60)
    with few_steps(likelihood=300, game=20):
        return train(parse_experiment(EXPERIMENT, folder / "experiment.toml"))


def test_every_virtual_trial_obeys_without_tensorflow(bound_model, tmp_path):
    script = f"""
import sys
import virtlab
model = virtlab.load({str(bound_model.file.path)!r})
trials = model.simulate({{"heat": [0, 0.3, 1], "dose": [0, 0.1, 3, 10]}}, trials=2000, seed=3)
assert "tensorflow" not in sys.modules
trials.to_netcdf({str(tmp_path / "v.nc")!r}, engine="h5netcdf")
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    found = xr.open_dataset(tmp_path / "v.nc", engine="h5netcdf")
    products = found["products"].astype("float64")
    assert float(products.min()) >= 0
    total = products.sum("species").transpose(..., "dose")
    np.testing.assert_allclose(total, np.broadcast_to(found["dose"], total.shape), rtol=5e-7)
    assert float(found["released"].diff("time").min()) >= 0


def test_zeros_and_level_steps_are_as_frequent_as_in_the_data(bound_model):
    found = bound_model.simulate({"heat": [0.3, 0.6], "dose": [2, 8]}, trials=1000, seed=1)
    share = float((found["products"].isel(species=2) == 0).mean())
    assert share == pytest.approx(0.3, abs=0.12)
    assert 0.02 < float((found["released"].diff("time") == 0).mean()) < 0.6


def test_model_of_constrained_trials_beats_the_marginal(bound_model):
    for name in ("products", "released"):
        assert bound_model.scores[name]["model"] < 0.8 * bound_model.scores[name]["marginal"]


def test_model_tells_what_holds_by_construction(bound_model):
    said = bound_model.summary()
    assert "by construction: products is never below 0 and sums to dose" in said
    assert "by construction: released never falls along time" in said


def test_data_that_break_a_constraint_are_refused_by_file_and_row(tmp_path):
    write(tmp_path / "a.h5", 20)
    write(tmp_path / "bb.h5", 20, spoil=13)
    with pytest.raises(DataError) as caught:
        train(parse_experiment(EXPERIMENT, tmp_path / "experiment.toml"))
    assert "measurement 'products': 'products is never below 0 and sums to dose'" in str(
        caught.value
    )
    assert "1 of 40 trials break it, trial 13 of bb.h5 the most: 0.2 of the total" in str(
        caught.value
    )


def test_total_in_other_units_is_refused(tmp_path):
    write(tmp_path / "a.h5", 20)
    text = EXPERIMENT.replace('path = "dose"\nunits = "mg"', 'path = "dose"\nunits = "g"')
    with pytest.raises(ConfigError, match="'dose' is in 'g', the measurement in 'mg'"):
        train(parse_experiment(text, tmp_path / "experiment.toml"))
