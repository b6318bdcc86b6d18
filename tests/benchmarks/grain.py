"""Are virtual signals as smooth as real ones?

    python tests/benchmarks/grain.py [--draws 3,4]

Of the 215 near-infrared spectra of `meats` 160 are learned from, drawn at random; 50 virtual ones
at each setting of the others are held against those. Prints the standard deviation of the values,
of the differences between neighbours and of second differences, each averaged along the spectrum,
and the energy score, all in the unit of the spectra. Needs ``../shared/data`` beside the project.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from real_sets import DATA, EXPERIMENTS

import virtlab
from virtlab import scores
from virtlab.design import Design

LEARNED, TRIALS = 160, 50


def roughness(signals: np.ndarray) -> list[float]:
    """Mean standard deviations of ``(trial, value)``, its differences and second differences."""
    return [float(np.diff(signals, order).std(axis=0).mean()) for order in range(3)]


def compare(draw: int) -> str:
    """Train on one draw of spectra, and compare at the others: rows of the table."""
    with tempfile.TemporaryDirectory() as folder:
        experiment = Path(folder) / "experiment.toml"
        experiment.write_text(
            '[experiment]\nname = "meats"\n' + EXPERIMENTS["meats"].format(data=DATA)
        )
        trials = virtlab.open_trials(experiment)
        order = np.random.default_rng(draw).permutation(trials.sizes["trial"])
        known, others = np.sort(order[:LEARNED]), np.sort(order[LEARNED:])
        start = time.perf_counter()
        model = virtlab.train(experiment, output=Path(folder) / "m.virtlab", only=known)
        seconds = time.perf_counter() - start
        settings = {p.name: trials[p.name].values[others] for p in model.parameters}
        virtual = model.simulate(Design(settings), trials=TRIALS, seed=8)["absorbance"]
        real = trials["absorbance"].values[others].astype(float)
        drawn = virtual.transpose("trial", "setting", ...).values.astype(float)
    score = scores.energy_scores(drawn, real).mean()
    told = [f"{value:.5f}" for value in (*roughness(real), *roughness(drawn[0]))]
    return f"| {draw} | {' | '.join(told)} | {score:.4f} | {seconds:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", default="3,4")
    print("| draw | real | 1st | 2nd | virtual | 1st | 2nd | energy score | s |")
    print("|---" * 9 + "|")
    for draw in parser.parse_args().draws.split(","):
        print(compare(int(draw)), flush=True)


if __name__ == "__main__":
    main()
