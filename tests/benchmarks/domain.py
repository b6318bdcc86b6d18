"""Does the domain guard tell where a model is wrong? Known truth, holes, and beyond the data.

    python tests/benchmarks/domain.py [--tasks bimodal,yield] [--seeds 0,1] [--keep FOLDER]

Each lab runs settings of a region with a hole in it (a stretch of a parameter, a corner, or
combinations of categories). Virtual trials are then held against the truth at fresh settings of
the region and at settings all over a wider one, by the energy distance. Printed: the mean error of
settings inside, at the edge and outside, relative to that at fresh settings of the region; and the
AUC by which each guard separates large errors (over twice the 90 % quantile at fresh settings) from
small ones. Guards: `plain`, the distance with all features alike; `domain`, the product's;
`members`, the spread of the members' means and deviations over their usual one; `both`, the larger
of the last two. `false` is the share of fresh settings of the region that `domain` calls outside.
Needs the public benchmark, `../shared/bench` beside the project (or --bench FOLDER); models are
kept in --keep.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from irrelevant import PARAMETERS, simulate
from sklearn.metrics import roc_auc_score

import virtlab
from virtlab.design import Design
from virtlab.domain import EDGE, VERDICTS, learn_domain, verdicts
from virtlab.runtime import Trials

FRESH, WIDE, DRAWS = 150, 300, 100
WIDER = 0.4  # of a parameter's range, on either side
MEMBER_DRAWS = 100
LEVELS = tuple("ABCDEF")
NEVER = ((0, 1), (2, 3), (3, 5), (4, 0), (5, 4), (1, 2))  # catalysts that the lab never ran


@dataclass(frozen=True)
class Lab:
    """A simulator, the number of trials that a lab made with it, and the settings that it ran."""

    task: Any
    trials: int
    ran: Callable[[np.ndarray], np.ndarray]

    def runs(self, c: np.ndarray) -> np.ndarray:
        """Whether the lab would run these settings."""
        numeric = [i for i, p in enumerate(self.task.params) if not p.levels]
        low = np.array([p.low for p in self.task.params])
        u = (c - low) / np.array([p.high - p.low for p in self.task.params])
        within = ((u >= 0) & (u <= 1))[:, numeric].all(axis=1)
        return within & self.ran(c)

    def settings(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Settings of the region."""
        found: list[np.ndarray] = []
        while sum(map(len, found)) < n:
            c = self.task.sample_params(rng, n)
            found.append(c[self.runs(c)])
        return np.concatenate(found)[:n]

    def wide(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Settings of the whole box, with one number or so moved within a wider one."""
        box, params = self.task.sample_params(rng, n), self.task.params
        numbers = [p for p in params if not p.levels]
        share = 1.0 if len(numbers) < 3 else 1 / len(numbers)
        for i, p in enumerate(params):
            if not p.levels:
                more = WIDER * (p.high - p.low)
                moved = rng.uniform(p.low - more, p.high + more, n)
                box[:, i] = np.where(rng.random(n) < share, moved, box[:, i])
        return box

    def named(self, c: np.ndarray) -> dict[str, np.ndarray]:
        """Raw parameters as virtlab takes them."""
        return {
            p.name: np.array(p.levels, object)[column.astype(int)] if p.levels else column
            for p, column in zip(self.task.params, c.T, strict=True)
        }


def alloy(rng: np.random.Generator, c: np.ndarray) -> np.ndarray:
    """Two categories that work together, a third that does nothing, and heat."""
    first, second, heat = c[:, 0].astype(int), c[:, 1].astype(int), c[:, 3]
    table = np.random.default_rng(5).normal(0, 1, (4, 4))
    mean = table[first, second] + heat * (first - 1.5)
    return mean + 0.2 * rng.standard_normal(len(c))


def catalyst(rng: np.random.Generator, c: np.ndarray) -> np.ndarray:
    """Three categories of six, of which two work together."""
    i, j, k = c.astype(int).T
    table = np.random.default_rng(8)
    main, pair = table.normal(0, 1, (3, 6)), table.normal(0, 0.8, (6, 6))
    mean = main[0][i] + main[1][j] + main[2][k] + pair[i, j]
    return mean + 0.2 * rng.standard_normal(len(c))


def labs(tasks: Any) -> dict[str, Lab]:
    """All of them."""
    known, make, param = tasks.TASKS, tasks.Task, tasks.Param
    mixed = [param(n, levels=LEVELS[:4]) for n in ("base", "salt")]
    mixed += [param("flow", levels=("x", "y")), param("heat")]
    three = tuple(param(n, levels=LEVELS) for n in ("metal", "ligand", "solvent"))
    twenty = tuple(param(f"p{i}") for i in range(PARAMETERS))
    return {
        "bimodal": Lab(known["bimodal"], 400, lambda c: (c[:, 0] < 0) | (c[:, 0] > 0.5)),
        "yield": Lab(
            known["yield"],
            500,
            lambda c: ~(((c[:, 0] == 0) & (c[:, 1] > 85)) | _between(c, 2, 55, 85)),
        ),
        "tiny": Lab(known["tiny"], 80, lambda c: ~((c[:, 0] > 0.6) & (c[:, 1] > 0.6))),
        "spectrum": Lab(
            known["spectrum"], 500, lambda c: (np.abs(c[:, :2] - 0.5) > 0.25).any(axis=1)
        ),
        "irrelevant": Lab(
            make("irrelevant", 300, twenty, (1,), simulate, ""),
            300,
            lambda c: np.abs(c[:, 3] - 0.5) > 0.15,
        ),
        "alloy": Lab(
            make("alloy", 300, tuple(mixed), (1,), alloy, ""),
            300,
            lambda c: ~(((c[:, 0] == 0) & (c[:, 1] == 3)) | ((c[:, 0] == 2) & (c[:, 1] < 2))),
        ),
        "catalyst": Lab(
            make("catalyst", 150, three, (1,), catalyst, ""),
            150,
            lambda c: ~np.any([(c[:, 0] == i) & (c[:, 1] == j) for i, j in NEVER], axis=0),
        ),
    }


def _between(c: np.ndarray, category: int, low: float, high: float) -> np.ndarray:
    return (c[:, 0] == category) & (c[:, 1] > low) & (c[:, 1] < high)


def train(bench: Any, lab: Lab, folder: Path, seed: int) -> virtlab.Model:
    """A model of the lab's trials, or the one that is there."""
    path = folder / "model.virtlab"
    if path.exists():
        return virtlab.load(path)

    class InProcess(bench.Virtlab):  # type: ignore[misc]
        def _run(self, *_args: str) -> float:
            virtlab.train(self.folder / "experiment.toml", output=path, seed=seed)
            return 0.0

    rng = np.random.default_rng(seed)
    c = lab.settings(rng, lab.trials)
    InProcess(folder, lab.task.params, lab.task.shape, "auto").fit(c, lab.task.sample_flat(rng, c))
    return virtlab.load(path)


def errors(lab: Lab, model: virtlab.Model, c: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Energy distance of virtual from true trials at each setting."""
    task, n = lab.task, len(c)
    made = model.simulate(Design(lab.named(c)), trials=DRAWS, seed=3)["response"].values
    true = task.sample_flat(rng, np.repeat(c, DRAWS, axis=0)).reshape(n, DRAWS, -1)
    all_over = task.sample_flat(rng, lab.settings(rng, 2000))
    unit = np.sqrt(all_over.var(axis=0).mean()) if task.shared_unit else all_over.std(axis=0)

    def apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.sqrt(np.square(a[:, None] - b[None]).mean(axis=-1))

    def error(a: np.ndarray, b: np.ndarray) -> float:
        within = (apart(a, a).sum() + apart(b, b).sum()) / (DRAWS * (DRAWS - 1))
        return float(2 * apart(a, b).mean() - within)

    pairs = zip(made.reshape(true.shape), true, strict=True)
    return np.array([error(a / unit, b / unit) for a, b in pairs])


def disagreement(model: virtlab.Model, conditions: np.ndarray) -> np.ndarray:
    """Spread over members of their means and deviations, in scaled units, ``(setting,)``."""
    runtime, each = model.runtime, MEMBER_DRAWS * model.runtime.members
    parameters = runtime.setting_part(conditions)
    runs = [Trials(i, 0, 0, each) for i in range(len(conditions))]  # one key: the same latents
    values = runtime.draw(parameters, runs, 0)[0]
    drawn = values.reshape(len(conditions), MEMBER_DRAWS, runtime.members, -1)
    spread = drawn.mean(axis=1).var(axis=1) + drawn.std(axis=1).var(axis=1)
    return np.sqrt(spread.mean(axis=-1))


def guards(model: virtlab.Model, conditions: np.ndarray) -> dict[str, np.ndarray]:
    """What each guard says of the settings; more is farther."""
    reference = model.domain.reference
    plain = learn_domain(reference, np.random.default_rng(0))
    nearest = np.linalg.norm(conditions[:, None] - reference[None], axis=-1).min(axis=1)
    usual = np.quantile(disagreement(model, reference), 0.95)
    found = {"plain": nearest / plain.reach, "domain": model.domain.distance(conditions)}
    found["members"] = disagreement(model, conditions) / usual
    return found | {"both": np.maximum(found["domain"], found["members"])}


def judge(lab: Lab, model: virtlab.Model, seed: int) -> str:
    """One line of the table."""
    rng = np.random.default_rng(1000 + seed)
    c = np.concatenate([lab.settings(rng, FRESH), lab.wide(rng, WIDE)])
    error = errors(lab, model, c, rng)
    found = guards(model, model.conditions(lab.named(c)))
    large = error > 2 * np.quantile(error[:FRESH], 0.9)
    where, usual = verdicts(found["domain"]), error[:FRESH].mean()
    cells = [
        f"{error[where == v].mean() / usual:6.1f} ({(where == v).sum():3d})"
        if (where == v).any()
        else f"{'-':>12s}"
        for v in VERDICTS
    ]
    cells += [f"{roc_auc_score(large, far):8.3f}" for far in found.values()]
    return " ".join([*cells, f"{(found['domain'][:FRESH] > EDGE).mean():8.0%}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", default="bimodal,yield,tiny,spectrum,irrelevant,alloy,catalyst")
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--keep", type=Path)
    beside = Path(__file__).resolve().parents[3] / "shared" / "bench"
    parser.add_argument("--bench", type=Path, default=beside)
    args = parser.parse_args()
    if not args.bench.is_dir():
        parser.error(f"{args.bench} is no folder: name the benchmark's with --bench")
    sys.path.insert(0, str(args.bench))
    bench, known = importlib.import_module("run"), labs(importlib.import_module("tasks"))
    heads = [f"{v:>12s}" for v in VERDICTS]
    heads += [f"{name:>8s}" for name in ("plain", "domain", "members", "both", "false")]
    print(f"{'':12s}", *heads)
    with tempfile.TemporaryDirectory() as scratch:
        for name in args.tasks.split(","):
            for seed in map(int, args.seeds.split(",")):
                folder = (args.keep or Path(scratch)) / f"{name}_{seed}"
                folder.mkdir(parents=True, exist_ok=True)
                model = train(bench, known[name], folder, seed)
                print(f"{name:10s} {seed}", judge(known[name], model, seed), flush=True)


if __name__ == "__main__":
    main()
