"""Does the audit catch a network that was overtrained, and let go one that was not?

    python tests/benchmarks/memorisation.py [--steps 300,3000,12000] [--seeds 0,1]

A lab with eight channels and few trials. `product` is virtlab as it is; the others are its mixture
networks without Gaussian processes, without weight decay and without held-out trials to stop them:
each member learns from all trials and is judged on them, calibration included, for so many steps.
Printed, beside 1,000 new trials and for the product beside held-out draws, too: the distance of
virtual trials to the nearest training trial over that of the control, the share nearer to training
trials, the attack's advantage with its 90 % interval, and the verdict.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
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

EXPERIMENT = """
[experiment]
name = "channels"
[data]
files = ["lab.h5"]
[parameters.a]
path = "a"
[parameters.b]
path = "b"
[measurements.y]
path = "y"
dims = ["channel"]
[training]
seed = {seed}
"""


def measure(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Eight channels that drift together, with noise of their own."""
    place = np.linspace(0, 1, 8)
    mean = np.sin(2 * np.pi * (a[:, None] + place)) + b[:, None] * place
    gain = 1 + 0.2 * rng.standard_normal((len(a), 1))
    return gain * mean + 0.3 * rng.standard_normal((len(a), 8))


def make_trials(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Trials at random settings."""
    a, b = rng.random((2, n))
    return {"a": a, "b": b, "y": measure(a, b, rng)}


def as_dataset(trials: dict[str, np.ndarray]) -> xr.Dataset:
    """As virtlab would open them."""
    coords = {name: ("trial", trials[name], {"kind": "continuous"}) for name in "ab"}
    return xr.Dataset({"y": (("trial", "channel"), trials["y"], {"kind": "continuous"})}, coords)


def everything(setting: np.ndarray, *, members: int, **_others: object) -> Folds:
    """Every member learns from all trials, and is stopped by its score on them."""
    rows = np.tile(np.arange(len(setting), dtype=np.int32), (members, 1))
    count = np.full(members, len(setting), np.int32)
    return Folds(rows, count, rows, count)


def train(folder: Path, steps: int | None, seed: int) -> virtlab.Model:
    """The product, or without what keeps it from learning by heart for so many steps."""
    path = folder / "experiment.toml"
    path.write_text(EXPERIMENT.format(seed=seed))
    with ExitStack() as patches:
        if steps is not None:
            sizes_for = presets.sizes_for

            def endless(*given: object) -> presets.Sizes:
                return replace(
                    sizes_for(*given),
                    likelihood_steps=steps,
                    game_steps=0,
                    decay=0.0,
                    patience=steps,
                )

            for patch in (
                mock.patch.object(fit, "sizes_for", endless),
                mock.patch.object(fit, "split_by_setting", everything),
                mock.patch.object(presets, "MOST_FOR_PROCESSES", 0),
            ):
                patches.enter_context(patch)
        return virtlab.train(path, output=folder / "model.virtlab", force=True)


def row(found: Audit) -> str:
    """One line of the table."""
    near, edge = found.nearness, found.advantage
    return (
        f"distance {found.gaps[0] / found.gaps[1]:.2f}  nearer {near.value:.2f} "
        f"[{near.low:.2f}, {near.high:.2f}]  advantage {edge.value:.2f} "
        f"[{edge.low:.2f}, {edge.high:.2f}]  {found.verdict}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", default="300,3000,12000")
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--trials", type=int, default=100)
    args = parser.parse_args()
    kinds = [None, *map(int, args.steps.split(","))]
    for seed in map(int, args.seeds.split(",")):
        rng = np.random.default_rng(seed)
        training, new = make_trials(args.trials, rng), make_trials(1000, rng)
        for steps in kinds:
            with tempfile.TemporaryDirectory() as folder:
                with h5py.File(Path(folder) / "lab.h5", "w") as file:
                    for name, values in training.items():
                        file[name] = values
                model = train(Path(folder), steps, seed)
                kept, unseen = read_held_out(model), match_trials(model, as_dataset(new))
                told = "product" if steps is None else f"{steps} steps"
                print(f"seed {seed} {told:12s}", row(audit(model, kept, unseen)), flush=True)
                if steps is None:  # the others hold nothing out
                    print(f"seed {seed} product, held out", row(audit(model, kept)), flush=True)


if __name__ == "__main__":
    main()
