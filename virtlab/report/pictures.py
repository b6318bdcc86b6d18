"""Real beside virtual: distributions, signals with bands, images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.evaluation.compared import Examples
from virtlab.evaluation.matching import Array
from virtlab.evaluation.scoring import Scored
from virtlab.report.drawing import REAL, VIRTUAL, draw_svg, name_axes, short
from virtlab.trials import Measurement

BINS = 24
FEW_DRAWS = 4
MOST_SETTINGS = 300  # on one axis
IMAGES = 4


@dataclass(frozen=True)
class Axis:
    """A measurement's own dim: what it is called, with its unit, and its values."""

    label: str
    values: Array


def draw_pictures(scored: Scored, axes: dict[str, Axis], unit: str) -> list[tuple[str, str]]:
    """Figures of one measurement, each with a caption; none where it has no values.

    Parameters
    ----------
    axes
        Of the measurement's own dims.
    unit
        In brackets, or nothing.
    """
    measurement = scored.measurement
    if not scored.trials:
        return []
    if measurement.kind == "categorical":
        return [(_shares(scored), "All trials judged, and one virtual trial for each.")]
    found = [(_distribution(scored, unit), _distribution_caption(measurement))]
    if measurement.size == 1:
        return [*found, (_by_setting(scored, unit), "Real trials over the virtual 5 to 95 % band.")]
    for example in scored.compared.examples:
        where = _setting(example)
        if len(measurement.shape) == 1:
            found.append((_signal(measurement, example, axes[measurement.dims[0]], unit), where))
        elif len(measurement.shape) == 2:
            found.append((_images(measurement, example), where))
    return found


def _distribution_caption(measurement: Measurement) -> str:
    what = "Means over all entries of a trial" if measurement.size > 1 else "All trials judged"
    return f"{what}, and one virtual trial for each."


def _distribution(scored: Scored, unit: str) -> str:
    """Histograms of all trials (a signal's mean); one virtual trial for each real one."""
    seen = ~np.isnan(scored.compared.real)
    keep = seen.any(axis=1)
    real, one = (_means(v, seen)[keep] for v in (scored.compared.real, scored.compared.one))
    both = np.concatenate([real, one])
    low, high = np.quantile(both, (0.002, 0.998))
    whole = scored.measurement.kind == "count" and scored.measurement.size == 1
    if low == high:
        low, high = low - 0.5, high + 0.5
    if whole and high - low < 2 * BINS:
        bins = np.arange(np.floor(low) - 0.5, np.ceil(high) + 1)
    else:
        bins = np.linspace(low, high, BINS + 1)

    def paint(axes: Any) -> None:
        clipped = [np.clip(values, bins[0], bins[-1]) for values in (real, one)]
        axes.hist(clipped[0], bins, color=REAL, alpha=0.45, label="real")
        axes.hist(clipped[1], bins, histtype="step", color=VIRTUAL, linewidth=1.8, label="virtual")
        axes.legend(loc="best")
        name = scored.measurement.name
        name_axes(
            axes, (f"mean of {name}" if scored.measurement.size > 1 else name) + unit, "trials"
        )

    alt = f"Distributions of {scored.measurement.name}: real {_told(real)}, virtual {_told(one)}."
    return draw_svg(paint, alt)


def _by_setting(scored: Scored, unit: str) -> str:
    """Real trials over the virtual band, settings sorted by their virtual median."""
    compared = scored.compared
    order = np.argsort(compared.quantiles[:, 1, 0], kind="stable")
    if len(order) > MOST_SETTINGS:
        order = order[np.linspace(0, len(order) - 1, MOST_SETTINGS).astype(int)]
    place = np.full(len(compared.quantiles), -1)
    place[order] = np.arange(len(order))
    band = compared.quantiles[order, :, 0]
    shown = place[compared.setting] >= 0

    def paint(axes: Any) -> None:
        x = np.arange(len(order))
        axes.fill_between(
            np.r_[x - 0.5, x[-1] + 0.5],
            np.r_[band[:, 0], band[-1, 0]],
            np.r_[band[:, 2], band[-1, 2]],
            step="post",
            color=VIRTUAL,
            alpha=0.25,
            lw=0,
            label="virtual",
        )
        axes.plot(x, band[:, 1], color=VIRTUAL, linewidth=1.2)
        axes.plot(
            place[compared.setting[shown]],
            compared.real[shown, 0],
            ".",
            color=REAL,
            markersize=4 if len(order) > 40 else 6,
            alpha=0.8,
            label="real",
        )
        axes.legend(loc="upper left")
        axes.set_xticks([])
        name_axes(axes, "settings, by virtual median", scored.measurement.name + unit)

    alt = (
        f"{scored.measurement.name} of real trials over the 5 to 95 % band of virtual ones, at "
        f"{len(order)} settings"
    )
    held = scored.regions and [f"{n} {r.coverage_90:.0%}" for n, r in scored.regions.items()]
    return draw_svg(paint, f"{alt}; 90 % intervals held: {', '.join(held)}.")


