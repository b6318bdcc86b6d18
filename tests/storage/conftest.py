"""A small lab: HDF5 files in a folder, and an experiment over them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from virtlab.config import Experiment, parse_experiment

SHARED = Path(__file__).parents[3] / "shared" / "data"

BASIC = """
[experiment]
name = "basic"
[data]
files = ["*.h5"]
{data}
[parameters.x]
path = "parameters/x"
{x}
[measurements.y]
path = "measurements/y"
{y}
"""


class Lab:
    """A folder of lab files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str = "a.h5", **items: Any) -> Path:
        """Write arrays under the paths that `items` names with __ for /."""
        path = self.folder / name
        with h5py.File(path, "w") as file:
            for where, values in items.items():
                file[where.replace("__", "/")] = values
        return path

    def basic(self, name: str = "a.h5", n: int = 12, **attrs: str) -> Path:
        """x from 0 to n - 1 and y = 2 x, with units x= and y= where given."""
        x = np.arange(n, dtype="float64")
        path = self.write(name, parameters__x=x, measurements__y=2 * x)
        with h5py.File(path, "a") as file:
            for key, unit in attrs.items():
                file["parameters/x" if key == "x" else "measurements/y"].attrs["units"] = unit
        return path

    def edit(self, path: Path) -> h5py.File:
        return h5py.File(path, "a")

    def experiment(self, text: str | None = None, **keys: str) -> Experiment:
        """An experiment of a whole text, or the basic one with more keys in its tables."""
        filled = text or BASIC.format(**({"data": "", "x": "", "y": ""} | keys))
        return parse_experiment(filled, self.folder / "experiment.toml")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture
def shared_experiment() -> Callable[[str], Experiment]:
    """experiment.toml's text to an experiment over the shared data; skips where there is none."""
    if not SHARED.is_dir():
        pytest.skip("the shared lab data are not here")

    def make(text: str) -> Experiment:
        return parse_experiment(text, SHARED / "experiment.toml")

    return make
