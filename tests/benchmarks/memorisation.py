"""Does the audit catch a network that was overtrained, and let go one that was not?

    python tests/benchmarks/memorisation.py [--labs bimodal,signal] [--sizes 60,200] [--seeds 0]
        [--kinds product,overtrained] [--steps 6000]

Labs of different kinds, each with so many trials. `product` is virtlab as it is. `overtrained` are
its mixture networks without weight decay, without processes and without held-out trials to stop
them: each member goes on for so many steps, as long as it gets better on the trials that it learns
from; calibration and held-out draws are honest. `without` is the product without Gaussian
processes, `apart` with processes that leave each member's fold out even in the model file.
Printed, beside held-out draws and beside 1,000 new trials: the share of virtual trials nearer to
training trials, the attack's advantage with its 90 % interval, that on a Gaussian process fitted to
the same trials, and the verdict; at the end, how often each kind got which verdict.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import h5py
import numpy as np
import xarray as xr

import virtlab
from virtlab.evaluation.audit import Audit, audit
from virtlab.evaluation.heldout import read_held_out
from virtlab.evaluation.matching import match_trials
from virtlab.gan import fit, presets
from virtlab.gan.folds import Folds
from virtlab.storage import open_trials

NEW = 1000
Values = dict[str, np.ndarray]


@dataclass(frozen=True)
class Lab:
    """What experiment.toml says of the measurements, and how trials are made.

    `make` turns parameters ``(trial, parameter)``, each between 0 and 1, into measurements;
    settings are `replicates` trials each.
    """

    measurements: str
    make: Callable[[np.ndarray, np.random.Generator], Values]
    parameters: int = 2
    replicates: int = 1

    def trials(self, n: int, rng: np.random.Generator) -> Values:
        """Trials at random settings."""
        settings = rng.random((-(-n // self.replicates), self.parameters))
        u = np.repeat(settings, self.replicates, axis=0)[:n]
        return {f"p{i}": column for i, column in enumerate(u.T)} | self.make(u, rng)

    def write(self, folder: Path, trials: Values, name: str, seed: int = 0) -> Path:
        """A lab file and its experiment.toml."""
        with h5py.File(folder / f"{name}.h5", "w") as file:
            for key, values in trials.items():
                file[key] = values.astype("S8") if values.dtype.kind == "U" else values
        parameters = "".join(f'[parameters.p{i}]\npath = "p{i}"\n' for i in range(self.parameters))
        path = folder / f"{name}.toml"
        path.write_text(
            f'[experiment]\nname = "{name}"\n[data]\nfiles = ["{name}.h5"]\n'
            f"{parameters}{self.measurements}\n[training]\nseed = {seed}\n"
        )
        return path


def uneven(u: np.ndarray, rng: np.random.Generator) -> Values:
    """A scalar whose noise grows with its mean."""
    mean = 2 + np.sin(5 * u[:, 0]) + u[:, 1]
    return {"y": mean * (1 + 0.15 * rng.standard_normal(len(u)))}


def bimodal(u: np.ndarray, rng: np.random.Generator) -> Values:
    """A scalar on one of two branches."""
    branch = np.where(rng.random(len(u)) < 0.2 + 0.6 * u[:, 1], 1.0, -1.0)
    return {"y": branch * (0.5 + u[:, 0]) + 0.1 * rng.standard_normal(len(u))}


def many(u: np.ndarray, rng: np.random.Generator) -> Values:
    """A scalar of two parameters among eight."""
    return {"y": np.sin(4 * u[:, 0]) + 2 * u[:, 1] ** 2 + 0.3 * rng.standard_normal(len(u))}


def failing(u: np.ndarray, rng: np.random.Generator) -> Values:
    """A yield that often is zero."""
    runs = rng.random(len(u)) < 0.3 + 0.6 * u[:, 0]
    return {"y": np.where(runs, 60 * u[:, 1] + rng.gamma(4.0, 3.0, len(u)), 0.0)}


def counted(u: np.ndarray, rng: np.random.Generator) -> Values:
    """Two counters."""
    rate = 3 + 20 * u[:, 0] * u[:, 1]
    return {"a": rng.poisson(rate), "b": rng.poisson(30 - rate)}


def mixed(u: np.ndarray, rng: np.random.Generator) -> Values:
    """A category, a scalar that depends on it, and a count."""
    up = rng.random(len(u)) < u[:, 0]
    y = np.where(up, 3.0, 1.0) * (1 + u[:, 1]) + 0.2 * rng.standard_normal(len(u))
    return {"state": np.where(up, "up", "down"), "y": y, "n": rng.poisson(2 + 6 * u[:, 1])}


def channels(u: np.ndarray, rng: np.random.Generator) -> Values:
    """Eight channels that drift together, with noise of their own."""
    place, n = np.linspace(0, 1, 8), len(u)
    mean = np.sin(2 * np.pi * (u[:, :1] + place)) + u[:, 1:] * place
    gain = 1 + 0.2 * rng.standard_normal((n, 1))
    return {"y": gain * mean + 0.3 * rng.standard_normal((n, 8))}


def signal(u: np.ndarray, rng: np.random.Generator) -> Values:
    """A damped oscillation whose phase jitters."""
    time, n = np.linspace(0, 1, 40), len(u)
    phase = 0.3 * rng.standard_normal((n, 1))
    swing = np.cos((6 + 10 * u[:, :1]) * time + phase) * np.exp(-3 * u[:, 1:] * time)
    return {"y": swing + 0.05 * rng.standard_normal((n, 40))}


SCALAR = '[measurements.y]\npath = "y"\n'
LABS = {
    "uneven": Lab(SCALAR, uneven),
    "bimodal": Lab(SCALAR, bimodal),
    "many": Lab(SCALAR, many, parameters=8),
    "failing": Lab(SCALAR + "support = [0, inf]\n", failing),
    "counted": Lab(
        "".join(f'[measurements.{n}]\npath = "{n}"\nkind = "count"\n' for n in "ab"), counted
    ),
    "mixed": Lab(
        SCALAR
        + '[measurements.state]\npath = "state"\n[measurements.n]\npath = "n"\nkind = "count"\n',
        mixed,
    ),
    "channels": Lab(SCALAR + 'dims = ["channel"]\n', channels),
    "signal": Lab(SCALAR + 'dims = ["time"]\n', signal),
    "replicates": Lab(SCALAR, uneven, replicates=5),
}


def overtrained(stack: ExitStack, steps: int) -> None:
    """Members that stop only when they get no better on what they learn from."""
    sizes_for, split, whole_fit = presets.sizes_for, fit.split_by_setting, fit.fit

    def endless(*given: Any) -> presets.Sizes:
        return replace(
            sizes_for(*given), likelihood_steps=steps, game_steps=0, decay=0.0, patience=steps
        )

    honest: list[Folds] = []

    def blind(*given: Any, **more: Any) -> Folds:
        honest.append(split(*given, **more))
        own = honest[-1]
        return Folds(own.train, own.train_count, own.train, own.train_count)

    def judged(*given: Any, **more: Any) -> fit.Fit:
        found = whole_fit(*given, **more)
        own = honest[-1]
        return replace(found, folds=replace(found.folds, held=own.held, held_count=own.held_count))

    for name, put in (("sizes_for", endless), ("split_by_setting", blind), ("fit", judged)):
        stack.enter_context(mock.patch.object(fit, name, put))
    stack.enter_context(mock.patch.object(presets, "MOST_FOR_PROCESSES", 0))


def train(path: Path, kind: str, steps: int) -> virtlab.Model:
    """The product, or a kind of it."""
    with ExitStack() as stack:
        if kind == "overtrained":
            overtrained(stack, steps)
        if kind == "without":
            stack.enter_context(mock.patch.object(presets, "MOST_FOR_PROCESSES", 0))
        if kind == "apart":
            start = fit.start_processes

            def apart(*given: Any) -> Any:
                weights, predicted, _ = start(*given)
                return weights, predicted, {}

            stack.enter_context(mock.patch.object(fit, "start_processes", apart))
        return virtlab.train(path, output=path.with_name("model.virtlab"), force=True)


def row(found: Audit) -> str:
    """What was found, on a line."""
    near, edge = found.nearness, found.advantage
    if near is None or edge is None:
        return found.words
    return (
        f"nearer {near.value:.2f} [{near.low:.2f}, {near.high:.2f}]  advantage {edge.value:.2f} "
        f"[{edge.low:.2f}, {edge.high:.2f}]  usual {found.usual.value:.2f}  "
        f"copies {found.copies.value:.2f}  {found.verdict}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labs", default=",".join(LABS))
    parser.add_argument("--sizes", default="60,200")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--kinds", default="product,overtrained")
    parser.add_argument("--steps", type=int, default=6000)
    args = parser.parse_args()
    told: Counter[tuple[str, str, str]] = Counter()
    cases = [
        (name, int(size), int(seed), kind)
        for seed in args.seeds.split(",")
        for size in args.sizes.split(",")
        for name in args.labs.split(",")
        for kind in args.kinds.split(",")
    ]
    for name, size, seed, kind in cases:
        lab, rng = LABS[name], np.random.default_rng([seed, size])
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            path = lab.write(folder, lab.trials(size, rng), "lab", seed)
            new: xr.Dataset = open_trials(lab.write(folder, lab.trials(NEW, rng), "new"))
            model = train(path, kind, args.steps)
            kept = read_held_out(model)
            found = {"held out": audit(model, kept)}
            found["new"] = audit(model, kept, match_trials(model, new))
        for control, each in found.items():
            told[kind, control, each.verdict] += 1
            print(f"{name:10s} {size:4d} {seed} {kind:11s} {control:8s}", row(each), flush=True)
    for (kind, control, verdict), count in sorted(told.items()):
        print(f"{kind:11s} beside {control:8s}: {verdict:16s} {count}")


if __name__ == "__main__":
    main()
