"""Train and simulate on real laboratory sets, by the command line, and picture the result.

    python tests/benchmarks/real_sets.py OUT [NAME …]

OUT gets a folder per set with experiment.toml, params.toml, the model, the virtual trials and
``real_beside_virtual.png``. Prints a table: seconds, and held-out scores beside the marginal's,
the nearest settings' and the replicate floor. The sets lie in ``../shared/data`` beside the
project; they are not part of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import virtlab

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

SSRO = """
[parameters.phase]
path = "{phase}"
units = "degree"
kind = "cyclic"
period = 360
[parameters.state]
index = "parity"
[measurements.I]
path = "{i}"
units = "V"
[measurements.Q]
path = "{q}"
units = "V"
"""

EXPERIMENTS = {
    "crossed_barrel": """
[data]
files = ["{data}/crossed_barrel/crossed_barrel.h5"]
[parameters]
n = {{ path = "parameters/n" }}
theta = {{ path = "parameters/theta", units = "degree" }}
r = {{ path = "parameters/r", units = "mm" }}
t = {{ path = "parameters/t", units = "mm" }}
[measurements.toughness]
path = "measurements/toughness"
units = "J"
support = [0, inf]
""",
    "ssro_angle_files": """
[data]
files = ["{data}/ssro_angle/*.hdf5"]
reader = "files"
"""
    + SSRO.format(
        phase="Instrument settings/rolut@M_phi_R0",
        i="Experimental Data/Data:raw w0 (V)",
        q="Experimental Data/Data:raw w1 (V)",
    ),
    "ssro_angle_pycqed": """
[data]
files = ["{data}/ssro_angle/*.hdf5"]
reader = "pycqed"
"""
    + SSRO.format(phase="rolut.M_phi_R0", i="raw w0", q="raw w1"),
    "meats": """
[data]
files = ["{data}/meats/meats.h5"]
[parameters]
water = {{ path = "parameters/water", units = "percent" }}
fat = {{ path = "parameters/fat", units = "percent" }}
protein = {{ path = "parameters/protein", units = "percent" }}
[measurements.absorbance]
path = "measurements/absorbance"
dims = ["wavelength"]
coords.wavelength = {{ path = "axes/wavelength", units = "nm" }}
""",
    "direct_arylation": """
[data]
files = ["{data}/direct_arylation/direct_arylation.h5"]
[parameters]
base = {{ path = "parameters/base" }}
ligand = {{ path = "parameters/ligand" }}
solvent = {{ path = "parameters/solvent" }}
concentration = {{ path = "parameters/concentration", units = "mol/L", scale = "log" }}
temperature = {{ path = "parameters/temperature", units = "degC" }}
[measurements.yield]
path = "measurements/yield"
units = "percent"
support = [0, 100]
""",
    "stxm": """
