"""How near are virtual recordings of many channels to those of a known law?

    python tests/benchmarks/waves.py [--trials 600] [--seeds 0]

A lab of waves: 64 channels at 32 times, a packet that five parameters make louder, move along the
channels, speed up, tilt and bury in noise; its phase is another in each trial. Prints, of 300
fresh settings: the energy score of 100 virtual trials, of 100 by the law itself, of 100 that were
learned from, whatever their setting, and of the one at the nearest setting; the share of true
values in the virtual trials' central 50 and 90 % intervals; and seconds of training.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
from scipy.spatial import KDTree

import virtlab
from virtlab import scores
from virtlab.design import Design

CHANNELS, TIMES, PARAMETERS = 64, 32, 5
FRESH, DRAWS = 300, 100
LAB = """
[experiment]
name = "waves"
[data]
files = ["lab.h5"]
reader = "table"
[measurements.wave]
path = "wave"
dims = ["channel", "time"]
"""
PARAMETER = '[parameters.p{0}]\npath = "p{0}"\n'


def waves(settings: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One trial at each of some settings, ``(setting, channel, time)``."""
    loud, place, fast, tilt, noise = settings.T[:, :, None, None]
    channel, at = np.linspace(0, 1, CHANNELS)[:, None], np.linspace(0, 1, TIMES)
    phase = 0.3 * rng.standard_normal((len(settings), 1, 1)) + 2 * tilt * channel
    packet = (1 + loud) * np.exp(-np.square((channel - place) / 0.3))
    white = rng.standard_normal((len(settings), CHANNELS, TIMES))
    return packet * np.sin(2 * np.pi * (2 + 2 * fast) * at + phase) + 0.05 * (1 + noise) * white


def flat(trials: np.ndarray) -> np.ndarray:
    return trials.reshape(*trials.shape[:-2], -1)


def compare(trials: int, seed: int) -> str:
    """Train on one draw of trials, and compare with the law: a row of the table."""
    rng = np.random.default_rng(seed)
    known, fresh = (rng.uniform(size=(n, PARAMETERS)) for n in (trials, FRESH))
    learned, real = waves(known, rng), flat(waves(fresh, rng))
    with tempfile.TemporaryDirectory() as folder:
        experiment = Path(folder) / "experiment.toml"
        experiment.write_text(LAB + "".join(map(PARAMETER.format, range(PARAMETERS))))
        with h5py.File(Path(folder) / "lab.h5", "w") as file:
            file["wave"] = learned
            file.update({f"p{i}": column for i, column in enumerate(known.T)})
        start = time.perf_counter()
        model = virtlab.train(experiment, output=Path(folder) / "waves.virtlab", seed=seed)
        seconds = time.perf_counter() - start
        design = Design({f"p{i}": column for i, column in enumerate(fresh.T)})
        virtual = model.simulate(design, trials=DRAWS, seed=8)["wave"]
        drawn = flat(virtual.transpose("trial", "setting", ...).values.astype(float))
    law = np.stack([flat(waves(fresh, rng)) for _ in range(DRAWS)])
    whole = np.broadcast_to(flat(learned[:DRAWS, None]), law.shape)
    nearest = flat(learned[KDTree(known).query(fresh)[1]])
    rank = scores.ranks(drawn, real, rng)
    held = [f"{scores.coverage(rank, level):.3f}" for level in (0.5, 0.9)]
    told = [scores.energy_scores(draws, real) for draws in (drawn, law, whole)]
    told += [scores.distance(nearest, real)]  # a single trial has no spread to take off
    means = [f"{score.mean():.4f}" for score in told]
    return f"| {' | '.join([str(seed), *means, *held, f'{seconds:.0f}'])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=600)
    parser.add_argument("--seeds", default="0")
    chosen = parser.parse_args()
    columns = "seed | virtual | law | marginal | nearest | 50 % | 90 % | s"
    print(f"| {columns} |\n{'|---' * len(columns.split('|'))}|")
    for seed in chosen.seeds.split(","):
        print(compare(chosen.trials, int(seed)), flush=True)


if __name__ == "__main__":
    main()
