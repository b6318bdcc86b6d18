"""Are virtual signals as smooth as real ones?

    python tests/benchmarks/grain.py [--labs meats,steady,smooth] [--draws 3]

`meats`: of 215 near-infrared spectra 160 are learned from, drawn at random. `steady` and `smooth`:
1,000 signals of 100 values whose noise is alike in neighbours, an autoregression with a factor of
0.9, and white noise smoothed over some 10 values. Virtual signals at the settings of others, 55 and
1,000, are held against those. Prints the standard deviation of the values, of the differences
between neighbours and of second differences, each averaged along the signal, the energy score of 50
at each setting, and how well boosted trees tell real differences from virtual ones (AUC at settings
that they were not taught at, where there are enough; 0.5: not at all). `meats` needs
``../shared/data`` beside the project.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from real_sets import DATA, EXPERIMENTS
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

import virtlab
from virtlab import scores
from virtlab.design import Design

LEARNED = {"meats": 160, "steady": 1000, "smooth": 1000}
TRIALS, OTHERS, PLACES = 50, 1000, 100
FOR_TREES = 500
LAB = """
[experiment]
name = "grain"
[data]
files = ["lab.h5"]
reader = "table"
[parameters.a]
path = "a"
[parameters.b]
path = "b"
[measurements.signal]
path = "signal"
dims = ["place"]
"""


def steady(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Waves whose noise is an autoregression, after a run that forgets its beginning."""
    noise = lfilter([1], [1, -0.9], rng.standard_normal((len(a), 3 * PLACES)))[:, -PLACES:]
    return np.sin(2 * np.pi * (1 + 2 * a) * places()) + 0.15 * (0.5 + b) * noise


def smooth(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Peaks whose noise is smooth."""
    noise = gaussian_filter1d(rng.standard_normal((len(a), 3 * PLACES)), 4)[:, PLACES:-PLACES]
    return np.exp(-np.square((places() - 0.3 - 0.4 * a) / 0.1)) + 0.75 * (0.5 + b) * noise


LAWS: dict[str, Callable[..., np.ndarray]] = {"steady": steady, "smooth": smooth}


def places() -> np.ndarray:
    return np.arange(PLACES) / PLACES


def write(folder: Path, lab: str, rng: np.random.Generator) -> Path:
    """The lab's files, and the path of its experiment.toml."""
    experiment = folder / "experiment.toml"
    if lab == "meats":
        head = '[experiment]\nname = "meats"\n'
        experiment.write_text(head + EXPERIMENTS["meats"].format(data=DATA))
        return experiment
    a, b = rng.uniform(size=(2, LEARNED[lab] + OTHERS, 1))
    with h5py.File(folder / "lab.h5", "w") as file:
        file.update({"a": a[:, 0], "b": b[:, 0], "signal": LAWS[lab](a, b, rng)})
    experiment.write_text(LAB)
    return experiment


def roughness(signals: np.ndarray) -> list[float]:
    """Mean standard deviations of ``(trial, value)``, its differences and second differences."""
    return [float(np.diff(signals, order).std(axis=0).mean()) for order in range(3)]


def told_apart(settings: np.ndarray, real: np.ndarray, virtual: np.ndarray, order: int) -> float:
    """AUC of boosted trees that see settings and differences; taught on half of the settings."""
    kinds = [np.hstack([settings, np.diff(signals, order)]) for signals in (real, virtual)]
    half = len(settings) // 2
    taught, asked = (
        np.concatenate([kind[some] for kind in kinds]) for some in (np.s_[:half], np.s_[half:])
    )
    trees = HistGradientBoostingClassifier(random_state=0)
    trees.fit(taught, np.repeat([0, 1], half))
    chance = trees.predict_proba(asked)[:, 1]
    return float(roc_auc_score(np.repeat([0, 1], len(settings) - half), chance))


def compare(lab: str, draw: int) -> str:
    """Train on one draw of signals, and compare at the others: rows of the table."""
    rng = np.random.default_rng(draw)
    with tempfile.TemporaryDirectory() as folder:
        experiment = write(Path(folder), lab, rng)
        trials = virtlab.open_trials(experiment)
        order = rng.permutation(trials.sizes["trial"])
        known, others = np.sort(order[: LEARNED[lab]]), np.sort(order[LEARNED[lab] :])
        start = time.perf_counter()
        model = virtlab.train(experiment, output=Path(folder) / "m.virtlab", only=known)
        seconds = time.perf_counter() - start
        (made,) = model.measurements
        real = trials[made.name].values[others].astype(float)
        settings = {p.name: trials[p.name].values[others] for p in model.parameters}
        virtual = model.simulate(Design(settings), trials=TRIALS, seed=8)[made.name]
        drawn = virtual.transpose("trial", "setting", ...).values.astype(float)
    score = scores.energy_scores(drawn, real).mean()
    told = [f"{value:.5f}" for value in (*roughness(real), *roughness(drawn[0]))]
    seen = np.stack(list(settings.values()), axis=1).astype(float)
    if len(real) >= FOR_TREES:
        apart = [f"{told_apart(seen, real, drawn[0], order):.3f}" for order in (1, 2)]
    else:
        apart = ["-", "-"]
    row = [lab, str(draw), *told, f"{score:.4f}", *apart, f"{seconds:.0f}"]
    return f"| {' | '.join(row)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labs", default=",".join(LEARNED))
    parser.add_argument("--draws", default="3")
    chosen = parser.parse_args()
    columns = "lab | draw | real | 1st | 2nd | virtual | 1st | 2nd | score | AUC 1st | AUC 2nd | s"
    print(f"| {columns} |\n{'|---' * len(columns.split('|'))}|")
    for lab in chosen.labs.split(","):
        for draw in chosen.draws.split(","):
            print(compare(lab, int(draw)), flush=True)


if __name__ == "__main__":
    main()