[data]
files = ["{data}/stxm/mm.nxs"]
[parameters.angle]
path = "entry1/stxm_entry/data/theta"
units = "degree"
[measurements.transmission]
path = "entry1/stxm_entry/data/data"
dims = ["y", "x"]
coords.x_position = {{ path = "entry1/stxm_entry/data/x", units = "mm" }}
coords.y_position = {{ path = "entry1/stxm_entry/data/y", units = "mm" }}
""",
}


def run(*command: str, folder: Path) -> float:
    """Run virtlab as a user would; seconds it took."""
    start = time.perf_counter()
    done = subprocess.run([*command], cwd=folder, check=False, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr}")
    return seconds


def as_toml(value: object) -> str:
    return json.dumps(value if isinstance(value, str) else float(str(value)))


def do_set(name: str, folder: Path) -> None:
    """Train, simulate at the settings of the real trials, and draw."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("*.virtlab"), *folder.glob("*.nc")):
        old.unlink()
    (folder / "experiment.toml").write_text(
        f'[experiment]\nname = "{name}"\n' + EXPERIMENTS[name].format(data=DATA)
    )
    trained = run("virtlab", "train", "experiment.toml", folder=folder)
    real = virtlab.open_trials(folder / "experiment.toml")
    model = virtlab.load(folder / f"{name}.virtlab")
    names = [parameter.name for parameter in model.parameters]
    rows = ["\x1f".join(str(real[p].values[i]) for p in names) for i in range(real.sizes["trial"])]
    _, first = np.unique(rows, return_index=True)
    (folder / "settings.csv").write_text(
        "\n".join(
            [",".join(names)]
            + [",".join(f'"{real[p].values[i]}"' for p in names) for i in np.sort(first)]
        )
    )
    trials = max(50, 7200 // len(first))
    (folder / "params.toml").write_text(
        f'model = "{name}.virtlab"\ntrials = {trials}\nseed = 1\noutput = "virtual.nc"\n'
        'design = "table"\nfile = "settings.csv"\n'
    )
    simulated = run("virtlab", "simulate", "params.toml", folder=folder)
    report(name, model, trained, simulated)
    with xr.open_dataset(folder / "virtual.nc") as virtual:
        draw(name, real, virtual.load(), folder / "real_beside_virtual.png")


def report(name: str, model: virtlab.Model, trained: float, simulated: float) -> None:
    training = model.manifest["training"]
    print(
        f"{name}: train {trained:.1f} s, simulate {simulated:.2f} s; single members' held-out "
        f"score {training['score']:.3f} of the marginal's; kept after {training['stage']}; "
        f"spread {model.manifest['calibration']}"
    )
    for measurement, score in model.scores.items():
        cells = {k: round(v, 4) for k, v in score.items() if isinstance(v, float)}
        print(f"   {measurement}: {cells}")
    for said in model.manifest["verdict"]:
        print(f"   note: {said}")
    sys.stdout.flush()


def draw(name: str, real: xr.Dataset, virtual: xr.Dataset, path: Path) -> None:
    """One picture: real beside virtual."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), constrained_layout=True)
    kinds = {"meats": draw_signals, "stxm": draw_images}
    drawer = draw_clouds if name.startswith("ssro") else kinds.get(name, draw_scalars)
    drawer(axes, real, virtual)
    axes[0].set_title(f"{name}: real")
    axes[1].set_title(f"{name}: virtual")
    figure.savefig(path, dpi=90)
    plt.close(figure)


def draw_scalars(axes: np.ndarray, real: xr.Dataset, virtual: xr.Dataset) -> None:
    (measurement,) = list(real.data_vars)
    by = "theta" if "theta" in real.coords else "temperature"
    rng = np.random.default_rng(0)
    x = real[by].values
    width = 0.3 * np.diff(np.unique(x)).min()
    axes[0].plot(x + rng.uniform(-width, width, len(x)), real[measurement], ".", ms=3, alpha=0.4)
    one = virtual[measurement].isel(trial=slice(0, max(1, len(x) // virtual.sizes["setting"])))
    x = np.repeat(virtual[by].values, one.sizes["trial"])
    axes[1].plot(x + rng.uniform(-width, width, len(x)), one.values.ravel(), ".", ms=3, alpha=0.4)
    for axis in axes:
        axis.set(xlabel=by, ylabel=measurement, ylim=axes[0].get_ylim())


def draw_clouds(axes: np.ndarray, real: xr.Dataset, virtual: xr.Dataset) -> None:
    for state, colour in (("0", "tab:blue"), ("1", "tab:orange")):
        for phase in (0.0, 120.0, 240.0):
            here = (real["phase"].values == phase) & (real["state"].values == state)
            axes[0].plot(
                real["I"][here][:300], real["Q"][here][:300], ".", c=colour, ms=2, alpha=0.4
            )
            there = (virtual["phase"].values == phase) & (virtual["state"].values == state)
            axes[1].plot(
                virtual["I"][there].values.ravel()[:300],
                virtual["Q"][there].values.ravel()[:300],
                ".",
                c=colour,
                ms=2,
                alpha=0.4,
            )
    for axis in axes:
        axis.set(xlabel="I / V", ylabel="Q / V", xlim=axes[0].get_xlim(), ylim=axes[0].get_ylim())


def draw_signals(axes: np.ndarray, real: xr.Dataset, virtual: xr.Dataset) -> None:
    colours = plt.get_cmap("viridis")
    for axis, data in ((axes[0], real), (axes[1], virtual.isel(trial=0))):
        fat = data["fat"].values
        for i in np.argsort(fat)[::4]:
            values = data["absorbance"].values[i]
            axis.plot(data["wavelength"], values, lw=0.7, c=colours(fat[i] / fat.max()))
        axis.set(xlabel="wavelength / nm", ylabel="absorbance", ylim=axes[0].get_ylim())


def draw_images(axes: np.ndarray, real: xr.Dataset, virtual: xr.Dataset) -> None:
    order = np.argsort(real["angle"].values)[::7]
    angles = real["angle"].values[order]
    shown = np.concatenate([real["transmission"].values[i] for i in order])
    nearest = [int(np.abs(virtual["angle"].values - angle).argmin()) for angle in angles]
    made = np.concatenate([virtual["transmission"].values[i, 0] for i in nearest])
    for axis, image in ((axes[0], shown), (axes[1], made)):
        axis.imshow(image, aspect="auto", vmin=shown.min(), vmax=shown.max())
        axis.set_ylabel("7 rows for each of 8 angles")


if __name__ == "__main__":
    out = Path(sys.argv[1])
    for each in sys.argv[2:] or EXPERIMENTS:
        do_set(each, out / each)
