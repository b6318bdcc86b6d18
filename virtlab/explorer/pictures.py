"""What virtual trials of one measurement look like, at one setting or two."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from bokeh.models import ColumnDataSource, Div, FactorRange, Range1d
from numpy.typing import NDArray

from virtlab.explorer.drawing import ROLES, SETTINGS, Paint, clear, make_figure, move, short
from virtlab.explorer.sampling import Draws, Reach
from virtlab.explorer.wording import spread_of
from virtlab.trials import Measurement

Array = NDArray[Any]
Drawn = Sequence[Draws | None]
"""Trials at setting A and at B; None where it is not shown."""

BINS = 32
LEAST_BIN = 0.012  # of the axis: a narrower bar is hardly seen
ROOM = 1.06  # above the highest bar, of its height
DRAWS = 5
MOST_POINTS = 600  # of a signal: no screen shows more
BAND = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class Axis:
    """A measurement's own dim: its name with unit, and its values, `known` or just places."""

    label: str
    values: Array
    known: bool


class Picture(Protocol):
    """Figures of one measurement, and what they say in words."""

    figures: list[Any]
    words: Div
    legend: str

    def show(self, drawn: Drawn, *, fit: bool) -> None:
        """Show other trials; with `fit`, on axes that fit them."""


def make_picture(
    measurement: Measurement, coords: Mapping[str, Any], reach: Reach | None, paint: Paint
) -> Picture:
    """Make the pictures that suit a measurement.

    Parameters
    ----------
    coords
        Of the manifest: values and units of own dims.
    reach
        None for a categorical measurement.
    """
    if reach is None:
        return Shares(measurement, paint)
    axes = [axis_of(dim, n, coords) for dim, n in zip_dims(measurement)]
    if len(axes) == 1:
        return Signal(measurement, axes[0], reach, paint)
    if axes:
        from virtlab.explorer.images import Images

        return Images(measurement, axes, reach, paint)
    return Distribution(measurement, reach, paint)


def zip_dims(measurement: Measurement) -> list[tuple[str, int]]:
    """Own dims and their lengths."""
    return list(zip(measurement.dims, measurement.shape, strict=True))


def axis_of(dim: str, length: int, coords: Mapping[str, Any]) -> Axis:
    """Values along a dim, or just their places."""
    known = coords.get(dim, {"values": [], "units": ""})
    values = np.asarray(known["values"])
    if values.dtype.kind not in "fiu" or values.shape != (length,) or not _rises(values):
        return Axis(dim, np.arange(length, dtype=float), known=False)
    return Axis(dim + in_units(known["units"]), values.astype(float), known=True)


def _rises(values: Array) -> bool:
    steps = np.diff(values)
    return bool(np.isfinite(values).all() and ((steps > 0).all() or (steps < 0).all()))


def in_units(units: str) -> str:
    """A unit in brackets, or nothing."""
    return "" if units in ("", "1") else f" ({units})"


def values_of(measurement: Measurement, drawn: Drawn) -> list[Array | None]:
    """``(trial, *own dims)`` of each setting; None where it is not shown."""
    return [None if draws is None else draws.measurements[measurement.name] for draws in drawn]


def told(name: str, text: str, role: str) -> str:
    """A line about one setting, for HTML; `text` is HTML."""
    return f'<div><b class="{role}">{name}</b> {text}</div>'


