"""The expected objective over the parameters: along each, and over the two that matter most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.report.drawing import (
    FAINT,
    INK,
    REAL,
    SIMPLE,
    VIRTUAL,
    draw_svg,
    name_axes,
    short,
    slant_labels,
)
from virtlab.screening.numerals import cell
from virtlab.screening.table import bracketed, varying
from virtlab.trials import SETTING

if TYPE_CHECKING:
    import xarray as xr

FEWEST = 3
"""Values of a parameter, the others being those of the best setting, that make a slice."""
BINS = 12
MOST = 6
"""Parameters drawn."""
SHOWN = 14  # characters of a category
DOTS = 800


@dataclass(frozen=True)
class Along:
    """What is drawn over one parameter.

    Parameters
    ----------
    name, label
        Of the parameter, without and with its unit.
    rows
        Settings at which the other parameters are those of the best one; all, where these are
        too few.
    sliced
        Whether they are such a slice.
    reach
        From the lowest to the highest expected value, on average where others vary, too.
    """

    name: str
    label: str
    rows: NDArray[np.intp]
    sliced: bool
    reach: float


def alongs(found: xr.Dataset) -> list[Along]:
    """Parameters that vary, those first that change what is expected most.

    Parameters
    ----------
    found
        All settings of a screen, of one goal, best first.
    """
    names = varying(found)
    equal = {name: found[name].values == found[name].values[0] for name in names}
    made = []
    for name in names:
        here = np.ones(found.sizes[SETTING], bool)
        for other in names:
            here &= equal[other] | (other == name)
        rows = np.flatnonzero(here)
        sliced = len(np.unique(found[name].values[rows].astype(str))) >= FEWEST or (
            len(rows) > 1 and len(rows) == len(np.unique(found[name].values.astype(str)))
        )
        rows = rows if sliced else np.arange(found.sizes[SETTING])
        reach = _reach(found[name].values[rows], found["expected_objective"].values[rows])
        made.append(Along(name, name + bracketed(found[name].attrs), rows, sliced, reach))
    return sorted(made, key=lambda each: -each.reach)[:MOST]


def _reach(values: NDArray[Any], mean: NDArray[np.float64]) -> float:
    """How far the mean goes up and down over a parameter's values, in bins where these are many."""
    at = _grid(values).at
    at = at if at.max() < BINS else (at * BINS) // (at.max() + 1)
    count = np.bincount(at)
    means = np.bincount(at, mean)[count > 0] / count[count > 0]
    return float(np.ptp(means))