def _shares(scored: Scored) -> str:
    """Shares of the categories."""
    names = scored.measurement.categories
    keep = ~np.isnan(scored.compared.real).any(axis=1)
    real, one = ((v[keep] > 0).mean(axis=0) for v in (scored.compared.real, scored.compared.one))

    def paint(axes: Any) -> None:
        place = np.arange(len(names))
        axes.bar(place - 0.2, real, 0.38, color=REAL, alpha=0.6, label="real")
        axes.bar(place + 0.2, one, 0.38, color=VIRTUAL, alpha=0.8, label="virtual")
        axes.set_ylim(0, 1.15 * max(real.max(), one.max()))
        axes.set_xticks(place, [short(name, 60 // len(names) + 3) for name in names])
        if len(names) > 6:
            axes.tick_params(axis="x", labelrotation=60)
        axes.legend(loc="best")
        name_axes(axes, scored.measurement.name, "share of trials")

    pairs = zip(names, real, one, strict=True)
    told = ", ".join(f"{n} real {r:.0%} virtual {v:.0%}" for n, r, v in list(pairs)[:8])
    return draw_svg(paint, f"Shares of {scored.measurement.name}: {told}.")


def _signal(measurement: Measurement, example: Examples, axis: Axis, unit: str) -> str:
    """Real signals over the virtual band, with a few virtual ones."""
    x = axis.values
    low, middle, high = np.quantile(example.virtual, (0.05, 0.5, 0.95), axis=0)

    def paint(axes: Any) -> None:
        axes.fill_between(x, low, high, color=VIRTUAL, alpha=0.25, lw=0, label="virtual, 5 to 95 %")
        axes.plot(x, middle, color=VIRTUAL, linewidth=1.4)
        for drawn in example.virtual[:FEW_DRAWS]:
            axes.plot(x, drawn, color=VIRTUAL, linewidth=0.6, alpha=0.7)
        for i, real in enumerate(example.real[:FEW_DRAWS]):
            axes.plot(x, real, color=REAL, linewidth=1.1, label=None if i else "real")
        axes.legend(loc="best")
        name_axes(axes, axis.label, measurement.name + unit)

    return draw_svg(
        paint,
        f"{measurement.name} along {axis.label}: {min(len(example.real), FEW_DRAWS)} real signals "
        f"over the band of virtual ones, at {_setting(example)}",
    )


def _images(measurement: Measurement, example: Examples) -> str:
    """Real images above, virtual ones below, on one scale."""
    real, virtual = example.real[:IMAGES], example.virtual[:IMAGES]
    both = np.concatenate([real, virtual])
    low, high = np.nanquantile(both, (0.01, 0.99)) if np.isfinite(both).any() else (0.0, 1.0)

    def paint(grid: NDArray[Any]) -> None:
        for row, (label, images) in enumerate((("real", real), ("virtual", virtual))):
            for column in range(IMAGES):
                axes = grid[row, column]
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
                if column < len(images):
                    image = images[column].reshape(measurement.shape)
                    axes.imshow(image, vmin=low, vmax=high, aspect="auto", interpolation="nearest")
                if column == 0:
                    axes.set_ylabel(label)

    return draw_svg(
        paint,
        f"{measurement.name}: {len(real)} real images above {len(virtual)} virtual ones, at "
        f"{_setting(example)}",
        panels=(2, IMAGES),
    )


def _means(values: Array, seen: NDArray[np.bool_]) -> Array:
    total = np.where(seen, values, 0).sum(axis=1)
    mean: Array = total / np.maximum(seen.sum(axis=1), 1)
    return mean


def _setting(example: Examples) -> str:
    told = ", ".join(
        f"{name} = {value if isinstance(value, str) else format(value, '.4g')}"
        for name, value in example.setting.items()
    )
    return short(told, 160)


def _told(values: Array) -> str:
    return f"mean {values.mean():.3g}, spread {values.std():.3g}"