class Distribution:
    """Histograms of a scalar or a count, and how much of the spread is noise."""

    legend = (
        "Noise: standard deviation between trials; ignorance, the full part of the bar: "
        "between members of the ensemble, which only new data lessen. "
    )

    def __init__(self, measurement: Measurement, reach: Reach, paint: Paint) -> None:
        self._measurement, self._reach = measurement, reach
        self._range, self._height = Range1d(reach.low, reach.high), Range1d(0, 1)
        made = make_figure(
            paint,
            measurement.name + in_units(measurement.units),
            "share of trials",
            x_range=self._range,
            y_range=self._height,
        )
        self._sources = []
        for role, dash in zip(ROLES, ("solid", "dashed"), strict=True):
            source = ColumnDataSource({"left": [], "right": [], "top": []})
            bars = made.quad("left", "right", "top", 0, source=source, fill_alpha=0.35)
            bars.glyph.line_dash, bars.glyph.line_width = dash, 1.2
            paint.add(bars.glyph, role, "fill_color", "line_color")
            self._sources.append(source)
        self.figures, self.words = [made], Div()

    def show(self, drawn: Drawn, *, fit: bool) -> None:
        """Show other trials; with `fit`, on axes that fit them."""
        found = values_of(self._measurement, drawn)
        shown = [values for values in found if values is not None]
        least = 0.0 if fit else (self._reach.high - self._reach.low) * LEAST_BIN
        whole = self._measurement.kind == "count"
        bins = bins_of(np.concatenate(shown), least, whole=whole)
        if fit:
            pad = 0.04 * (bins[-1] - bins[0])
            move(self._range, float(bins[0] - pad), float(bins[-1] + pad))
        else:
            move(self._range, self._reach.low, self._reach.high)
        highest = 0.0
        for source, values in zip(self._sources, found, strict=True):
            if values is None:
                clear(source)
                continue
            share = np.histogram(np.clip(values, bins[0], bins[-1]), bins)[0] / len(values)
            seen = np.flatnonzero(share)
            source.data = {"left": bins[seen], "right": bins[seen + 1], "top": share[seen]}
            highest = max(highest, float(share.max()))
        # Not left to the browser, which would tell the server, and paint once more.
        move(self._height, 0.0, ROOM * highest)
        self.words.text = "".join(self._lines(drawn))

    def _lines(self, drawn: Drawn) -> list[str]:
        lines, found = [], values_of(self._measurement, drawn)
        for name, role, draws, values in zip(SETTINGS, ROLES, drawn, found, strict=True):
            if draws is not None and values is not None:
                low, middle, high = np.quantile(values, BAND)
                text = f"median {middle:.3g}, 90 % from {low:.3g} to {high:.3g}"
                lines.append(told(name, text, role))
                lines.append(spread_of(values, draws, role))
        first, second = found
        if first is not None and second is not None:
            lines.append(
                f"<div>A trial at B is higher than one at A: {_above(second, first)}</div>"
            )
        return lines


