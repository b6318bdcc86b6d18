"""Does starting from a trained model help where the physics is related? Thirty trials, with and
without.

    python tests/benchmarks/transfer.py [--seeds 3] [--trials 30] [--signals]

A parent learns from 250 shots of a damped oscillator. Four other apparatuses give 30 shots each:
one whose sensor has another gain and offset, one in thicker oil with a heavier mass, one whose
release is a parameter that the parent did not have, and, to see whether a start can hurt, one
that is no relative at all. Each is learned anew and from the parent; what counts is the energy
score of virtual trials against 400 shots at settings that nobody saw. One seed draws data and
starts networks; the table has the median and the range of the ratio with / without.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

import virtlab
from virtlab.config import parse_experiment
from virtlab.design import Design
from virtlab.scores import energy_scores

TIME = np.linspace(0, 1.9, 20)
AT = 4  # 0.4 s
DRAWS = 100

EXPERIMENT = """
[experiment]
name = "NAME"
[data]
files = ["NAME.h5"]
[parameters.stiffness]
path = "stiffness"
scale = "log"
[parameters.drag]
path = "drag"
[measurements.peak]
path = "peak"
[measurements.level]
path = "level"
MORE"""
TRACE = """[measurements.trace]
path = "trace"
dims = ["time"]
"""
RELEASE = """[parameters.release]
path = "release"
"""


def oscillator(settings, rng, *, mass=0.5, oil=1.0, gain=1.0, offset=0.0):
    """Position in mm along time and after 0.4 s, and its highest after release."""
    n = len(settings["stiffness"])
    stiffness = settings["stiffness"] * rng.lognormal(0, 0.02, n)
    damping = oil * settings["drag"] * rng.lognormal(0, 0.1, n) / (2 * mass)
    frequency = np.sqrt(np.maximum(stiffness / mass - damping**2, 0.1))
    release = settings.get("release", np.full(n, 10.0))
    swing = np.exp(-damping[:, None] * TIME) * np.cos(frequency[:, None] * TIME)
    trace = release[:, None] * swing + 0.2 * rng.standard_normal((n, len(TIME)))
    peak = release * np.exp(-damping * 2 * np.pi / frequency) + 0.2 * rng.standard_normal(n)
    trace = gain * trace + offset
    return {"trace": trace, "level": trace[:, AT], "peak": gain * peak + offset}


def unrelated(settings, rng):
    """Nothing that an oscillator knows."""
    n = len(settings["stiffness"])
    x, y = np.log(settings["stiffness"]), settings["drag"]
    trace = np.sin(7 * y[:, None] + TIME * x[:, None] ** 2) + x[:, None] * TIME
    trace += 0.2 * rng.standard_normal(trace.shape)
    return {
        "trace": trace,
        "level": trace[:, AT],
        "peak": y * np.cos(5 * x) + 0.1 * rng.standard_normal(n),
    }


CASES = {
    "sensor": lambda s, rng: oscillator(s, rng, gain=1.3, offset=2.0),
    "thicker oil": lambda s, rng: oscillator(s, rng, mass=0.7, oil=1.5),
    "new parameter": oscillator,
    "unrelated": unrelated,
}


def settings_for(case, count, rng):
    found = {"stiffness": np.exp(rng.uniform(1, 4, count)), "drag": rng.uniform(0.1, 2, count)}
    if case == "new parameter":
        found["release"] = rng.uniform(5, 15, count)
    return found


def write(folder, name, settings, measured, *, signals):
    with h5py.File(folder / f"{name}.h5", "w") as file:
        for key, values in (settings | measured).items():
            file[key] = values
    text = EXPERIMENT.replace("NAME", name).replace("MORE", TRACE if signals else "")
    text += RELEASE if "release" in settings else ""
    return parse_experiment(text, folder / "experiment.toml")


def score(model, settings, measured):
    """Energy scores of virtual trials on unseen shots, by measurement."""
    drawn = model.simulate(Design(settings), trials=DRAWS, seed=1)
    found = {}
    for name in (m.name for m in model.measurements):
        real = measured[name]
        real = real.reshape(len(real), -1)
        draws = drawn[name].values.reshape(len(real), DRAWS, -1).swapaxes(0, 1).astype(np.float64)
        found[name] = float(energy_scores(draws, real).mean())
    return found


def run(seed, trials, signals, folder):
    """Ratio of scores with a start to those without, by case and measurement."""
    rng = np.random.default_rng(seed)
    settings = settings_for("parent", 250, rng)
    experiment = write(folder, "parent", settings, oscillator(settings, rng), signals=signals)
    parent = virtlab.train(experiment, seed=seed, force=True)
    for case, physics in CASES.items():
        settings = settings_for(case, trials, rng)
        experiment = write(folder, "new", settings, physics(settings, rng), signals=signals)
        unseen = settings_for(case, 400, rng)
        real = physics(unseen, rng)
        began = time.monotonic()
        without = score(virtlab.train(experiment, seed=seed, force=True), unseen, real)
        middle = time.monotonic()
        model = virtlab.train(experiment, seed=seed, force=True, start=parent.file.path)
        told = model.manifest["training"]["start"]
        found = score(model, unseen, real)
        ratios = {name: found[name] / without[name] for name in found}
        print(
            f"seed {seed} {case:14}",
            *(f"{n} {found[n]:.3f} / {without[n]:.3f} = {ratios[n]:.2f}  " for n in found),
            "kept" if told["kept"] else "anew",
            f"(held out {told['score_over_anew']:.2f})",
            f"{middle - began:.0f} s, with start {time.monotonic() - middle:.0f} s",
            flush=True,
        )
        yield case, ratios


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--signals", action="store_true", help="measure the whole trace, too")
    arguments = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.seeds):
            for case, ratios in run(seed, arguments.trials, arguments.signals, Path(folder)):
                for name, ratio in ratios.items():
                    found.setdefault((case, name), []).append(ratio)
    for (case, name), ratios in found.items():
        low, middle, high = np.quantile(ratios, (0, 0.5, 1))
        print(f"{case:14} {name:6} with / without: {middle:.2f} ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
