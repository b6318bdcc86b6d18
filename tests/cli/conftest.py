"""A small lab, and a model that the command line trained on it."""

import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from virtlab.cli import main

EXPERIMENT = """
[experiment]
name = "small lab"

[data]
files = ["lab.h5"]

[parameters.power]
path = "parameters/power"
units = "W"
bounds = [0, 12]

[parameters.material]
path = "parameters/material"

[measurements.light]
path = "measurements/light"
units = "lm"
support = [0, inf]

[measurements.fault]
path = "measurements/fault"
kind = "categorical"

[model]
members = 2

[training]
max_time = "3 min"
stop_when = { energy_score = 0.65 }
"""

PARAMS = """
model = "small_lab.virtlab"
trials = 40
seed = 3
output = "virtual.nc"

[parameters]
power = [1, 2.5, 4]
material = ["glass", "steel"]
"""


class Lab:
    """A folder with a lab file, experiment.toml and params.toml, and commands run in it."""

    def __init__(self, folder):
        self.folder = folder

    def __truediv__(self, name):
        return self.folder / name

    def run(self, *arguments):
        """Run the command line as a user does, in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "virtlab", *map(str, arguments)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def invoke(self, command, file, *arguments):
        """Run a command on a file of the folder, here in this process."""
        return CliRunner().invoke(main, [command, str(self / file), *map(str, arguments)])

    def edit(self, name, old, new):
        """Replace text in a file of the folder."""
        text = (self / name).read_text()
        assert old in text
        (self / name).write_text(text.replace(old, new))

    def files(self):
        """Names of what stands in the folder."""
        return sorted(path.name for path in self.folder.iterdir())


def write_lab(path: Path, trials: int = 240) -> None:
    """Light rises with power; glass is brighter; some lamps are faulty and dark."""
    rng = np.random.default_rng(1)
    power = np.resize(np.arange(1.0, 9.0), trials)
    glass = np.arange(trials) % 16 < 8
    faulty = rng.random(trials) < 0.15
    light = np.where(faulty, 0.0, power * np.where(glass, 3.0, 1.0) + rng.gamma(2.0, 0.4, trials))
    with h5py.File(path, "w") as file:
        file["parameters/power"] = power
        file["parameters/power"].attrs["units"] = "W"
        file["parameters/material"] = np.where(glass, "glass", "steel").astype("S5")
        file["measurements/light"] = light
        file["measurements/light"].attrs["units"] = "lm"
        file["measurements/fault"] = np.where(faulty, "dark", "none").astype("S4")


@pytest.fixture
def lab(tmp_path):
    """A lab without a model."""
    write_lab(tmp_path / "lab.h5")
    (tmp_path / "experiment.toml").write_text(EXPERIMENT)
    (tmp_path / "params.toml").write_text(PARAMS)
    return Lab(tmp_path)


@pytest.fixture(scope="session")
def training(tmp_path_factory):
    """A lab, and what `virtlab train` did in it: once for all tests, which only look."""
    folder = tmp_path_factory.mktemp("trained")
    write_lab(folder / "lab.h5")
    (folder / "experiment.toml").write_text(EXPERIMENT)
    (folder / "params.toml").write_text(PARAMS)
    lab = Lab(folder)
    return lab, lab.run("train", "experiment.toml")


@pytest.fixture
def trained(training, tmp_path):
    """A copy of the lab with its model, to do with as a test likes."""
    folder = tmp_path / "lab"
    shutil.copytree(training[0].folder, folder)
    return Lab(folder)
