"""The damped oscillator's lab: physics in place of a laboratory.

A mass hangs on a spring in oil. A latch holds it off its rest position, lets go, and a camera
follows it for 1.28 s. No two shots at one setting are alike:

- the latch drags the mass along a little, and at low spring force it often sticks and lets go
  late, so that shots come in two kinds;
- the oil is warmer or colder, hence thinner or thicker;
- the building hums near 2 Hz with another strength and phase each time: where the spring
  resonates with it, shots differ most;
- the camera is noisy.

    python make_data.py [--force]

writes ``lab/monday.h5`` and ``lab/tuesday.h5``, one group per shot. Same seed, same numbers.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

LAB = Path(__file__).parent / "lab"
SEED = 20
STIFFNESS = (20.0, 23.0, 27.0, 32.0, 37.0, 43.0, 50.0, 59.0, 69.0, 80.0)  # N/m
DRAG = (0.4, 1.0, 2.5)  # kg/s
RELEASE = (10.0, 20.0)  # mm
REPLICATES = 10
DAYS = ("monday", "tuesday")

MASS = 0.25  # kg
HARDENING = 120.0  # 1/m², of the spring: force = stiffness x (1 + HARDENING x²)
HUM = 2.0  # Hz
SAMPLES, SUBSTEPS, DURATION = 64, 10, 1.28  # samples, integration steps per sample, s
TIME = np.arange(SAMPLES) * DURATION / SAMPLES

Array = NDArray[np.float64]


def run_shots(
    stiffness: Array, drag: Array, release: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Run one shot per setting.

    Parameters
    ----------
    stiffness, drag, release
        Spring constant in N/m, damping in kg/s, release position in mm; shape ``(shot,)``.

    Returns
    -------
    position
        In mm, shape ``(shot, SAMPLES)``.
    overshoot
        How far the mass swings past rest, in mm, shape ``(shot,)``; read off a faster camera.
    """
    shots = len(stiffness)
    start = release * 1e-3 * rng.normal(1.0, 0.03, shots)
    thickness = drag * rng.lognormal(0.0, 0.12, shots)
    hum = rng.rayleigh(0.12, shots)  # m/s²
    phase = rng.uniform(0.0, 2 * np.pi, shots)
    force = stiffness * release * 1e-3
    sticks = rng.random(shots) < 0.5 / (1 + np.exp((force - 0.5) / 0.1))
    let_go = np.where(sticks, rng.normal(0.20, 0.015, shots), rng.exponential(0.01, shots))

    def acceleration(x: Array, v: Array, t: float) -> Array:
        spring = stiffness * x * (1 + HARDENING * x**2)
        return -(spring + thickness * v) / MASS + hum * np.cos(2 * np.pi * HUM * t + phase)

    path = _integrate(acceleration, start, let_go) * 1e3
    position = path[:, ::SUBSTEPS] + rng.normal(0.0, 0.25, (shots, SAMPLES))
    overshoot = np.maximum(0.0, -path.min(axis=1))
    return position, overshoot


def _integrate(acceleration, start: Array, let_go: Array) -> Array:
    """Path of each mass, held at `start` until `let_go`; Runge-Kutta of fourth order."""
    dt = DURATION / SAMPLES / SUBSTEPS
    x, v = start.copy(), np.zeros_like(start)
    path = np.empty((len(start), SAMPLES * SUBSTEPS))
    for step in range(path.shape[1]):
        t = step * dt
        path[:, step] = x
        a1 = acceleration(x, v, t)
        v2 = v + dt / 2 * a1
        a2 = acceleration(x + dt / 2 * v, v2, t + dt / 2)
        v3 = v + dt / 2 * a2
        a3 = acceleration(x + dt / 2 * v2, v3, t + dt / 2)
        v4 = v + dt * a3
        a4 = acceleration(x + dt * v3, v4, t + dt)
        free = t >= let_go
        x = np.where(free, x + dt / 6 * (v + 2 * v2 + 2 * v3 + v4), x)
        v = np.where(free, v + dt / 6 * (a1 + 2 * a2 + 2 * a3 + a4), v)
    return path


def write_lab(folder: Path) -> list[Path]:
    """Run the campaign, in shuffled order, and write a file for each day."""
    rng = np.random.default_rng(SEED)
    settings = np.array(list(itertools.product(STIFFNESS, DRAG, RELEASE)))
    settings = rng.permutation(np.repeat(settings, REPLICATES, axis=0))
    position, overshoot = run_shots(*settings.T, rng)
    paths = [folder / f"{day}.h5" for day in DAYS]
    for path, shots in zip(paths, np.array_split(np.arange(len(settings)), len(DAYS)), strict=True):
        _write_day(path, shots, settings, position, overshoot)
    return paths


def _write_day(
    path: Path, shots: NDArray[np.intp], settings: Array, position: Array, overshoot: Array
) -> None:
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w", libver="latest") as file:  # the newer layout is half the size
        file.attrs["instrument"] = "spring bench 2, camera 50 frames/s"
        time = file.create_dataset("axes/time", data=TIME)
        time.attrs["units"] = "s"
        for shot in shots:
            group = file.create_group(f"shots/{shot:04d}")
            group.attrs["stiffness"], group.attrs["drag"], group.attrs["release"] = settings[shot]
            frames = group.create_dataset("position", data=position[shot].astype("f4"))
            frames.attrs["units"] = "mm"
            peak = group.create_dataset("overshoot", data=np.float32(overshoot[shot]))
            peak.attrs["units"] = "mm"


def main() -> None:
    """Write the lab files, unless they are there."""
    parser = argparse.ArgumentParser(description="Write the lab files of this example.")
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    force = parser.parse_args().force
    there = sorted(LAB.glob("*.h5"))
    if there and not force:
        sys.exit(f"error: {there[0]} is there already; use --force to replace it")
    for path in write_lab(LAB):
        print(path)


if __name__ == "__main__":
    main()