def _above(values: Array, others: Array) -> str:
    """How often one value is above another; equal ones count half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, values) + np.searchsorted(ordered, values, "right")
    return f"{below.mean() / 2 / len(ordered):.0%}"


def bins_of(values: Array, least: float = 0.0, *, whole: bool) -> Array:
    """Edges of bins that hold nearly all values.

    Parameters
    ----------
    least
        Width of a bin at least.
    whole
        Values are whole numbers: one bin each if they are few.
    """
    low, high = (float(end) for end in np.quantile(values, (0.002, 0.998)))
    if whole and high - low < 2 * BINS:
        return np.arange(np.floor(low) - 0.5, np.ceil(high) + 1)
    width = max((high - low) / BINS, least)
    if width == 0:  # one value alone
        width = abs(low) * 0.01 or 0.5
        low -= width / 2
    count = max(1, int(np.ceil((high - low) / width - 1e-9)))
    edges: Array = low + width * np.arange(count + 1)
    return edges


class Shares:
    """Bars: the share of each category."""

    legend = ""

    def __init__(self, measurement: Measurement, paint: Paint) -> None:
        self._measurement, self._names = measurement, measurement.categories
        # Bokeh asks for factors that differ, which names cut short might not.
        self._factors = [f"{short(name, 24)}" for name in self._names]
        if len(set(self._factors)) < len(self._factors):
            self._factors = [f"{i + 1} {factor}" for i, factor in enumerate(self._factors)]
        made = make_figure(
            paint, measurement.name, "share of trials", x_range=FactorRange(*self._factors)
        )
        made.y_range = Range1d(0, 1.02)
        if len(self._names) > 4 or max(map(len, self._factors)) > 10:
            made.xaxis[0].major_label_orientation = 0.8
        self._sources = []
        for role in ROLES:
            source = ColumnDataSource({"place": [], "width": [], "share": []})
            bars = made.vbar("place", "width", "share", source=source)
            bars.glyph.fill_alpha = 0.7
            paint.add(bars.glyph, role, "fill_color", "line_color")
            self._sources.append(source)
        self.figures, self.words = [made], Div()

    def show(self, drawn: Drawn, *, fit: bool) -> None:  # noqa: ARG002 - shares reach from 0 to 1
        """Show other trials."""
        lines, found = [], values_of(self._measurement, drawn)
        sides, width = ((-0.2, 0.2), 0.36) if found[1] is not None else ((0.0, 0.0), 0.6)
        for name, role, source, side, values in zip(
            SETTINGS, ROLES, self._sources, sides, found, strict=True
        ):
            if values is None:
                clear(source)
                continue
            share = [float((values == category).mean()) for category in self._names]
            source.data = {
                "place": [(factor, side) for factor in self._factors],
                "width": [width] * len(share),
                "share": share,
            }
            best = sorted(zip(share, self._names, strict=True), reverse=True)[:4]
            text = ", ".join(f"{html.escape(short(n, 24))} {s:.0%}" for s, n in best)
            lines.append(told(name, text, role))
        self.words.text = "".join(lines)


class Signal:
    """A band that holds 90 % of the trials at each point, their median, and a few of them."""

    legend = f"Median, the band of 90 % of trials, and {DRAWS} of them. "

    def __init__(self, measurement: Measurement, axis: Axis, reach: Reach, paint: Paint) -> None:
        self._measurement, self._reach = measurement, reach
        self._step = -(-len(axis.values) // MOST_POINTS)
        self._x = axis.values[:: self._step]
        self._range = Range1d(reach.low, reach.high)
        made = make_figure(
            paint,
            axis.label,
            measurement.name + in_units(measurement.units),
            height=300,
            y_range=self._range,
            x_range=Range1d(float(self._x[0]), float(self._x[-1]) or 1.0),
        )
        self._bands, self._draws = [], []
        for role, dash in zip(ROLES, ("solid", "dashed"), strict=True):
            band = ColumnDataSource({"x": [], "low": [], "middle": [], "high": []})
            draws = ColumnDataSource({"xs": [], "ys": []})
            area = made.varea("x", "low", "high", source=band, fill_alpha=0.22)
            thin = made.multi_line("xs", "ys", source=draws, line_width=0.8, line_alpha=0.75)
            middle = made.line("x", "middle", source=band, line_width=2.2, line_dash=dash)
            paint.add(area.glyph, role, "fill_color")
            paint.add(thin.glyph, role, "line_color")
            paint.add(middle.glyph, role, "line_color")
            self._bands.append(band)
            self._draws.append(draws)
        self.figures, self.words = [made], Div()

    def show(self, drawn: Drawn, *, fit: bool) -> None:
        """Show other trials; with `fit`, on axes that fit them."""
        lines, ends = [], []
        for name, role, band, draws, values in zip(
            SETTINGS,
            ROLES,
            self._bands,
            self._draws,
            values_of(self._measurement, drawn),
            strict=True,
        ):
            if values is None:
                clear(band)
                clear(draws)
                continue
            thin = values[:, :: self._step]
            low, middle, high = np.quantile(thin, BAND, axis=0)
            band.data = {"x": self._x, "low": low, "middle": middle, "high": high}
            some = thin[:DRAWS]
            draws.data = {"xs": [self._x] * len(some), "ys": list(some)}
            ends += [min(low.min(), some.min()), max(high.max(), some.max())]
            text = f"median from {middle.min():.3g} to {middle.max():.3g}"
            lines.append(told(name, f"{text}, mean of all {values.mean(dtype=float):.3g}", role))
        pad = 0.04 * (max(ends) - min(ends)) or 0.5
        wanted = (min(ends) - pad, max(ends) + pad) if fit else (self._reach.low, self._reach.high)
        move(self._range, float(wanted[0]), float(wanted[1]))
        self.words.text = "".join(lines)
