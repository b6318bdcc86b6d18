"""Twenty parameters of which four matter: virtlab beside a Gaussian process.

    python tests/benchmarks/irrelevant.py [--trials 200] [--seeds 0,1,2] [--bench FOLDER]

The process has one length scale per parameter (scikit-learn, RBF kernel plus white noise), as in
issue 3: virtlab should stay within twice of its normalised energy distance. Parameters that the
model calls relevant (3, 7, 11, 15 are) come with their rise of the held-out score. Needs
the scores of the public benchmark, `../shared/bench` beside the project (or --bench FOLDER).
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

import numpy as np
from quality import score
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

PARAMETERS = 20


def simulate(rng: np.random.Generator, c: np.ndarray) -> np.ndarray:
    """A wave, a product and a slope of parameters 3, 7, 11, 15; noise that grows with 7."""
    mean = np.sin(2 * np.pi * c[:, 3]) + 2 * c[:, 7] * c[:, 11] + c[:, 15]
    return mean + (0.05 + 0.2 * c[:, 7]) * rng.standard_normal(len(c))


def process(task, metrics) -> dict[str, float]:
    """Scores of the Gaussian process."""
    c, y = task.train_set(0)
    kernel = ConstantKernel() * RBF(np.ones(PARAMETERS), (1e-2, 1e3)) + WhiteKernel(0.1)
    fitted = GaussianProcessRegressor(
        kernel, normalize_y=True, n_restarts_optimizer=1, random_state=0
    ).fit(c, y[:, 0])

    def sample(x: np.ndarray, seed: int) -> np.ndarray:
        settings, where = np.unique(x, axis=0, return_inverse=True)
        mean, sd = fitted.predict(settings, return_std=True)
        noise = np.random.default_rng(seed).standard_normal(len(x))
        return (mean[where] + sd[where] * noise)[:, None]

    return metrics.score_known(task, sample)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seeds", default="0,1,2")
    beside = Path(__file__).resolve().parents[3] / "shared" / "bench"
    parser.add_argument("--bench", type=Path, default=beside)
    args = parser.parse_args()
    if not args.bench.is_dir():
        parser.error(f"{args.bench} is no folder: name the benchmark's with --bench")
    sys.path.insert(0, str(args.bench))
    bench, tasks = importlib.import_module("run"), importlib.import_module("tasks")
    parameters = tuple(tasks.Param(f"p{i}") for i in range(PARAMETERS))
    told = "four of twenty matter"
    task = tasks.Task("irrelevant", args.trials, parameters, (1,), simulate, told)
    bench.TASKS["irrelevant"] = task
    peer = process(task, importlib.import_module("metrics"))
    print("process", {k: round(peer[k], 4) for k in ("ned", "c2st", "cov90")}, flush=True)
    for seed in args.seeds.split(","):
        ours = score(bench, "irrelevant", "auto", int(seed))
        told = {k: round(ours[k], 4) for k in ("ned", "c2st", "cov90", "cpu_s")}
        print(f"virtlab, seed {seed}", told, f"ratio {ours['ned'] / peer['ned']:.2f}")
        print("    found relevant, by rise:", ours["relevant"], flush=True)


if __name__ == "__main__":
    main()
