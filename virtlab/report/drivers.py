"""What drives what: total effects of the parameters, and the response to each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from virtlab.evaluation.curves import Curve
from virtlab.evaluation.sensitivity import Effect, Index, Sensitivity
from virtlab.report.drawing import FAINT, SIMPLE, VIRTUAL, draw_svg, name_axes, short, slant_labels
from virtlab.report.sections import Figure, make_figure

MOST_PARAMETERS = 10  # in a figure of effects
MOST_LETTERS = 32  # below an axis, side by side
MOST_CURVES = 3  # of a measurement, those of the parameters that do most


@dataclass(frozen=True)
class Drivers:
    """One measurement: a sentence, and its figures."""

    name: str
    said: str
    figures: list[Figure]


def make_drivers(found: Sensitivity, manifest: Mapping[str, Any]) -> list[Drivers]:
    """One per measurement, in the model's order."""
    units = {
        str(told["name"]): "" if told["units"] in ("", "1") else f" ({told['units']})"
        for told in [*manifest["parameters"], *(c["measurement"] for c in manifest["columns"])]
    }
    made = []
    for effect in found.effects:
        figures = []
        if effect.mean or effect.spread:
            figures.append(make_figure(_draw_effect(effect), "Total effects; bars: 90 % interval."))
        names = [index.parameter for index in effect.mean or effect.spread][:MOST_CURVES]
        curves = {c.parameter: c for c in found.curves if c.measurement == effect.measurement}
        figures += [
            make_figure(
                _draw_curve(curves[name], units),
                "Mean, and the band of 90 % of virtual trials, the others anywhere in their ranges."
                if not curves[name].what.startswith("share")
                else "Mean share, and the band of 90 % of settings of the others.",
            )
            for name in names
        ]
        said = f"The settings decide {effect.settled:.0%} of its variance; the rest is scatter"
        said += f", whose size changes with them by ±{effect.widens:.0%}." if effect.spread else "."
        made.append(Drivers(effect.measurement, said, figures))
    return made


def _draw_effect(effect: Effect) -> str:
    """Dots with intervals: what each parameter does to the mean and to the spread."""
    most = [index.parameter for index in effect.mean]
    names = (most + [i.parameter for i in effect.spread if i.parameter not in most])[
        :MOST_PARAMETERS
    ]
    kinds = [
        ("mean", effect.mean, VIRTUAL, "o", 0.14),
        ("spread", effect.spread, SIMPLE, "s", -0.14),
    ]

    def paint(axes: Any) -> None:
        for kind, indices, color, mark, aside in kinds:
            by_name = {index.parameter: index.total for index in indices}
            for place, name in enumerate(reversed(names)):
                if name not in by_name:
                    continue
                total, at = by_name[name], place + aside
                axes.plot([0, max(total.value, 0)], [at, at], color=FAINT, linewidth=1, zorder=1)
                axes.plot([total.low, total.high], [at, at], color=color, linewidth=3, alpha=0.5)
                label = kind if place == 0 else None
                axes.plot([total.value], [at], mark, color=color, markersize=6, label=label)
        axes.set_yticks(range(len(names)), [short(name, 24) for name in reversed(names)])
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.set_xlim(left=0)
        axes.tick_params(axis="y", length=0)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
        name_axes(axes, "share of variance, with others", "")

    told = "; ".join(
        f"{kind}: {_told(indices[:MOST_PARAMETERS])}" for kind, indices, *_ in kinds if indices
    )
    return draw_svg(paint, f"Total effects of the parameters on {effect.measurement}; {told}.")


def _told(indices: Sequence[Index]) -> str:
    return ", ".join(f"{index.parameter} {index.total.value:.0%}" for index in indices)


def _draw_curve(curve: Curve, units: Mapping[str, str]) -> str:
    """Mean and band over one parameter."""
    mean, low, high = (np.array(values) for values in (curve.mean, curve.low, curve.high))
    text = isinstance(curve.at[0], str)
    at = np.arange(len(curve.at)) if text else np.array(curve.at, float)
    what = f"{curve.measurement}{units[curve.measurement]}"
    if curve.what:
        what = f"{what}, {curve.what}"

    def paint(axes: Any) -> None:
        if text:
            axes.vlines(at, low, high, color=VIRTUAL, alpha=0.35, linewidth=6)
            axes.plot(at, mean, "o", color=VIRTUAL, markersize=6)
            axes.set_xticks(at, [short(name, 12) for name in curve.at])
            if sum(len(short(name, 12)) for name in curve.at) > MOST_LETTERS:
                slant_labels(axes)
            axes.margins(x=0.15)
        else:
            axes.fill_between(at, low, high, color=VIRTUAL, alpha=0.25, lw=0)
            axes.plot(at, mean, color=VIRTUAL, linewidth=1.8)
            axes.set_xlim(at[0], at[-1])
        name_axes(axes, f"{curve.parameter}{units[curve.parameter]}", what)

    ends = f"from {mean[0]:.3g} at {curve.at[0]} to {mean[-1]:.3g} at {curve.at[-1]}"
    return draw_svg(paint, f"Response of {what} to {curve.parameter}: on average {ends}.")
