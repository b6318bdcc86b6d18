"""The examples' labs: what was committed is what their physics gives, and virtlab reads it."""

import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from virtlab import open_trials
from virtlab.config import read_params

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
