"""How often a screen's 90 % intervals hold what was measured at settings that no member saw.

Run by hand: ``python tests/benchmarks/screening_intervals.py crossed_barrel.h5``. Trains on 360 of
its 600 settings, about three minutes, screens the other 240, and compares expected toughness with
the mean of three replicates, whose own noise is allowed for.
"""

import csv
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np

from virtlab.config import read_params
from virtlab.screening import screen
from virtlab.training import train

HELD = 240
EXPERIMENT = """
[experiment]
name = "crossed barrel"
[data]
files = ["known.h5"]
[parameters]
n = { path = "parameters/n" }
r = { path = "parameters/r", units = "mm" }
t = { path = "parameters/t", units = "mm" }
theta = { path = "parameters/theta", units = "degree" }
[measurements]
toughness = { path = "measurements/toughness", units = "J" }
"""
PARAMS = """
model = "known.virtlab"
trials = 200
design = "table"
file = "held.csv"
[objective]
maximize = "toughness"
"""


def split(path, folder, seed):
    """Write known trials and held settings; returns the held ones, and their trials."""
    with h5py.File(path) as file:
        names = list(file["parameters"])
        columns = np.stack([file["parameters"][name][()] for name in names], axis=1)
        toughness = file["measurements/toughness"][()]
        settings, of = np.unique(columns, axis=0, return_inverse=True)
        held = np.random.default_rng(seed).permutation(len(settings))[:HELD]
        known = ~np.isin(of.ravel(), held)
        with h5py.File(folder / "known.h5", "w") as out:
            for place, source in [("parameters", names), ("measurements", ["toughness"])]:
                for name in source:
                    given = file[place][name]
                    out[f"{place}/{name}"] = given[()][known]
                    out[f"{place}/{name}"].attrs.update(given.attrs)
    with (folder / "held.csv").open("w", newline="") as file:
        csv.writer(file).writerows([names, *settings[held]])
    return names, {tuple(settings[at]): toughness[of.ravel() == at] for at in held}


def main(path, seed=0):
    """Print how often intervals held, with what all members miss and without."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names, measured = split(path, folder, seed)
        (folder / "experiment.toml").write_text(EXPERIMENT)
        (folder / "params.toml").write_text(PARAMS)
        train(folder / "experiment.toml", output=folder / "known.virtlab")
        found = screen(read_params(folder / "params.toml")).dataset
    rows = zip(*(found[name].values for name in names), strict=True)
    trials = np.array([measured[tuple(row)] for row in rows])
    off = np.abs(trials.mean(axis=1) - found["expected_objective"].values)
    # real noise, shaped over the settings as the model has it: three replicates tell little
    noise = found["objective_noise"].values
    noise = noise * np.sqrt(trials.var(axis=1, ddof=1).mean() / (noise**2).mean())
    of_mean = 1.645 * noise / np.sqrt(trials.shape[1])
    whole = (found["objective_high"] - found["objective_low"]).values / 2
    shared = 1.645 * found["objective_shared"].values
    for said, half in (("whole", whole), ("disagreement", np.sqrt(whole**2 - shared**2))):
        held = (off < np.hypot(half, of_mean)).mean()
        print(f"{said}: {held:.3f} held, half an interval {half.mean():.2f} J on average")


if __name__ == "__main__":
    main(*sys.argv[1:2])
