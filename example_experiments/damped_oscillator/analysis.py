"""Real beside virtual: `python analysis.py` draws ``real_beside_virtual.png``.

Opens ``virtual.nc`` (``virtlab simulate params.toml``) with xarray and the lab files with
virtlab. One column per spring; the bench never held the spring of 40 N/m. There, fresh shots of
the physics are drawn instead: the model has seen none of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import make_data
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import virtlab

HERE = Path(__file__).parent
SPRINGS, DRAG, RELEASE = (20.0, 40.0, 80.0), 0.4, 20.0
REAL, FRESH, VIRTUAL = "#1b1b1b", "#b1560f", "#2b6cb0"


def main() -> None:
    """Draw the figure."""
    parser = argparse.ArgumentParser(description="Draw real beside virtual shots.")
    parser.add_argument("virtual", nargs="?", type=Path, default=HERE / "virtual.nc")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "real_beside_virtual.png")
    asked = parser.parse_args()
    real = virtlab.open_trials(HERE / "experiment.toml")
    virtual = xr.open_dataset(asked.virtual).sel(drag=DRAG)
    figure = draw(real, virtual)
    figure.savefig(asked.output, dpi=150)
    print(asked.output)


def draw(real: xr.Dataset, virtual: xr.Dataset) -> plt.Figure:
    """Draw traces above, the spread of the overshoot below."""
    figure = plt.figure(figsize=(11, 7), layout="constrained")
    figure.suptitle(f"Real beside virtual shots: drag {DRAG:g} kg/s, release {RELEASE:g} mm")
    above, below = figure.subfigures(2, 1, height_ratios=(3, 2))
    for axes, spring in zip(above.subplots(1, 3, sharey=True), SPRINGS, strict=True):
        _draw_traces(axes, spring, _shots(real, spring), virtual.sel(stiffness=spring))
    _draw_overshoot(below.subplots(), real, virtual)
    return figure


def _shots(real: xr.Dataset, spring: float) -> xr.Dataset:
    """Lab shots at a spring and the figure's drag and release; none for an unseen spring."""
    at = (real.stiffness == spring) & (real.drag == DRAG) & (real.release == RELEASE)
    return real.isel(trial=at.values)


def _fresh(spring: float, shots: int) -> xr.Dataset:
    """Shots that the bench would give now: the model's test, not its teacher."""
    rng = np.random.default_rng(99)
    settings = (np.full(shots, value) for value in (spring, DRAG, RELEASE))
    position, overshoot = make_data.run_shots(*settings, rng)
    return xr.Dataset(
        {"position": (("trial", "time"), position), "overshoot": ("trial", overshoot)},
        coords={"time": make_data.TIME},
    )


def _draw_traces(axes: plt.Axes, spring: float, shots: xr.Dataset, virtual: xr.Dataset) -> None:
    """Ten virtual traces on their 5 to 95 % band, and ten real ones."""
    unseen = shots.sizes["trial"] == 0
    band = virtual.position.quantile([0.05, 0.95], dim="trial")
    axes.fill_between(virtual.time, *band, color=VIRTUAL, alpha=0.18, lw=0, label="virtual 5–95 %")
    traces = virtual.position.isel(trial=slice(10)).transpose("time", ...)
    axes.plot(virtual.time, traces, color=VIRTUAL, lw=0.9, alpha=0.8)
    kind, color = ("fresh, never seen", FRESH) if unseen else ("real", REAL)
    real = (_fresh(spring, 10) if unseen else shots).position.transpose("time", "trial")
    axes.plot(real.time, real, ".", color=color, ms=3, alpha=0.7)
    axes.plot([], [], color=VIRTUAL, lw=0.9, label="virtual, 10 shots")
    axes.plot([], [], ".", color=color, label=f"{kind}, {real.sizes['trial']} shots")
    axes.set_title(f"{spring:g} N/m" + (", never on the bench" if unseen else ""))
    axes.set_xlabel("time (s)")
    axes.legend(loc="upper right", fontsize="x-small")
    if spring == SPRINGS[0]:
        axes.set_ylabel("position (mm)")


def _draw_overshoot(axes: plt.Axes, real: xr.Dataset, virtual: xr.Dataset) -> None:
    """One column of dots per spring: virtual to the right, real to the left."""
    jitter = np.random.default_rng(0)

    def dots(x: float, values: xr.DataArray, color: str, label: str) -> None:
        spread = jitter.uniform(-0.12, 0.12, values.size)
        axes.plot(x + spread, values, ".", color=color, ms=3.5, alpha=0.6, label=label)
        axes.hlines(values.quantile([0.1, 0.5, 0.9]), x - 0.17, x + 0.17, color=color, lw=1.2)

    for column, spring in enumerate(virtual.stiffness.values):
        shots = _shots(real, spring)
        if shots.sizes["trial"]:
            dots(column - 0.2, shots.overshoot, REAL, "real")
        else:
            dots(column - 0.2, _fresh(spring, 200).overshoot, FRESH, "fresh, never seen")
        dots(column + 0.2, virtual.overshoot.sel(stiffness=spring), VIRTUAL, "virtual")
    axes.set_xticks(range(virtual.sizes["stiffness"]), [f"{k:g}" for k in virtual.stiffness.values])
    axes.set_xlabel("stiffness (N/m)")
    axes.set_ylabel("overshoot (mm)\nlines: 10, 50, 90 %")
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    axes.legend(unique.values(), unique.keys(), loc="upper left", fontsize="small", ncols=3)


if __name__ == "__main__":
    main()
