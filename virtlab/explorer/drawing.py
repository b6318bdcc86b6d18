"""Bokeh figures in the page's own colours, light and dark."""

from __future__ import annotations

from typing import Any

from bokeh.models import BasicTicker, CustomJS, InlineStyleSheet, PlainText, Range1d, SaveTool
from bokeh.plotting import figure

# Roles of colours: the page has a CSS variable of each name, with a value for light and dark.
INK, FAINT, LINE = "ink", "faint", "line"
FIRST, SECOND = "first", "second"
SETTINGS = ("A", "B")
ROLES = (FIRST, SECOND)
"""The colour of each setting."""

_TOOLBAR_STYLE = """
:host { background: none !important; --bokeh-bg-color: transparent; }
:host > * { background: none !important; }
"""

TOOLS = "pan,box_zoom,wheel_zoom,reset"

# A browser knows whether it is dark; the server does not, and need not hear of it.
_PAINT = """
const dark = matchMedia('(prefers-color-scheme: dark)')
function paint() {
  const style = getComputedStyle(document.documentElement)
  for (const [i, model] of models.entries()) {
    const color = style.getPropertyValue('--' + roles[i]).trim()
    model.setv({[properties[i]]: color}, {sync: false})
  }
}
dark.addEventListener('change', paint)
paint()
"""


class Paint:
    """Remembers what is to be painted in which role."""

    def __init__(self) -> None:
        self._models: list[Any] = []
        self._properties: list[str] = []
        self._roles: list[str] = []

    def add(self, model: Any, role: str, *properties: str) -> None:
        """Let these properties of a model have a role's colour."""
        for name in properties:
            self._models.append(model)
            self._properties.append(name)
            self._roles.append(role)

    def callback(self) -> CustomJS:
        """Paint in the browser, now and whenever it turns from light to dark."""
        return CustomJS(
            args={"models": self._models, "properties": self._properties, "roles": self._roles},
            code=_PAINT,
        )


def make_figure(paint: Paint, x: str, y: str, *, height: int = 250, **options: Any) -> Any:
    """Make a figure as wide as the page lets it be; a finger on it scrolls the page.

    Parameters
    ----------
    x, y
        What the axes show; nothing for an axis that is not to be seen.
    """
    made = figure(
        height=height,
        sizing_mode="stretch_width",
        tools=TOOLS,
        active_drag=None,
        active_scroll=None,
        toolbar_location="above",
        toolbar_inner=True,
        min_border=4,
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        **options,
    )
    made.add_tools(SaveTool(filename="virtual_trials"))
    made.toolbar.logo = None
    made.toolbar.autohide = True
    made.toolbar.stylesheets = [InlineStyleSheet(css=_TOOLBAR_STYLE)]
    for axis, label in ((made.xaxis[0], x), (made.yaxis[0], y)):
        axis.visible = bool(label)
        axis.axis_label = PlainText(text=short(label))
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = axis.major_label_text_font_size = "13px"
        axis.minor_tick_line_color = None
        paint.add(axis, INK, "axis_label_text_color", "major_label_text_color")
        paint.add(axis, FAINT, "axis_line_color", "major_tick_line_color")
        if isinstance(axis.ticker, BasicTicker):
            axis.ticker.desired_num_ticks = 5
    for grid in made.grid:
        paint.add(grid, LINE, "grid_line_color")
    made.xgrid[0].visible = False
    return made


def move(interval: Range1d, low: float, high: float) -> None:
    """Let an axis show this much."""
    interval.update(start=low, end=high, reset_start=low, reset_end=high)


def clear(source: Any) -> None:
    """Let nothing be drawn; a source that is empty is left alone, and no message sent."""
    if any(len(column) for column in source.data.values()):
        source.data = {name: [] for name in source.data}


def short(text: str, most: int = 48) -> str:
    """Cut a text that would not fit."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"