def draw_along(found: xr.Dataset, along: Along, name: str, best: float | None) -> str:
    """One parameter: a slice through the best setting, or all settings as dots."""
    values, order = _places(found[along.name].values[along.rows])
    rows = along.rows[order]
    x = values.at[order]
    mean = found["expected_objective"].values[rows]
    low, high = (found[f"objective_{end}"].values[rows] for end in ("low", "high"))
    noise = found["objective_noise"].values[rows]
    outside = found["domain"].values[rows] == "outside"
    noisy = "noise" if noise.any() else None  # no legend for what is not there

    def paint(axes: Any) -> None:
        if along.sliced and not values.labels:
            axes.fill_between(
                x, mean - noise, mean + noise, color=SIMPLE, alpha=0.18, lw=0, label=noisy
            )
            axes.fill_between(x, low, high, color=VIRTUAL, alpha=0.3, lw=0, label="90 %")
            axes.plot(x, mean, color=VIRTUAL, linewidth=1.4)
        elif along.sliced:
            axes.vlines(
                x, mean - noise, mean + noise, color=SIMPLE, linewidth=9, alpha=0.25, label=noisy
            )
            axes.vlines(x, low, high, color=VIRTUAL, linewidth=3, alpha=0.6, label="90 %")
        some = slice(None, None, -(-len(x) // DOTS))
        size = 4.5 if along.sliced else 3
        axes.plot(
            x[some][~outside[some]], mean[some][~outside[some]], "o", color=VIRTUAL, markersize=size
        )
        if outside.any():
            axes.plot(
                x[some][outside[some]],
                mean[some][outside[some]],
                "x",
                color=FAINT,
                markersize=size + 1,
                label="outside the data",
            )
        if best is not None:
            axes.axhline(best, color=REAL, linestyle="--", linewidth=1.2, label="best measured")
        if values.labels:
            axes.set_xticks(range(len(values.labels)), values.labels)
            slant_labels(axes)
        name_axes(axes, along.label, name)
        axes.figure.legend(loc="outside lower center", ncols=2)

    top = int(np.argmax(mean)), int(np.argmin(mean))
    ends = [f"{mean[at]:.4g} at {cell(found[along.name].values[rows[at]])}" for at in top]
    return draw_svg(
        paint,
        f"Expected {name} along {along.label}, {len(x)} settings: highest {ends[0]}, lowest "
        f"{ends[1]}; {outside.sum()} outside the training data.",
    )


def draw_map(
    found: xr.Dataset, first: Along, second: Along, name: str, *, fewer: bool
) -> str | None:
    """Expected value over two parameters, the others being those of the best setting.

    Parameters
    ----------
    fewer
        Whether less is better: the colours then run the other way.

    Returns
    -------
    svg
        None where fewer than two by two settings lie there.
    """
    if not (first.sliced and second.sliced):
        return _draw_cloud(found, first, second, name, fewer=fewer)
    others = [each for each in varying(found) if each not in (first.name, second.name)]
    here = np.ones(found.sizes[SETTING], bool)
    for other in others:
        here &= found[other].values == found[other].values[0]
    rows = np.flatnonzero(here)
    across, up = (_grid(found[each.name].values[rows]) for each in (first, second))
    if min(len(across.labels), len(up.labels)) < 2 or len(rows) < 4:
        return None
    mean = np.full((len(up.labels), len(across.labels)), np.nan)
    mean[up.at, across.at] = found["expected_objective"].values[rows]
    outside = found["domain"].values[rows] == "outside"

    def paint(axes: Any) -> None:
        colors = "viridis_r" if fewer else "viridis"
        drawn = axes.imshow(
            mean, origin="lower", aspect="auto", interpolation="nearest", cmap=colors
        )
        if outside.any():
            axes.plot(across.at[outside], up.at[outside], "x", color="white", markersize=6)
            axes.plot(across.at[outside], up.at[outside], "x", color="black", markersize=4)
        # the best setting is the first of all
        axes.plot(across.at[:1], up.at[:1], "*", color="white", markersize=15)
        axes.plot(across.at[:1], up.at[:1], "*", color="black", markersize=9)
        _ticks(axes.set_xticks, across.labels)
        _ticks(axes.set_yticks, up.labels)
        if max(map(len, across.labels)) > 4:
            slant_labels(axes)
        bar = axes.figure.colorbar(drawn, ax=axes)
        bar.set_label(short(f"expected {name}", 34), color=INK)
        name_axes(axes, first.label, second.label)

    return draw_svg(
        paint,
        f"Expected {name} over {first.label} and {second.label}: from {np.nanmin(mean):.4g} to "
        f"{np.nanmax(mean):.4g}; {outside.sum()} of {len(rows)} settings outside the data.",
    )


def _draw_cloud(
    found: xr.Dataset, first: Along, second: Along, name: str, *, fewer: bool
) -> str | None:
    """All settings as dots, where the design is no grid; None for categories."""
    across, up = found[first.name].values, found[second.name].values
    if "O" in (across.dtype.kind, up.dtype.kind) or len(across) < 4:
        return None
    some = np.arange(0, len(across), -(-len(across) // DOTS))
    mean, outside = found["expected_objective"].values, found["domain"].values == "outside"

    def paint(axes: Any) -> None:
        colors = "viridis_r" if fewer else "viridis"
        ends = {"vmin": mean.min(), "vmax": mean.max(), "cmap": colors}
        inside, far = some[~outside[some]], some[outside[some]]
        drawn = axes.scatter(across[inside], up[inside], 22, mean[inside], **ends)
        axes.scatter(across[far], up[far], 22, mean[far], marker="x", linewidth=1.2, **ends)
        axes.plot(across[:1], up[:1], "*", color=REAL, markersize=13)
        bar = axes.figure.colorbar(drawn, ax=axes)
        bar.set_label(short(f"expected {name}", 34), color=INK)
        name_axes(axes, first.label, second.label)

    return draw_svg(
        paint,
        f"Expected {name} of {len(some)} settings over {first.label} and {second.label}: "
        f"{mean.min():.4g} to {mean.max():.4g}; {outside.sum()} outside the data.",
    )


@dataclass(frozen=True)
class _At:
    """Where values stand on an axis, and what is written there; no labels for numbers."""

    at: NDArray[Any]
    labels: list[str]


def _places(values: NDArray[Any]) -> tuple[_At, NDArray[np.intp]]:
    """Numbers where they are, texts one after another; and the order from left to right."""
    if values.dtype.kind not in "OSU":
        return _At(values, []), np.argsort(values, kind="stable")
    found = _grid(values)
    return found, np.argsort(found.at, kind="stable")


def _grid(values: NDArray[Any]) -> _At:
    """Every distinct value a place, in order."""
    text = values.dtype.kind in "OSU"
    distinct, at = np.unique(values.astype(str) if text else values, return_inverse=True)
    labels = [short(str(value) if text else f"{value:.4g}", SHOWN) for value in distinct]
    return _At(at.ravel(), labels)


def _ticks(put: Any, labels: list[str]) -> None:
    """At most ten labels."""
    step = -(-len(labels) // 10)
    put(range(0, len(labels), step), labels[::step])
