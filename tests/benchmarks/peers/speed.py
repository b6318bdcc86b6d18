"""Draws per second: virtlab beside engression, in turns on the same machine, all its cores.

    peers_venv/bin/python tests/benchmarks/peers/speed.py MODEL LAB.h5 --python venv/bin/python

MODEL is a trained model of scalar measurements, LAB.h5 the file it learned from (one-dimensional
datasets, one per parameter and measurement, by their names); `--python` has virtlab installed.
Engression's package is used as it comes (two layers of 100), trained for a moment only: that does
not change how fast it draws. Both draw in memory, a million trials at a time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from pathlib import Path

import h5py
import numpy as np
import torch
from engression import engression

DRAWS, TURNS = 1_000_000, 3
OURS = """
import json, sys, time, virtlab
model = virtlab.load(sys.argv[1])
middle = {found["name"]: sum(found["range"]) / 2 for found in model.manifest["parameters"]}
print(json.dumps([list(middle), [m.name for m in model.measurements]]))
model.simulate(middle, trials=1000)
start = time.perf_counter()
model.simulate(middle, trials=int(sys.argv[2]))
print(int(sys.argv[2]) / (time.perf_counter() - start))
"""


def ours(python: Path, model: Path) -> tuple[list[list[str]], float]:
    """Names of parameters and measurements, and draws per second."""
    command = [str(python), "-c", OURS, str(model), str(DRAWS)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    names, rate = done.stdout.splitlines()[-2:]
    return json.loads(names), float(rate)


def engressions(lab: Path, names: list[list[str]]) -> float:
    """Draws per second."""
    with h5py.File(lab) as file:
        c, y = (np.stack([file[name][:] for name in some], axis=1) for some in names)
    c, y = (torch.tensor(values, dtype=torch.float32) for values in (c, y))
    fitted = engression(c, y, num_epochs=20, verbose=False)
    rows = c.mean(dim=0).repeat(DRAWS // 20, 1)
    with torch.no_grad():
        fitted.sample(rows, sample_size=1)
        start = time.perf_counter()
        fitted.sample(rows, sample_size=20)
    return DRAWS / (time.perf_counter() - start)


def main() -> None:
    """Take turns, and print each one's best."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("lab", type=Path)
    parser.add_argument("--python", type=Path, required=True)
    asked = parser.parse_args()
    rates = []
    for _ in range(TURNS):
        names, own = ours(asked.python, asked.model)
        rates.append((own, engressions(asked.lab, names)))
        print("virtlab {:.3g}, engression {:.3g} draws/s".format(*rates[-1]), flush=True)
    best = np.max(rates, axis=0)
    print(f"best of {TURNS} each: {best[0] / best[1]:.1f} times as fast")


if __name__ == "__main__":
    main()
