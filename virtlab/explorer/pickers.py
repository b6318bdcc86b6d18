"""A slider and a box, or a menu, for each parameter of a setting."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from bokeh.models import CustomJS, InlineStyleSheet, NumericInput, Select, Slider

from virtlab.explorer.spans import DIGITS, Setting, Span

# What a slider and its box say to each other, in the browser: the server hears of the box alone.
_CLAMPED = """
const to = (value) => Math.min(slider.end, Math.max(slider.start, log ? Math.log10(value) : value))
"""
_SLIDE = (
    _CLAMPED
    + """
if (box.value === null || to(box.value) !== slider.value) {
  const value = log ? (10 ** slider.value).toPrecision(digits) : slider.value.toPrecision(10)
  const [low, high] = [box.low ?? -Infinity, box.high ?? Infinity]
  box.value = Math.min(high, Math.max(low, Number(value)))
}
"""
)
_TYPE = _CLAMPED + "if (box.value !== null) { slider.value = to(box.value) }"

_STYLE = """
:host { width: 100%; font: inherit; color: var(--ink); }
.bk-input { background: var(--paper); color: var(--ink); border: 1px solid var(--faint);
  border-radius: 6px; font: inherit; padding: 4px 8px; height: 34px; }
.bk-input:focus { outline: 2px solid var(--role); outline-offset: 1px; border-color: var(--role);
  box-shadow: none; }
select.bk-input { padding-right: 26px; background-image: url('data:image/svg+xml;utf8,\
<svg version="1.1" viewBox="0 0 25 20" xmlns="http://www.w3.org/2000/svg">\
<path d="M 0,0 25,0 12.5,20 Z" fill="gray"/></svg>') !important; }
label { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
"""
_SLIDER_STYLE = """
:host { width: 100%; }
.bk-input-group { padding: 9px 11px 11px; }
.noUi-target { background: var(--line); border: 0; box-shadow: none; height: 6px;
  border-radius: 3px; }
.noUi-connects { border-radius: 3px; }
.noUi-connect { background: var(--role) !important; }
.noUi-horizontal .noUi-handle { width: 22px; height: 22px; top: -8px; right: -11px;
  border-radius: 50%; border: 3px solid var(--paper); background: var(--role);
  box-shadow: 0 0 0 1px var(--role); cursor: grab; }
.noUi-handle::before, .noUi-handle::after { display: none; }
.noUi-handle:focus { outline: 3px solid var(--role); outline-offset: 2px; }
.noUi-touch-area { position: absolute; inset: -9px; width: auto; height: auto; }
"""


class Pickers:
    """The widgets of one setting.

    Parameters
    ----------
    name
        Of the setting: what tells its widgets from another's.
    spans, setting
        What may be chosen, and what is chosen at first.
    changed
        Called when another setting is chosen.
    """

    def __init__(
        self, name: str, spans: tuple[Span, ...], setting: Setting, changed: Callable[[], None]
    ) -> None:
        self.name, self._spans, self._changed = name, spans, changed
        style, slider_style = (InlineStyleSheet(css=css) for css in (_STYLE, _SLIDER_STYLE))
        self.boxes: list[Any] = []
        self.sliders: list[Any] = []
        """One per box; None where nothing slides."""
        for span in spans:
            box, slider = _widgets(span, setting[span.parameter.name], f"{name}: {span.heard}")
            box.stylesheets = [style]
            box.on_change("value", self._hear)
            if slider is not None:
                slider.stylesheets = [slider_style]
            self.boxes.append(box)
            self.sliders.append(slider)

    def _hear(self, _name: str, _old: Any, _new: Any) -> None:
        self._changed()

    @property
    def setting(self) -> Setting:
        """What is chosen; all boxes must hold something, see `lacking`."""
        found = {}
        for span, box in zip(self._spans, self.boxes, strict=True):
            found[span.parameter.name] = box.value if span.data is None else float(box.value)
        return found

    @property
    def lacking(self) -> list[str]:
        """Parameters whose box is empty."""
        pairs = zip(self._spans, self.boxes, strict=True)
        return [span.parameter.name for span, box in pairs if box.value is None]

    def choose(self, setting: Mapping[str, Any]) -> None:
        """Move all widgets to a setting."""
        for span, box in zip(self._spans, self.boxes, strict=True):
            box.value = setting[span.parameter.name]


def _widgets(span: Span, value: Any, label: str) -> tuple[Any, Any]:
    """A menu alone, or a box with a slider where the parameter ever varied."""
    parameter = span.parameter
    if span.data is None:
        return Select(title=label, value=value, options=list(parameter.categories)), None
    low, high = parameter.bounds or (None, None)
    box = NumericInput(
        title=label,
        value=value,
        low=low,
        high=high,
        mode="int" if parameter.kind == "integer" else "float",
    )
    if span.step == 0:
        return box, None
    slider = Slider(
        start=span.low,
        end=span.high,
        step=span.step,
        value=_place(span, value),
        title=None,
        show_value=False,
        tooltips=False,
    )
    args = {"slider": slider, "box": box, "log": span.log, "digits": DIGITS}
    slider.js_on_change("value", CustomJS(args=args, code=_SLIDE))
    box.js_on_change("value", CustomJS(args=args, code=_TYPE))
    return box, slider


def _place(span: Span, value: float) -> float:
    """Where a value stands on a slider."""
    place = math.log10(value) if span.log else value
    return min(max(place, span.low), span.high)
