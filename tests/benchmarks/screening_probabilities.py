"""Whether a screen's probabilities are true: P(require), P(best), P(front) and the 90 % interval.

    python tests/benchmarks/screening_probabilities.py OUT [LAB …] [--seeds 0,1]
    python tests/benchmarks/screening_probabilities.py OUT --barrels crossed_barrel.h5

Nine simulated labs whose truth is known, with 60 to 400 trials. A model is trained on each as a
user would, kept in OUT, and only screened if it is there; 60 random settings are screened together
for P(require) and the interval, and ten by ten for who is best. Printed of P(require), P(best) and
P(front): in bins of what was stated the mean of it and of what is true; and of P(best) the log
score beside 1/10 for each and beside certainty of rank 1. Of `crossed_barrel` 240 of its 600
settings are hidden, and the mean of three replicates stands for the truth: intervals allow for its
noise, P(best) cannot.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from screening_intervals import EXPERIMENT, split

from virtlab.config import read_params
from virtlab.screening import screen
from virtlab.training import train

Floats = np.ndarray
CANDIDATES, GROUP, TRUTH = 60, 10, 20_000
LEAST = 1 / 400  # what 400 draws of the truth can tell from nothing
BINS = np.array([0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1])


@dataclass(frozen=True)
class Lab:
    """A simulator: settings, each between 0 and 1, to the measurements of one trial each.

    Parameters
    ----------
    draw
        ``(setting, parameter)`` to ``(setting,)`` per goal.
    parameters
        How many.
    trials
        By seed; `replicates` of them at each setting.
    require
        A trial's first measurement must be above this.
    """

    draw: Callable[[Floats, np.random.Generator], list[Floats]]
    parameters: int
    trials: tuple[int, int]
    require: float
    replicates: int = 1


def peak(at: Floats, rng: np.random.Generator) -> list[Floats]:
    """One smooth maximum, normal noise."""
    height = 10 * np.exp(-((at[:, 0] - 0.6) ** 2 + (at[:, 1] - 0.4) ** 2) / 0.15)
    return [height + rng.normal(0, 1, len(at))]


def skewed(at: Floats, rng: np.random.Generator) -> list[Floats]:
    """Never negative; noise is skewed and grows with the mean."""
    mean = (1 + 3 * at[:, 0]) * (1.5 + np.sin(5 * at[:, 1])) * (1 + at[:, 2])
    return [rng.gamma(2, mean / 2)]


def failing(at: Floats, rng: np.random.Generator) -> list[Floats]:
    """A yield that is zero, often, where it would be highest."""
    works = rng.random(len(at)) < 1 / (1 + np.exp(10 * (at[:, 0] - 0.65)))
    return [works * np.maximum(20 * at[:, 0] + 5 * at[:, 1] + rng.normal(0, 1.5, len(at)), 0)]


def forked(at: Floats, rng: np.random.Generator) -> list[Floats]:
    """Two states, whose share and distance depend on the setting."""
    upper = rng.random(len(at)) < 0.2 + 0.6 * at[:, 0]
    return [upper * (2 + 6 * at[:, 1]) + rng.normal(0, 0.5, len(at))]


def stepped(at: Floats, rng: np.random.Generator) -> list[Floats]:
    """A threshold, beyond which a slope falls."""
    on = at[:, 0] > 0.5 + 0.1 * np.sin(6 * at[:, 1])
    return [on * (8 - 4 * at[:, 0]) + rng.normal(0, 0.7, len(at))]


def crowded(at: Floats, rng: np.random.Generator) -> list[Floats]:
    """Six parameters, of which two matter."""
    mean = 6 * np.sin(3 * at[:, 0]) * (1 - (at[:, 1] - 0.3) ** 2)
    return [mean + rng.normal(0, 0.8, len(at))]


def counted(at: Floats, rng: np.random.Generator) -> list[Floats]:
    """Counts."""
    rate = np.exp(2.5 - 8 * (at[:, 0] - 0.5) ** 2 + 0.8 * at[:, 1])
    return [rng.poisson(rate).astype(float)]


def rough(at: Floats, rng: np.random.Generator) -> list[Floats]:
    """A wavy mean, with noise of heavy tails that is largest at one end."""
    mean = 4 * np.sin(7 * at[:, 0]) + 3 * np.cos(5 * at[:, 1])
    return [mean + (0.3 + at[:, 0]) * rng.standard_t(4, len(at))]


def traded(at: Floats, rng: np.random.Generator) -> list[Floats]:
    """Two goals, of which one costs the other."""
    first = 8 * at[:, 0] + 2 * np.sin(4 * at[:, 1]) + rng.normal(0, 0.8, len(at))
    second = 8 * (1 - at[:, 0] ** 2) + 3 * at[:, 1] * at[:, 2] + rng.normal(0, 0.8, len(at))
    return [first, second]


LABS = {
    "peak": Lab(peak, 2, (60, 120), 5),
    "skewed": Lab(skewed, 3, (100, 200), 6, replicates=2),
    "failing": Lab(failing, 2, (120, 240), 8, replicates=2),
    "forked": Lab(forked, 2, (200, 400), 3),
    "stepped": Lab(stepped, 2, (80, 160), 4),
    "crowded": Lab(crowded, 6, (150, 300), 3.5),
    "counted": Lab(counted, 2, (80, 160), 12, replicates=2),
    "rough": Lab(rough, 2, (100, 300), 2, replicates=3),
    "traded": Lab(traded, 3, (100, 200), 4),
}


@dataclass
class Found:
    """What was stated, and what is true."""

    require: list[tuple[float, float, float]]
    interval: list[bool]
    best: list[Floats]
    front: list[tuple[float, bool]]


def write_lab(lab: Lab, folder: Path, seed: int) -> None:
    """Trials, experiment.toml, and the settings to be screened."""
    rng = np.random.default_rng([7, seed])
    trials = lab.trials[seed % 2]
    at = np.repeat(rng.random((trials // lab.replicates, lab.parameters)), lab.replicates, axis=0)
    drawn = lab.draw(at, rng)
    with h5py.File(folder / "lab.h5", "w") as file:
        for number, values in enumerate(at.T):
            file[f"p{number}"] = values
        for number, values in enumerate(drawn):
            file[f"m{number}"] = values
    lines = ['[experiment]\nname = "lab"\n[data]\nfiles = ["lab.h5"]']
    for number in range(lab.parameters):
        lines.append(f'[parameters.p{number}]\npath = "p{number}"\nbounds = [0, 1]')
    for number, values in enumerate(drawn):
        whole = bool((values == np.round(values)).all())
        lines.append(f'[measurements.m{number}]\npath = "m{number}"')
        lines += ['kind = "count"'] * whole + ["support = [0, inf]"] * bool(values.min() >= 0)
    (folder / "experiment.toml").write_text("\n".join(lines))


def screened(folder: Path, settings: dict[str, Floats], objective: str, seed: int) -> Any:
    """Screen some settings; the dataset in their order."""
    rows = list(zip(*settings.values(), strict=True))
    with (folder / "settings.csv").open("w", newline="") as file:
        csv.writer(file).writerows([list(settings), *rows])
    (folder / "params.toml").write_text(
        f'model = "lab.virtlab"\ntrials = 200\nseed = {seed}\ndesign = "table"\n'
        f'file = "settings.csv"\n[objective]\n{objective}\n'
    )
    found = screen(read_params(folder / "params.toml")).dataset
    place = {row: i for i, row in enumerate(zip(*(found[n].values for n in settings), strict=True))}
    return found.isel(setting=[place[row] for row in rows])


def judge(
    folder: Path,
    settings: dict[str, Floats],
    require: str,
    truth: dict[str, Floats],
    likely: Floats,
    seed: int = 0,
    of: float = np.inf,
) -> Found:
    """Screen settings, and note what was stated beside what is true.

    Parameters
    ----------
    truth
        Expected goals by measurement, ``(setting,)``.
    likely
        True P(require), ``(setting,)``.
    of
        How many trials these are the mean of.
    """
    first = next(iter(truth))
    goals = f"maximize = {list(truth)}"
    alone = f'maximize = "{first}"\nrequire = ["{require}"]'
    whole = screened(folder, settings, alone, seed)
    ranked = whole["rank"].values > 0
    stated = [whole[n].values for n in ("require_probability", "require_probability_error")]
    mean, noise = whole["expected_objective"].values, whole["objective_noise"].values
    ends = np.stack([whole["objective_low"].values, whole["objective_high"].values]) - mean
    held = np.abs(truth[first] - mean) < np.hypot(np.abs(ends), 1.645 * noise / np.sqrt(of))
    side = (truth[first] > mean).astype(int)
    found = Found(
        require=list(zip(*(v[ranked] for v in (*stated, likely)), strict=True)),
        interval=held[side, np.arange(len(mean))][ranked].tolist(),
        best=[],
        front=[],
    )
    inside = np.flatnonzero(ranked)
    for start in range(0, len(inside) - GROUP + 1, GROUP):
        group = inside[start : start + GROUP]
        part = screened(folder, {n: v[group] for n, v in settings.items()}, goals, seed)
        own = np.stack([values[group] for values in truth.values()])
        if len(own) > 1:
            beaten = (own[:, :, None] < own[:, None, :]).all(axis=0).any(axis=1)
            found.front += list(zip(part["front_probability"].values, ~beaten, strict=True))
        else:
            order = np.argsort(part["rank"].values)
            is_best = np.arange(GROUP) == np.argmax(own[0])
            found.best.append(np.stack([part["best_probability"].values, is_best])[:, order])
    return found


def judge_lab(name: str, seed: int, out: Path) -> Found:
    """Train if that was not done before, and judge."""
    lab, folder = LABS[name], out / f"{name}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "lab.virtlab").exists():
        write_lab(lab, folder, seed)
        train(folder / "experiment.toml", output=folder / "lab.virtlab")
    rng = np.random.default_rng([8, seed])
    settings = rng.random((CANDIDATES, lab.parameters))
    drawn = lab.draw(np.repeat(settings, TRUTH, axis=0), rng)
    values = np.stack(drawn).reshape(len(drawn), CANDIDATES, TRUTH)
    return judge(
        folder,
        {f"p{number}": values for number, values in enumerate(settings.T)},
        f"m0 > {lab.require}",
        {f"m{number}": own.mean(axis=1) for number, own in enumerate(values)},
        (values[0] > lab.require).mean(axis=1),
        seed,
    )


def judge_barrels(path: Path, out: Path) -> Found:
    """The same on 240 of the 600 designs of `crossed_barrel`, learned from the others."""
    folder = out / "crossed_barrel"
    folder.mkdir(parents=True, exist_ok=True)
    names, measured = split(path, folder, 0)
    (folder / "experiment.toml").write_text(EXPERIMENT)
    if not (folder / "lab.virtlab").exists():
        train(folder / "experiment.toml", output=folder / "lab.virtlab")
    columns = np.array(list(measured)).T
    trials = np.array(list(measured.values()))
    return judge(
        folder,
        dict(zip(names, columns, strict=True)),
        "toughness > 20",
        {"toughness": trials.mean(axis=1)},
        (trials > 20).mean(axis=1),
        of=trials.shape[1],
    )


def report(found: list[Found]) -> list[str]:
    """Tables of what was stated and what is true."""
    lines = []
    require = np.array([row for each in found for row in each.require])
    error = np.abs(require[:, 0] - require[:, 2])
    lines += binned("P(require)", require[:, 0], require[:, 2])
    actual, stated = np.sqrt((error**2).mean()), np.sqrt((require[:, 1] ** 2).mean())
    lines.append(
        f"   error {actual:.3f}, stated {stated:.3f} (root mean squares); within 1.645 stated "
        f"errors: {(error < 1.645 * require[:, 1]).mean():.2f}"
    )
    held = [one for each in found for one in each.interval]
    lines.append(f"90 % interval: {np.mean(held):.3f} of {len(held)} hold")
    best = np.array([each for one in found for each in one.best])
    if len(best):
        chance, is_best = best[:, 0], best[:, 1] > 0
        lines += binned("P(best)", chance.ravel(), is_best.ravel())
        own = chance[is_best]
        sure = np.where(is_best[:, 0], 1.0, LEAST)
        score = np.log(np.maximum(own, LEAST)).mean()
        lines.append(
            f"   {len(best)} groups of {GROUP}: log score {score:.2f}, 1/{GROUP} each "
            f"{-np.log(GROUP):.2f}, sure of rank 1 {np.log(sure).mean():.2f}; rank 1 is best in "
            f"{is_best[:, 0].mean():.2f}, stated {chance[:, 0].mean():.2f}"
        )
    if front := [row for each in found for row in each.front]:
        lines += binned("P(front)", *np.array(front).T)
    return lines


def binned(what: str, stated: Floats, true: Floats) -> list[str]:
    """What was stated and what is true, by bins of the former."""
    lines = [f"{what}: stated, true (how many)"]
    place = np.clip(np.digitize(stated, BINS) - 1, 0, len(BINS) - 2)
    for number in range(len(BINS) - 1):
        here = place == number
        if here.any():
            lines.append(
                f"   {BINS[number]:.2f} to {BINS[number + 1]:.2f}: {stated[here].mean():.2f}, "
                f"{true[here].mean():.2f} ({here.sum()})"
            )
    return lines


def main() -> None:
    """Judge lab by lab, then all together."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("labs", nargs="*", default=list(LABS))
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--barrels", type=Path, help="crossed_barrel.h5, instead of the labs")
    asked = parser.parse_args()
    if asked.barrels:
        print("== crossed_barrel", *report([judge_barrels(asked.barrels, asked.out)]), sep="\n")
        return
    every = []
    for name in asked.labs:
        for seed in map(int, asked.seeds.split(",")):
            found = judge_lab(name, seed, asked.out)
            every.append(found)
            print(f"== {name}, seed {seed}", *report([found]), sep="\n", flush=True)
    print(f"== {len(every)} models", *report(every), sep="\n")


if __name__ == "__main__":
    main()
