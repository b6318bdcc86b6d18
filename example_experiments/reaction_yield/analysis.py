"""Real beside virtual: `python analysis.py` draws ``real_beside_virtual.png``.

Opens ``virtual.nc`` (``virtlab simulate params.toml``) with xarray and the lab files with
virtlab. One column per catalyst: yields above, below how many wells gave nothing. Real wells are
few, three to a setting, so the lines show what fresh wells of the same chemistry would give; the
model has seen none of them.
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
SOLVENT, HALIDE, AMINE = "dioxane", 0.1, 0.2
REAL, FRESH, VIRTUAL = "#1b1b1b", "#b1560f", "#2b6cb0"


def main() -> None:
    """Draw the figure."""
    parser = argparse.ArgumentParser(description="Draw real beside virtual wells.")
    parser.add_argument("virtual", nargs="?", type=Path, default=HERE / "virtual.nc")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "real_beside_virtual.png")
    asked = parser.parse_args()
    real = virtlab.open_trials(HERE / "experiment.toml")
    figure = draw(real, xr.open_dataset(asked.virtual))
    figure.savefig(asked.output, dpi=150)
    print(asked.output)


def draw(real: xr.Dataset, virtual: xr.Dataset) -> plt.Figure:
    """Draw yields above, the share of wells without yield below; a column per catalyst."""
    figure, rows = plt.subplots(
        2,
        3,
        figsize=(11, 6.5),
        sharex=True,
        sharey="row",
        height_ratios=(3, 2),
        layout="constrained",
    )
    figure.suptitle(
        f"Real beside virtual wells: {SOLVENT}, halide {HALIDE:g}, amine {AMINE:g} mol/L"
    )
    for (above, below), catalyst in zip(rows.T, make_data.CATALYST, strict=True):
        wells = _wells(real, catalyst)
        simulated = virtual["yield"].sel(catalyst=catalyst).transpose("temperature", "trial")
        fresh = _fresh(virtual.temperature.values, catalyst)
        _draw_yields(above, wells, fresh, simulated)
        _draw_zeros(below, wells, fresh, simulated)
        above.set_title(catalyst)
        below.set_xlabel("temperature (K)")
    rows[0, 0].set_ylabel("yield (%)\nlines: 10, 50, 90 %")
    rows[1, 0].set_ylabel("share of wells\nwithout yield")
    rows[0, 0].legend(loc="upper left", fontsize="small")
    return figure


def _wells(real: xr.Dataset, catalyst: str) -> xr.DataArray:
    """Return the yields that the lab has at the figure's settings."""
    at = (real.catalyst == catalyst) & (real.solvent == SOLVENT)
    at &= np.isclose(real.halide, HALIDE) & np.isclose(real.amine, AMINE)
    return real["yield"].isel(trial=at.values)


def _fresh(temperatures: np.ndarray, catalyst: str, wells: int = 2000) -> xr.DataArray:
    """Return yields that the lab would give now, at each temperature; it tests the model."""
    rng = np.random.default_rng(99)
    settings = [(t, catalyst, SOLVENT, HALIDE, AMINE) for t in temperatures for _ in range(wells)]
    percent_yield, _ = make_data.run_wells(settings, rng)
    values = percent_yield.reshape(len(temperatures), wells)
    return xr.DataArray(values, {"temperature": temperatures}, ("temperature", "trial"))


def _draw_yields(
    axes: plt.Axes, wells: xr.DataArray, fresh: xr.DataArray, virtual: xr.DataArray
) -> None:
    jitter = np.random.default_rng(0)
    spread = virtual.temperature.values[:, None] + jitter.uniform(-2.0, 2.0, virtual.shape)
    axes.plot(spread.ravel(), virtual.values.ravel(), ".", color=VIRTUAL, ms=2, alpha=0.3)
    axes.plot([], [], ".", color=VIRTUAL, label="virtual")
    for values, color, style in ((virtual, VIRTUAL, "-"), (fresh, FRESH, "--")):
        lines = values.quantile([0.1, 0.5, 0.9], dim="trial").transpose("temperature", "quantile")
        axes.plot(values.temperature, lines, style, color=color, lw=1.2)
    axes.plot([], [], "--", color=FRESH, label="fresh, never seen")
    axes.plot(wells.temperature, wells, "o", color=REAL, ms=5, mfc="none", label="real")


def _draw_zeros(
    axes: plt.Axes, wells: xr.DataArray, fresh: xr.DataArray, virtual: xr.DataArray
) -> None:
    for values, color, style in ((virtual, VIRTUAL, "o-"), (fresh, FRESH, "--")):
        axes.plot(values.temperature, (values == 0).mean("trial"), style, color=color, ms=4)
    if wells.size:
        shares = (wells == 0).groupby("temperature").mean()
        axes.plot(shares.temperature, shares, "o", color=REAL, ms=7, mfc="none")
    axes.set_ylim(-0.05, 1.05)


if __name__ == "__main__":
    main()
