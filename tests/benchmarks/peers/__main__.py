"""Measure what other methods reach on ``../shared/bench``, side by side and by the same scores.

    python -m venv peers_venv
    peers_venv/bin/pip install torch zuko engression ctgan scikit-learn h5py
    peers_venv/bin/python tests/benchmarks/peers OUT.json [--peers mdn,nsf] [--tasks tiny,yield]
                                                 [--seeds 0,1,2] [--real concrete,energy]
                                                 [--splits 0,1,2]

Adds each result to OUT.json as it comes and skips what is there, so it can be stopped and started
again; prints OUT.json's tables at the end. ``--tasks ''`` measures no task, only prints.

Budgets are steps, never seconds: a peer stops by itself when the trials it holds out (15 % of the
training data) stop improving, or at its cap of steps, and then a star says so in the tables. The
training data are the same for all seeds; a seed draws weights, batches and held-out trials. Real
sets are trained once on each split. One thread; times are of the processor.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from problem import Data, Fitted, Problem, known_truth, real_set
from tables import print_tables
from threadpoolctl import threadpool_limits

PEERS = {
    "oracle": "",  # the true simulator itself
    "marginal": "neighbours:fit_marginal",
    "knn": "neighbours:fit_nearest",
    "forest": "forest:fit",
    "gp": "gaussian_process:fit",
    "mdn": "mixture_density:fit",
    "nsf": "spline_flow:fit",
    "engression": "engressor:fit",
    "naive": "textbook_gan:fit",
    "ctgan": "table_gan:fit",
}
TASKS = ("bimodal", "yield", "tiny", "slcp", "spectrum", "shower")


def fit_of(peer: str, problem: Problem) -> Callable[[Data, int], Fitted | None]:
    """The peer's fit; its packages are imported only here, so that one may be missing."""
    if peer == "oracle":
        truth = problem.truth
        return lambda _data, _seed: truth and Fitted(truth, 0, False, {})
    module, function = PEERS[peer].split(":")
    return getattr(importlib.import_module(module), function)


def measure(peer: str, problem: Problem, seed: int) -> dict[str, object] | None:
    """Fit and score; None where the peer does not apply."""
    fit = fit_of(peer, problem)
    start = time.process_time()
    fitted = fit(problem.data, seed)
    seconds = time.process_time() - start
    if fitted is None:
        return None
    scores = problem.score(lambda c, at: fitted.draw(c, np.random.default_rng([seed, at])))
    kept = {"steps": fitted.steps, "capped": fitted.capped, "chosen": fitted.chosen}
    return scores | {"fit_cpu_s": seconds} | kept


def write(results: dict[str, object], out: Path) -> None:
    """In one move, so that a kill leaves the older file."""
    beside = out.with_suffix(".part")
    beside.write_text(json.dumps(results, indent=1))
    beside.replace(out)


def listed(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, metavar="OUT.json")
    parser.add_argument("--peers", type=listed, default=list(PEERS))
    parser.add_argument("--tasks", type=listed, default=list(TASKS))
    parser.add_argument("--seeds", type=listed, default=["0", "1", "2"])
    parser.add_argument("--real", type=listed, default=[])
    parser.add_argument("--splits", type=listed, default=["0", "1", "2"])
    args = parser.parse_args()
    if unknown := set(args.peers) - set(PEERS):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    if unknown := set(args.tasks) - set(TASKS):
        parser.error(f"no such task: {', '.join(sorted(unknown))}; there are {', '.join(TASKS)}")
    results = json.loads(args.out.read_text()) if args.out.exists() else {}
    splits = [int(split) for split in args.splits]
    jobs = [(peer, task, int(s)) for peer in args.peers for task in args.tasks for s in args.seeds]
    jobs += [(peer, f"real:{n}", k) for peer in args.peers for n in args.real for k in splits]
    for peer, name, seed in jobs:
        key = f"{name}|{peer}|{seed}"
        if key in results:
            continue
        is_real = name.startswith("real:")
        problem = real_set(name.removeprefix("real:"), seed) if is_real else known_truth(name)
        try:
            result = measure(peer, problem, seed)
        except ModuleNotFoundError as error:
            print(f"{key}: left out, {error}", flush=True)
            continue
        if result is None:
            continue
        results[key] = result
        write(results, args.out)
        shown = {k: round(v, 4) if isinstance(v, float) else v for k, v in result.items()}
        print(f"{key}: {shown}", flush=True)
    print_tables(results, list(PEERS), list(TASKS))


if __name__ == "__main__":
    with threadpool_limits(1):
        try:
            import torch
        except ModuleNotFoundError:
            pass  # knn, forest and Gaussian process do without
        else:
            torch.set_num_threads(1)
        main()
