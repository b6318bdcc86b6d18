"""Images: a few trials, their mean, and how much trials differ at each point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.models import (
    BasicTicker,
    ColorBar,
    ColumnDataSource,
    Div,
    LinearColorMapper,
    Range1d,
    Title,
)
from bokeh.palettes import Cividis256, Viridis256

from virtlab.explorer.drawing import INK, ROLES, SETTINGS, Paint, make_figure
from virtlab.explorer.pictures import Array, Axis, Drawn, in_units, told, values_of
from virtlab.explorer.sampling import Reach
from virtlab.trials import Measurement

SHOWN = 4
MOST_PIXELS = 256  # along each side: no screen shows more
GAP = 0.06  # between images, of their size


class Images:
    """Per setting: four trials, the mean of all, their standard deviation at each pixel."""

    legend = "Spread: the standard deviation between trials. "

    def __init__(
        self, measurement: Measurement, axes: Sequence[Axis], reach: Reach, paint: Paint
    ) -> None:
        self._measurement, self._reach = measurement, reach
        self._outer = len(axes) - 2
        y, x = axes[-2:]
        self._downwards = not y.known  # rows are counted from the top, coordinates go up
        self._turned = (y.values[0] > y.values[-1], x.values[0] > x.values[-1])
        self._bottom, self._top = _extent(y)
        self._left, self._right = _extent(x)
        width, height = self._right - self._left, self._top - self._bottom
        self._whole = {"x": [self._left], "y": [self._bottom], "dw": [width], "dh": [height]}
        self._steps = tuple(-(-len(axis.values) // MOST_PIXELS) for axis in (y, x))
        shape = [
            -(-len(axis.values) // step) for axis, step in zip((y, x), self._steps, strict=True)
        ]
        self._wide = 2 if 0.4 < shape[1] / shape[0] < 2.5 else (1 if shape[1] > shape[0] else SHOWN)
        name = measurement.name + in_units(measurement.units)
        self._values = LinearColorMapper(Viridis256, low=reach.low, high=reach.high)
        self._spread = LinearColorMapper(Cividis256, low=0, high=reach.spread)
        self._sources: list[list[Any]] = []
        """By setting: of the trials, of their mean, of their spread."""
        self._own: list[list[Any]] = []
        """By setting: the figures."""
        for setting, role in zip(SETTINGS, ROLES, strict=True):
            made = [
                self._tiles(f"{setting}: {SHOWN} trials", paint, role),
                self._one(f"{setting}: mean of {name}", x, y, self._values, paint, role),
                self._one(f"{setting}: spread between trials", x, y, self._spread, paint, role),
            ]
            self._own.append([figure for figure, _ in made])
            self._sources.append([source for _, source in made])
        self.figures = [figure for pair in zip(*self._own, strict=True) for figure in pair]
        self.words = Div()

    def _tiles(self, title: str, paint: Paint, role: str) -> tuple[Any, Any]:
        """Images side by side, without axes, and their source."""
        rows = -(-SHOWN // self._wide)
        ranges = self._ranges(-GAP, self._wide, -GAP, rows)
        made = make_figure(paint, "", "", height=270, **ranges)
        source = ColumnDataSource({"image": [], "x": [], "y": []})
        made.image("image", "x", "y", 1 - GAP, 1 - GAP, source=source, color_mapper=self._values)
        made.grid.visible = False
        _name(made, title, paint, role)
        return made, source

    def _one(
        self,
        title: str,
        x: Axis,
        y: Axis,
        mapper: LinearColorMapper,
        paint: Paint,
        role: str,
    ) -> tuple[Any, Any]:
        """One image with axes and a scale, and its source."""
        ranges = self._ranges(self._left, self._right, self._bottom, self._top)
        made = make_figure(paint, x.label, y.label, height=270, **ranges)
        source = ColumnDataSource({"image": [], **{key: [] for key in self._whole}})
        made.image("image", "x", "y", "dw", "dh", source=source, color_mapper=mapper)
        made.grid.visible = False
        bar = ColorBar(
            color_mapper=mapper, width=10, padding=6, ticker=BasicTicker(desired_num_ticks=5)
        )
        bar.background_fill_color = None
        paint.add(bar, INK, "major_label_text_color")
        made.add_layout(bar, "right")
        _name(made, title, paint, role)
        return made, source

    def _ranges(self, left: float, right: float, bottom: float, top: float) -> dict[str, Range1d]:
        """Axes that show so much, rows of an image counted as its coordinates say."""
        ends = (top, bottom) if self._downwards else (bottom, top)
        return {"x_range": Range1d(left, right), "y_range": Range1d(*ends)}

    def show(self, drawn: Drawn, *, fit: bool) -> None:
        """Show other trials; with `fit`, in colours that fit them."""
        lines, ends, most = [], [], 0.0
        for at, values in enumerate(values_of(self._measurement, drawn)):
            for made in self._own[at]:
                made.visible = values is not None
            if values is None:
                continue
            flat = self._flat(values)
            mean, spread = flat.mean(axis=0, dtype=float), flat.std(axis=0, dtype=float)
            some = list(flat[:SHOWN])
            tiles, middle, apart = self._sources[at]
            place = np.arange(len(some))
            x, y = place % self._wide, place // self._wide
            tiles.data = {"image": some, "x": x.astype(float), "y": y.astype(float)}
            middle.data = {"image": [mean], **self._whole}
            apart.data = {"image": [spread], **self._whole}
            low, high = np.quantile(np.stack([*some, mean]), (0.01, 0.99))
            ends += [float(low), float(high)]
            most = max(most, float(spread.max()))
            text = f"mean over the image {mean.mean():.4g}, typical spread {spread.mean():.3g}"
            lines.append(told(SETTINGS[at], text, ROLES[at]))
        if fit and max(ends) > min(ends):
            self._values.update(low=min(ends), high=max(ends))
            self._spread.high = most or 1.0
        else:
            self._values.update(low=self._reach.low, high=self._reach.high)
            self._spread.high = self._reach.spread
        self.words.text = "".join(lines)

    def _flat(self, values: Array) -> Array:
        """Images alone, ``(trial, y, x)``: the mean over dims before them, pixels thinned out."""
        means = values.mean(axis=tuple(range(1, 1 + self._outer))) if self._outer else values
        thin: Array = means[:, :: self._steps[0], :: self._steps[1]]
        y, x = (slice(None, None, -1 if turned else 1) for turned in self._turned)
        return thin[:, y, x]


def _extent(axis: Axis) -> tuple[float, float]:
    """Where pixels begin and end: values are in the middle of theirs."""
    low, high = float(axis.values.min()), float(axis.values.max())
    half = (high - low) / max(len(axis.values) - 1, 1) / 2 or 0.5
    return low - half, high + half


def _name(made: Any, title: str, paint: Paint, role: str) -> None:
    made.title = Title(text=title, text_font_size="13px", text_font_style="bold")
    paint.add(made.title, role, "text_color")
