"""The reaction yield's lab: chemistry in place of a laboratory.

A coupling A + B -> P runs for two hours in a plate robot and is then analysed by HPLC. No two
wells at one setting are alike:

- the rate follows Arrhenius; the catalyst dies, faster when hot: hotter is not always better;
- dispensing and block temperature vary a little;
- at high concentration, in the cold, the mixture may precipitate: it clogs, and nothing reacts;
- now and then a catalyst is dead from the start;
- HPLC does not see less than 1 %: it reports 0.

    python make_data.py [--force]

writes ``lab/plate_1.h5`` to ``lab/plate_6.h5``, one table of 90 wells each. Same seed, same
numbers. Thirty of the 210 combinations are left out: nobody has run them.
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
SEED = 7
TEMPERATURE = (303.0, 318.0, 333.0, 348.0, 363.0)  # K
CATALYST = ("Pd-PPh3", "Pd-XPhos", "Ni-dppf")
SOLVENT = ("dioxane", "DMF")
REAGENTS = (
    (0.05, 0.05),
    (0.05, 0.10),
    (0.10, 0.10),
    (0.10, 0.20),
    (0.20, 0.10),
    (0.20, 0.20),
    (0.30, 0.45),
)  # mol/L of halide and of amine
LEFT_OUT, REPLICATES, PLATES = 30, 3, 6

GAS = 8.314e-3  # kJ/(mol K)
RUN = 7200.0  # s
STEPS = 240
BARRIER = {"Pd-PPh3": 88.0, "Pd-XPhos": 80.0, "Ni-dppf": 84.0}  # kJ/mol
LN_RATE = {"Pd-PPh3": 24.3, "Pd-XPhos": 22.0, "Ni-dppf": 22.7}  # ln of L/(mol s)
DEATH_BARRIER = {"Pd-PPh3": 118.0, "Pd-XPhos": 125.0, "Ni-dppf": 105.0}  # kJ/mol
LN_DEATH = {"Pd-PPh3": 33.0, "Pd-XPhos": 33.5, "Ni-dppf": 29.6}  # ln of 1/s
DUD = {"Pd-PPh3": 0.02, "Pd-XPhos": 0.02, "Ni-dppf": 0.12}  # share dead from the start
SOLUBLE = {"dioxane": 0.13, "DMF": 0.30}  # mol/L at 333 K
SPEED = {"dioxane": 1.0, "DMF": 1.8}

WELL = np.dtype(
    [
        ("temperature", "f8"),
        ("catalyst", h5py.string_dtype()),
        ("solvent", h5py.string_dtype()),
        ("halide", "f8"),
        ("amine", "f8"),
        ("yield", "f8"),
        ("appearance", h5py.string_dtype()),
    ]
)
UNITS = ("K", "", "", "mol/L", "mol/L", "percent", "")

Array = NDArray[np.float64]
Settings = list[tuple[float, str, str, float, float]]


def run_wells(settings: Settings, rng: np.random.Generator) -> tuple[Array, list[str]]:
    """Run one well per setting (temperature, catalyst, solvent, halide, amine).

    Returns
    -------
    percent_yield
        Of the reagent that there is less of, shape ``(well,)``; 0 below the detection limit.
    appearance
        ``clear``, ``cloudy`` or ``solid``, as the robot's camera calls it.
    """
    wells = len(settings)
    temperature, catalyst, solvent, halide, amine = zip(*settings, strict=True)
    kelvin = np.array(temperature) + rng.normal(0.0, 1.0, wells)
    a, b = (np.array(c) * rng.normal(1.0, 0.03, wells) for c in (halide, amine))
    precipitate = _precipitate(kelvin, a + b, solvent, rng)
    appearance = np.select([precipitate > 1.0, precipitate > 0.0], ["solid", "cloudy"], "clear")
    alive = rng.random(wells) > np.array([DUD[c] for c in catalyst])
    active = np.where(appearance == "solid", 0.0, np.where(appearance == "cloudy", 0.6, 1.0))
    rate = _arrhenius(LN_RATE, BARRIER, catalyst, kelvin) * rng.lognormal(0.0, 0.15, wells)
    rate *= active * alive * np.array([SPEED[s] for s in solvent])
    death = _arrhenius(LN_DEATH, DEATH_BARRIER, catalyst, kelvin) * rng.lognormal(0.0, 0.25, wells)
    product = _react(a, b, rate, death)
    true = 100 * product / np.minimum(halide, amine)
    read = true * rng.normal(1.0, 0.025, wells) + rng.normal(0.0, 0.5, wells)
    return np.where(read < 1.0, 0.0, np.minimum(read, 100.0)), appearance.tolist()


def _arrhenius(ln_factor: dict, barrier: dict, catalyst: tuple[str, ...], kelvin: Array) -> Array:
    ln_a = np.array([ln_factor[c] for c in catalyst])
    energy = np.array([barrier[c] for c in catalyst])
    return np.exp(ln_a - energy / (GAS * kelvin))


def _precipitate(
    kelvin: Array, dissolved: Array, solvent: tuple[str, ...], rng: np.random.Generator
) -> Array:
    """How far over saturation a well is: above 0 cloudy, above 1 solid."""
    limit = np.array([SOLUBLE[s] for s in solvent]) * np.exp((kelvin - 333.0) / 40.0)
    return 2.0 * np.log(dissolved / (2.0 * limit)) + rng.normal(0.0, 0.5, len(kelvin))


def _react(a: Array, b: Array, rate: Array, death: Array) -> Array:
    """Product after the run, in mol/L; exact for each of many steps of constant activity."""
    product = np.zeros_like(a)
    for step in range(STEPS):
        activity = np.exp(-death * RUN * (step + 0.5) / STEPS)
        exponent = rate * activity * (a - product) * RUN / STEPS
        product = product + (b - product) * -np.expm1(-exponent)
    return np.minimum(product, np.minimum(a, b))


def write_lab(folder: Path) -> list[Path]:
    """Run the campaign, in shuffled order, and write a file for each plate."""
    rng = np.random.default_rng(SEED)
    every = [
        (t, c, s, halide, amine)
        for t, c, s, (halide, amine) in itertools.product(TEMPERATURE, CATALYST, SOLVENT, REAGENTS)
    ]
    kept = rng.permutation(len(every))[LEFT_OUT:]
    order = rng.permutation(np.repeat(kept, REPLICATES))
    settings = [every[number] for number in order]
    percent_yield, appearance = run_wells(settings, rng)
    rows = np.array(
        [(*s, y, look) for s, y, look in zip(settings, percent_yield, appearance, strict=True)],
        dtype=WELL,
    )
    paths = [folder / f"plate_{number + 1}.h5" for number in range(PLATES)]
    for path, plate in zip(paths, np.array_split(rows, PLATES), strict=True):
        _write_plate(path, plate)
    return paths


def _write_plate(path: Path, plate: NDArray[np.void]) -> None:
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["instrument"] = "plate robot 1, HPLC 254 nm"
        wells = file.create_dataset("campaign/wells", data=plate)
        wells.attrs["units"] = list(UNITS)


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
