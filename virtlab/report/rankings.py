"""The best settings side by side: what is expected, how far noise and ignorance go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.report.drawing import FAINT, FLOOR, REAL, SIMPLE, VIRTUAL, draw_svg, name_axes, short
from virtlab.screening.table import varying
from virtlab.trials import SETTING

if TYPE_CHECKING:
    import xarray as xr

BARS = 12
LABEL = 26  # characters


def draw_expected(found: xr.Dataset, name: str, best: float | None) -> str:
    """Expected value of the best settings, with interval and noise.

    Parameters
    ----------
    found
        The ranked settings, of one goal.
    name
        The goal, with its unit.
    best
        What the best measured trial has reached.
    """
    first = found.isel({SETTING: slice(0, BARS)})
    labels, place = _labels(first), np.arange(first.sizes[SETTING])
    mean, noise = first["expected_objective"].values, first["objective_noise"].values
    low, high = first["objective_low"].values, first["objective_high"].values

    def paint(axes: Any) -> None:
        axes.hlines(place, mean - noise, mean + noise, color=FAINT, linewidth=1, label="noise")
        axes.hlines(
            place,
            low,
            high,
            color=VIRTUAL,
            linewidth=5,
            alpha=0.45,
            label="90 % of what is expected",
        )
        axes.plot(mean, place, "o", color=VIRTUAL, markersize=5)
        if best is not None:
            axes.axvline(best, color=REAL, linestyle="--", linewidth=1.2, label="best measured")
        axes.set_yticks(place, labels)
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        name_axes(axes, name, "")
        axes.figure.legend(loc="outside lower center", ncols=3)

    told = "; ".join(f"{label}: {value:.4g}" for label, value in zip(labels, mean, strict=True))
    measured = "" if best is None else f" Best measured: {best:.4g}."
    return draw_svg(
        paint, f"Expected {name} of the best settings: {told}.{measured}", size=_size(len(place))
    )


def draw_unknown(found: xr.Dataset, name: str) -> str:
    """Noise beside ignorance of the best settings."""
    first = found.isel({SETTING: slice(0, BARS)})
    labels, place = _labels(first), np.arange(first.sizes[SETTING])
    noise, ignorance = first["objective_noise"].values, first["objective_ignorance"].values
    most, shared = first["objective_ignorance_high"].values, first["objective_shared"].values

    def paint(axes: Any) -> None:
        axes.barh(place - 0.26, noise, 0.24, color=SIMPLE, alpha=0.75, label="noise")
        axes.barh(place, ignorance, 0.24, color=VIRTUAL, label="ignorance")
        axes.hlines(place, ignorance, most, color=VIRTUAL, linewidth=1, label="at most")
        axes.plot(most, place, "|", color=VIRTUAL, markersize=6)
        if shared.any():
            axes.barh(place + 0.26, shared, 0.24, color=FLOOR, alpha=0.75, label="missed by all")
        axes.set_yticks(place, labels)
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        name_axes(axes, f"standard deviation of {name}", "")
        axes.figure.legend(loc="outside lower center", ncols=2)

    rows = zip(labels, noise, ignorance, shared, strict=True)
    told = "; ".join(
        f"{label}: noise {n:.2g}, ignorance {i:.2g}, missed by all {s:.2g}"
        for label, n, i, s in rows
    )
    return draw_svg(paint, f"Noise and ignorance of {name}: {told}.", size=_size(len(place)))


def labelled(found: xr.Dataset) -> str:
    """What the labels of the bars hold: ``rank: n, theta``."""
    names = varying(found.isel({SETTING: slice(0, BARS)}))
    return ": ".join(["rank", ", ".join(names)] if names else ["rank"])


def _labels(first: xr.Dataset) -> list[str]:
    """Rank and what varies among the first: ``1: 40, 0.4``."""
    labels = []
    for at, rank in enumerate(first["rank"].values.tolist()):
        values = [first[name].values[at] for name in varying(first)]
        told = ", ".join(v if isinstance(v, str) else f"{v:.3g}" for v in values)
        labels.append(short(f"{rank}: {told}" if told else f"{rank}", LABEL))
    return labels


def _size(bars: int) -> tuple[float, float]:
    return (4.2, 1.2 + 0.24 * max(bars, 4))
