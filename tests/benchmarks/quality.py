"""Virtlab on the public benchmark, by seeds and by what each stage of training brings.

    python tests/benchmarks/quality.py OUT.json [--tasks bimodal,yield] [--real energy,concrete]
        [--splits 0,1,2] [--seeds 0,1,2] [--variants auto,likelihood,energy,always]

Needs the benchmark, `../shared/bench` beside the project (or --bench FOLDER). Trains in this
process, simulates with the command, adds each result to OUT.json as it comes and skips what is
there; prints a table of medians and ranges over seeds. Variants: `auto`, the product as it is;
`likelihood`, the core alone; `energy`, the core refined by the energy score alone; `always`,
refined by critic and energy score and kept whatever the held-out score says of it. `mean AUC` is
of more rows than the benchmark's own; see `apart.py`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from apart import mean_auc

KNOWN, REAL = ("ned", "c2st", "cov50", "cov90"), ("crps", "cov50", "cov90")


def train_as(variant: str, folder: Path, seed: int) -> Any:
    """Train the experiment in a folder as a variant says; returns the model."""
    import virtlab
    from virtlab.config import read_experiment
    from virtlab.gan import fit as fitting

    experiment = read_experiment(folder / "experiment.toml")
    if variant == "energy":
        model = experiment.model.model_copy(update={"preset": "energy"})
        experiment = experiment.model_copy(update={"model": model})
    sizes_for, clear = fitting.sizes_for, fitting.CLEAR_GAIN
    if variant == "likelihood":
        fitting.sizes_for = lambda *given: replace(sizes_for(*given), game_steps=0)
    if variant == "always":
        fitting.CLEAR_GAIN = -np.inf
    try:
        return virtlab.train(experiment, output=folder / "model.virtlab", seed=seed, force=True)
    finally:
        fitting.sizes_for, fitting.CLEAR_GAIN = sizes_for, clear


def score(bench: Any, job: str, variant: str, seed: int) -> dict[str, Any]:
    """Train and score one task, or one split of a real set (``energy/0``)."""
    told: dict[str, Any] = {}
    score_known = importlib.import_module("metrics").score_known

    class InProcess(bench.Virtlab):  # type: ignore[misc]
        def _run(self, *args: str) -> float:
            if args[0] != "train":
                return float(super()._run(*args))
            start, cpu = time.perf_counter(), time.process_time()
            model = train_as(variant, self.folder, seed)
            training = model.manifest["training"]
            told["cpu_s"] = time.process_time() - cpu
            kept = ("stage", "ended", "refinement_gain", "refinement_gain_error", "health")
            told.update({key: training[key] for key in kept})
            parameters = model.manifest["relevance"].items()
            told["relevant"] = {n: round(p["rise"], 3) for n, p in parameters if p["clear"]}
            told["steps"] = {row["stage"]: row["step"] for row in training["history"]}
            return time.perf_counter() - start

    bench.Virtlab = InProcess
    bench.score_known = lambda task, sample: score_known(task, sample) | mean_auc(task, sample)
    with tempfile.TemporaryDirectory() as folder:
        if "/" in job:
            name, split = job.split("/")
            return bench.real(name, int(split), "auto", Path(folder)) | told
        return bench.known(bench.TASKS[job], "auto", Path(folder)) | told


def table(results: dict[str, dict[str, Any]]) -> str:
    """Median and range over seeds, one row per task and variant."""
    lines = [
        "| task | variant | n | score | AUC | mean AUC | 50 % | 90 % | CPU s | kept |",
        "|---" * 10 + "|",
    ]
    kinds = sorted({key.rsplit("|", 1)[0] for key in results})
    for kind in kinds:
        job, variant = kind.split("|")
        rows = [value for key, value in results.items() if key.rsplit("|", 1)[0] == kind]
        names = REAL if "/" in job else KNOWN
        cells = []
        for name in ("score", "c2st", "mean_c2st", "cov50", "cov90", "cpu_s"):
            found = [row.get(names[0] if name == "score" else name) for row in rows]
            values = np.array([value for value in found if value is not None])
            cells.append(
                f"{np.median(values):.4g} ({values.min():.3g} to {values.max():.3g})"
                if len(values)
                else "-"
            )
        kept = ", ".join(sorted({str(row["stage"]) for row in rows}))
        lines.append(f"| {job} | {variant} | {len(rows)} | {' | '.join(cells)} | {kept} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--tasks", default="bimodal,yield,tiny,slcp,spectrum,shower")
    parser.add_argument("--real", default="")
    parser.add_argument("--splits", default="0,1,2")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--variants", default="auto")
    beside = Path(__file__).resolve().parents[3] / "shared" / "bench"
    parser.add_argument("--bench", type=Path, default=beside)
    args = parser.parse_args()
    if not args.bench.is_dir():
        parser.error(f"{args.bench} is no folder: name the benchmark's with --bench")
    sys.path.insert(0, str(args.bench))
    bench = importlib.import_module("run")
    jobs = [task for task in args.tasks.split(",") if task]
    jobs += [
        f"{name}/{split}"
        for name in args.real.split(",")
        if name
        for split in args.splits.split(",")
    ]
    results = json.loads(args.out.read_text()) if args.out.exists() else {}
    for job in jobs:
        for variant in args.variants.split(","):
            for seed in [0] if "/" in job else [int(seed) for seed in args.seeds.split(",")]:
                key = f"{job}|{variant}|{seed}"
                if key not in results:
                    results[key] = score(bench, job, variant, seed)
                    args.out.write_text(json.dumps(results, indent=1))
                    print(key, {k: v for k, v in results[key].items() if k != "steps"}, flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
