"""Several goals against each other, and settings by how far they are from the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.domain import EDGE
from virtlab.report.drawing import FAINT, INK, REAL, VIRTUAL, draw_svg, name_axes
from virtlab.screening.dataset import GOAL

if TYPE_CHECKING:
    import xarray as xr

DOTS = 800
CROSSES = 40  # settings of the front with their intervals


def draw_front(found: xr.Dataset, first: int, second: int, names: list[str]) -> str:
    """Expected values of two goals; those on the Pareto front with their intervals."""
    x, y = (found["expected_objective"].values[:, goal] for goal in (first, second))
    front = np.flatnonzero(found["front"].values == 1)
    others = np.flatnonzero(found["front"].values != 1)
    others = others[:: -(-len(others) // DOTS) or 1]
    crossed = front[:CROSSES]
    low, high = (found[f"objective_{end}"].values for end in ("low", "high"))

    def paint(axes: Any) -> None:
        outside = found["domain"].values[others] == "outside"
        inside, far = others[~outside], others[outside]
        axes.plot(x[inside], y[inside], "o", color=FAINT, markersize=3, label="other settings")
        if len(far):
            axes.plot(x[far], y[far], "x", color=FAINT, markersize=4, label="outside the data")
        axes.hlines(y[crossed], low[crossed, first], high[crossed, first], color=VIRTUAL, alpha=0.3)
        axes.vlines(
            x[crossed], low[crossed, second], high[crossed, second], color=VIRTUAL, alpha=0.3
        )
        axes.plot(x[front], y[front], "o", color=VIRTUAL, markersize=5.5, label="Pareto front")
        if (measured := _measured(found)) is not None:
            at = measured[:, first], measured[:, second]
            axes.plot(*at, "D", color=REAL, markersize=4, label="best measured trials")
        name_axes(axes, names[first], names[second])
        axes.figure.legend(loc="outside lower center", ncols=2)

    told = "; ".join(f"{x[at]:.3g} and {y[at]:.3g}" for at in front[:8])
    return draw_svg(
        paint,
        f"Expected {names[first]} and {names[second]} of {len(x)} settings, {len(front)} on the "
        f"Pareto front{' of all goals' * (found.sizes[GOAL] > 2)}: {told}.",
    )


def draw_domain(found: xr.Dataset, name: str, best: float | None) -> str:
    """Expected value against the distance from the training data."""
    distance = found["domain_distance"].values
    mean = found["expected_objective"].values
    some = np.arange(0, len(mean), -(-len(mean) // DOTS))
    verdict = found["domain"].values

    def paint(axes: Any) -> None:
        for word, mark, color in (
            ("inside", "o", VIRTUAL),
            ("edge", "o", INK),
            ("outside", "x", FAINT),
        ):
            here = some[verdict[some] == word]
            if not len(here):
                continue
            filled = {"fillstyle": "none"} if word == "edge" else {}
            axes.plot(
                distance[here], mean[here], mark, color=color, markersize=4, label=word, **filled
            )
        for limit in (1.0, EDGE):
            axes.axvline(limit, color=FAINT, linewidth=1, linestyle=":")
        if best is not None:
            axes.axhline(best, color=REAL, linestyle="--", linewidth=1.2, label="best measured")
        name_axes(axes, "distance to the nearest training setting", name)
        axes.figure.legend(loc="outside lower center", ncols=4)

    counts = ", ".join(
        f"{(verdict == word).sum()} {word}" for word in ("inside", "edge", "outside")
    )
    return draw_svg(paint, f"Expected {name} by distance from the training data: {counts}.")


def _measured(found: xr.Dataset) -> np.ndarray | None:
    """What the best measured trials have reached, ``(trial, goal)``."""
    if "best_measured" not in found.attrs:
        return None
    values: np.ndarray = np.reshape(found.attrs["best_measured"], (-1, found.sizes[GOAL]))
    return values
