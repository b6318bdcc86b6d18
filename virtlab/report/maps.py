"""Where the model is good and bad over the parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.evaluation.compared import setting_means
from virtlab.evaluation.comparison import Comparison
from virtlab.evaluation.scoring import Scored
from virtlab.report.drawing import FAINT, SIMPLE, VIRTUAL, draw_svg, name_axes, short, slant_labels

Array = NDArray[np.float64]

BINS = 6  # of a parameter with many values
FEW = 12  # values that each get a place of their own
MOST_PARAMETERS = 6
SHOWN = 14  # characters of a category


@dataclass(frozen=True)
class Places:
    """A parameter's values, put into few places.

    Parameters
    ----------
    name, unit
        Of the parameter; the unit in brackets, or nothing.
    place
        Of each setting, ``(setting,)``.
    labels
        Of the places.
    """

    name: str
    unit: str
    place: NDArray[np.int64]
    labels: list[str]


def draw_profiles(
    comparison: Comparison, scored: Scored, manifest: Mapping[str, Any], unit: str
) -> list[tuple[str, str, bool]]:
    """Score along each parameter, and over the two that matter most: SVG, caption, if wide."""
    order = _by_relevance(comparison, manifest)
    units = {p["name"]: p["units"] for p in manifest["parameters"]}
    places = [_places(name, units.get(name, ""), comparison.values[name]) for name in order]
    places = [each for each in places if len(each.labels) > 1][:MOST_PARAMETERS]
    model = scored.by_setting
    if not places or not np.isfinite(model).any():
        return []
    name = scored.measurement.name
    marginal = setting_means(scored.compared.marginal, scored.compared)
    found = []
    if len(places) > 1:
        found.append(
            (
                _map(places[0], places[1], model, name, unit),
                f"Score of {name} over the two parameters that matter most; dark is good.",
                False,
            )
        )
    found.append(
        (
            _profiles(places, model, marginal, name, unit),
            f"Score of {name} along each parameter, mean and 90 % interval; "
            "grey: ignoring the parameters. High is bad.",
            len(places) > 1,
        )
    )
    return found


def _by_relevance(comparison: Comparison, manifest: Mapping[str, Any]) -> list[str]:
    """Names of parameters, those that matter most first."""
    known = manifest.get("relevance", {})
    names = list(comparison.values)
    return sorted(names, key=lambda name: -float(known.get(name, {}).get("rise", 0)))


def _places(name: str, units: str, values: NDArray[Any]) -> Places:
    unit = "" if units in ("", "1") else f" ({units})"
    distinct, place = np.unique(
        values.astype(str) if _is_text(values) else values, return_inverse=True
    )
    place = place.ravel().astype(np.int64)
    if _is_text(values):
        return Places(name, unit, place, [short(str(text), SHOWN) for text in distinct])
    if len(distinct) <= FEW:
        return Places(name, unit, place, [f"{value:.4g}" for value in distinct])
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)))
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    middles = [float(np.median(values[place == i])) for i in range(len(edges) - 1)]
    return Places(name, unit, place.astype(np.int64), [f"{middle:.3g}" for middle in middles])


def _is_text(values: NDArray[Any]) -> bool:
    return values.dtype.kind in "OSUT"


def _map(first: Places, second: Places, score: Array, name: str, unit: str) -> str:
    """Mean score in each pair of places."""
    shape = (len(second.labels), len(first.labels))
    total, count = np.zeros(shape), np.zeros(shape)
    seen = np.isfinite(score)
    np.add.at(total, (second.place[seen], first.place[seen]), score[seen])
    np.add.at(count, (second.place[seen], first.place[seen]), 1)
    mean = np.divide(total, count, out=np.full(shape, np.nan), where=count > 0)

    def paint(axes: Any) -> None:
        drawn = axes.imshow(mean, origin="lower", aspect="auto", interpolation="nearest")
        _ticks(axes, first)
        axes.set_yticks(range(len(second.labels)), second.labels)
        axes.figure.colorbar(drawn, ax=axes, label=short(f"score{unit}"))
        name_axes(axes, first.name + first.unit, second.name + second.unit)

    worst = np.unravel_index(np.nanargmax(mean), shape)
    return draw_svg(
        paint,
        f"Mean score of {name} over {first.name} and {second.name}: from {np.nanmin(mean):.3g} to "
        f"{np.nanmax(mean):.3g}, worst at {first.name} {first.labels[worst[1]]}, {second.name} "
        f"{second.labels[worst[0]]}.",
    )


def _profiles(places: Sequence[Places], model: Array, marginal: Array, name: str, unit: str) -> str:
    """One panel per parameter."""
    columns = len(places) if len(places) < 5 else 3
    rows = -(-len(places) // columns)
    worst = []
    tops = [np.nanmax(_means(each, marginal)[0]) for each in places]
    for each in places:
        mean, error = _means(each, model)
        tops.append(np.nanmax(mean + 1.645 * np.nan_to_num(error)))

    def paint(grid: Any) -> None:
        panels = np.atleast_1d(grid).ravel()
        for axes in panels[len(places) :]:
            axes.set_visible(False)
        for number, (axes, each) in enumerate(zip(panels, places, strict=False)):
            x = np.arange(len(each.labels))
            mean, error = _means(each, model)
            simple, _ = _means(each, marginal)
            axes.plot(x, simple, "o-", color=SIMPLE, markersize=3, linewidth=1)
            axes.errorbar(x, mean, 1.645 * error, fmt="o-", color=VIRTUAL, markersize=4)
            axes.axhline(np.nanmean(model), color=FAINT, linewidth=1, linestyle="--")
            axes.set_ylim(0, 1.08 * max(tops) or 1.0)
            _ticks(axes, each)
            name_axes(
                axes, short(each.name + each.unit, 26), "" if number % columns else f"score{unit}"
            )

    for each in places:
        mean = _means(each, model)[0]
        worst.append(
            f"{each.name}: highest {np.nanmax(mean):.3g} at {each.labels[int(np.nanargmax(mean))]}"
        )
    return draw_svg(
        paint,
        f"Mean score of {name} along each parameter; {'; '.join(worst)}; "
        f"{np.nanmean(model):.3g} on average.",
        panels=(rows, columns),
        size=(1.0 + 2.3 * columns, 0.5 + 2.1 * rows),
        sharey=True,
    )


def _means(each: Places, score: Array) -> tuple[Array, Array]:
    """Mean score at each place, and its standard error over settings."""
    seen, size = np.isfinite(score), len(each.labels)
    count = np.bincount(each.place[seen], minlength=size)
    total = np.bincount(each.place[seen], score[seen], size)
    squares = np.bincount(each.place[seen], np.square(score[seen]), size)
    mean = np.divide(total, count, out=np.full(size, np.nan), where=count > 0)
    spread = np.maximum(squares / np.maximum(count, 1) - np.square(mean), 0)
    error = np.sqrt(np.divide(spread, count - 1, out=np.full(size, np.nan), where=count > 1))
    return mean, error


def _ticks(axes: Any, each: Places) -> None:
    """At most seven labels, slanted where they are long."""
    step = -(-len(each.labels) // 7) if max(map(len, each.labels)) < SHOWN // 2 else 1
    at = list(range(0, len(each.labels), step))
    axes.set_xticks(at, [each.labels[i] for i in at])
    if max(map(len, each.labels)) > 4 and len(at) > 3:
        slant_labels(axes)
