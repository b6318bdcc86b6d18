"""The examples' labs: what was committed is what their physics gives, and virtlab reads it."""

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from virtlab import load, open_trials
from virtlab.config import read_params
from virtlab.storage import data_digest

EXAMPLES = Path(__file__).parents[1] / "example_experiments"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/experiment.toml"))


@pytest.fixture(params=NAMES)
def example(request):
    return EXAMPLES / request.param


@pytest.fixture
def copied(example, tmp_path):
    """A copy without the lab files."""
    folder = tmp_path / example.name
    shutil.copytree(example, folder, ignore=shutil.ignore_patterns("lab", "*.nc", "__pycache__"))
    return folder


def test_every_example_is_whole(example):
    for name in ("README.md", "make_data.py", "params.toml", "analysis.py"):
        assert (example / name).is_file()


def test_lab_files_are_what_make_data_writes(example, copied):
    runpy.run_path(str(copied / "make_data.py"))["write_lab"](copied / "lab")
    shipped, made = (open_trials(folder / "experiment.toml") for folder in (example, copied))
    assert list(shipped.variables) == list(made.variables)
    for name, variable in shipped.variables.items():
        if variable.dtype.kind == "f":
            # the last bits of sine and exponential differ between machines
            np.testing.assert_allclose(variable, made[name], rtol=1e-4, atol=1e-3)
        else:
            assert (variable.values == made[name].values).all()


def test_lab_files_are_small(example):
    assert all(path.stat().st_size < 500_000 for path in example.glob("lab/*.h5"))


def test_make_data_replaces_nothing_unasked(copied):
    command = [sys.executable, str(copied / "make_data.py")]
    subprocess.run(command, check=True, capture_output=True)
    before = {path: path.stat().st_mtime_ns for path in copied.glob("lab/*.h5")}
    refused = subprocess.run(command, check=False, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "use --force" in refused.stderr
    assert {path: path.stat().st_mtime_ns for path in copied.glob("lab/*.h5")} == before
    subprocess.run([*command, "--force"], check=True, capture_output=True)


def test_params_name_the_parameters_of_the_experiment(example):
    trials = open_trials(example / "experiment.toml")
    params = read_params(example / "params.toml")
    parameters = [str(name) for name in trials.coords if trials[name].dims == ("trial",)]
    assert sorted(params.parameters) == sorted(parameters)


def test_oscillator_comes_in_two_kinds_where_the_latch_sticks():
    trials = open_trials(EXAMPLES / "damped_oscillator" / "experiment.toml")
    soft = trials.isel(trial=((trials.stiffness <= 23) & (trials.release == 10)).values)
    still_held = soft.position.sel(time=0.16, method="nearest") / soft.release > 0.85
    assert 0.2 < still_held.mean() < 0.8
    hard = trials.isel(trial=((trials.stiffness >= 50) & (trials.release == 20)).values)
    assert (hard.position.sel(time=0.16, method="nearest") / hard.release < 0.85).all()


def test_yields_are_zero_where_the_mixture_is_solid_and_never_above_100():
    trials = open_trials(EXAMPLES / "reaction_yield" / "experiment.toml")
    percent = trials["yield"]
    assert 0.2 < (percent == 0).mean() < 0.5
    assert percent.max() == 100
    assert (percent == 0)[(trials.appearance == "solid").values].mean() > 0.95
    assert percent[(percent > 0).values].min() >= 1  # the detection limit


@pytest.fixture
def simulated(tmp_path):
    """A copy of the oscillator in which its README's commands were followed."""
    folder = tmp_path / "oscillator"
    shutil.copytree(EXAMPLES / "damped_oscillator", folder, ignore=shutil.ignore_patterns("*.nc"))
    command = [sys.executable, "-m", "virtlab", "simulate", "params.toml"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


def test_oscillators_own_model_simulates_springs_that_were_never_on_the_bench(simulated):
    with xr.open_dataset(simulated / "virtual.nc") as virtual:
        assert virtual["position"].dims == ("stiffness", "drag", "trial", "time")
        assert (virtual["domain"] == "inside").all()
        # it starts where it is let go, 20 mm off, and swings past rest
        start = virtual["position"].isel(time=0).median("trial")
        np.testing.assert_allclose(start, 20, atol=2)
        assert (virtual["overshoot"].median("trial") > 5).all()


def test_oscillators_own_model_was_trained_from_the_data_that_are_shipped():
    model = load(EXAMPLES / "damped_oscillator" / "damped_oscillator.virtlab")
    trials = open_trials(EXAMPLES / "damped_oscillator" / "experiment.toml")
    assert model.manifest["data"]["sha256"] == data_digest(trials)


def test_oscillators_analysis_draws_its_figure(simulated):
    draw(simulated, "virtual.nc")


def test_yields_analysis_draws_its_figure(tmp_path):
    folder = tmp_path / "yield"
    shutil.copytree(EXAMPLES / "reaction_yield", folder)
    lab = runpy.run_path(str(folder / "make_data.py"))
    temperatures, catalysts = np.array([303.0, 333.0, 348.0]), list(lab["CATALYST"])
    settings = [(t, c, "dioxane", 0.1, 0.2) for t in temperatures for c in catalysts] * 20
    percent_yield, _ = lab["run_wells"](settings, np.random.default_rng(0))
    xr.Dataset(
        {"yield": (("trial", "temperature", "catalyst"), percent_yield.reshape(20, 3, 3))},
        {"temperature": temperatures, "catalyst": catalysts},
    ).to_netcdf(folder / "stand_in.nc", engine="h5netcdf")
    draw(folder, "stand_in.nc")


def draw(folder, virtual):
    command = [sys.executable, "-W", "error", "analysis.py", virtual, "-o", "figure.png"]
    environment = os.environ | {"MPLBACKEND": "agg"}
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env=environment)
    assert (folder / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "figure.png").stat().st_size > 20_000
