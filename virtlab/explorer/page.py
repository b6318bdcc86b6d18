"""One browser tab: its widgets, its pictures, and what happens when a slider moves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from importlib.resources import files
from typing import Any

from bokeh.document import Document, without_document_lock
from bokeh.models import (
    Button,
    CustomJS,
    Div,
    InlineStyleSheet,
    PreText,
    RadioButtonGroup,
    Toggle,
)
from jinja2 import Environment, StrictUndefined

from virtlab.errors import VirtlabError
from virtlab.explorer.drawing import SETTINGS, Paint
from virtlab.explorer.pickers import Pickers
from virtlab.explorer.pictures import Picture, in_units, make_picture
from virtlab.explorer.sampling import Draws, Sampler
from virtlab.explorer.spans import Setting, starting_setting
from virtlab.explorer.wording import fault_of, params_of, trust_in, verdict_of

TEMPLATE = "explorer.html"
PAUSE = 0.05  # seconds for the browser to paint the first trials before more are drawn

_COPY = """
const say = (label) => {
  button.label = label
  setTimeout(() => { button.label = said }, 2000)
}
navigator.clipboard.writeText(shown.text)
  .then(() => say('copied'), () => {
    say('copy it from above')
    document.querySelector('details').open = true
  })
"""
_COPY_LABEL = "copy as params.toml"
_TWO = "document.body.classList.toggle('two', toggle.active)"
_LOST = "document.body.classList.add('lost')"
# Bokeh's sliders have no name for who cannot see them.
_NAME = """
for (const [i, slider] of sliders.entries()) {
  const host = document.querySelector(`[data-root-id="${slider.id}"]`)
  const handle = host.firstElementChild.shadowRoot.querySelector('.noUi-handle')
  handle.setAttribute('aria-label', labels[i])
}
"""
_BUTTON_STYLE = """
:host { font: inherit; }
.bk-btn { font: inherit; color: var(--ink); background: var(--paper);
  border: 1px solid var(--faint); border-radius: 6px; padding: 5px 12px; }
.bk-btn:hover { background: var(--line); }
.bk-btn:focus-visible { outline: 2px solid var(--first); outline-offset: 2px; z-index: 1; }
.bk-btn.bk-active { background: var(--first); border-color: var(--first); color: var(--paper);
  box-shadow: none; }
.bk-btn-group { gap: 0; }
.bk-btn-group > .bk-btn:not(:last-child) { border-radius: 6px 0 0 6px; }
.bk-btn-group > .bk-btn:not(:first-child) { border-radius: 0 6px 6px 0; border-left: 0; }
"""
_TEXT_STYLE = """
:host { font: inherit; color: inherit; width: 100%; }
.bk-clearfix { display: block; }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; font-size: 13px; }
small { opacity: .85; font-size: .85em; }
.first { color: var(--first); } .second { color: var(--second); }
.spread { display: flex; align-items: center; gap: 10px; color: inherit; --of: var(--first); }
.spread.second { --of: var(--second); }
.bar { flex: 0 0 72px; height: 6px; border-radius: 3px; overflow: hidden;
  background: color-mix(in srgb, var(--of) 28%, transparent); }
.bar i { display: block; height: 100%; background: var(--of); }
.verdicts { display: flex; flex-wrap: wrap; gap: 4px 18px; }
.verdict { padding: 2px 10px; border-radius: 5px; border-left: 5px solid; }
@media (max-width: 820px) { .verdict small { display: none; } }
.verdict.inside { color: var(--good); border-color: var(--good); }
.verdict.edge { color: var(--warn); border-color: var(--warn); }
.verdict.outside, .verdict.fault { color: var(--bad); border-color: var(--bad); font-weight: 600; }
"""


class Page:
    """A document that shows virtual trials at one setting or two.

    Parameters
    ----------
    document
        To be filled.
    sampler
        What draws; tabs share it.
    """

    def __init__(self, document: Document, sampler: Sampler) -> None:
        self._document, self._sampler = document, sampler
        self._busy = self._waiting = False
        self._last: dict[str, Draws] = {}
        self._paint = Paint()
        start = starting_setting(sampler.model, sampler.spans)
        self._pickers = [Pickers(n, sampler.spans, start, self._changed) for n in SETTINGS]
        coords = sampler.model.manifest["coords"]
        self._pictures: list[Picture] = [
            make_picture(m, coords, sampler.reaches.get(m.name), self._paint)
            for m in sampler.model.measurements
        ]
        self._two = Toggle(label="compare with a second setting", active=False)
        self._axes = RadioButtonGroup(labels=["fixed axes", "fitted axes"], active=0)
        self._copy = Button(label=_COPY_LABEL)
        self._verdict, self._status, self._params = Div(), Div(), PreText()
        self._connect()
        self._lay_out()
        self._show([self._draw("A", start, sampler.portions[0])])
        self._changed()

    def _connect(self) -> None:
        """Say what happens when."""
        self._two.on_change("active", self._compare)
        self._two.js_on_change("active", CustomJS(args={"toggle": self._two}, code=_TWO))
        self._axes.on_change("active", lambda _name, _old, _new: self._changed())
        args = {"button": self._copy, "shown": self._params, "said": _COPY_LABEL}
        self._copy.js_on_click(CustomJS(args=args, code=_COPY))
        self._document.js_on_event("document_ready", self._paint.callback())
        self._document.js_on_event("document_ready", self._names())
        self._document.js_on_event("connection_lost", CustomJS(code=_LOST))

    def _names(self) -> CustomJS:
        named = [
            (slider, f"{picker.name}: {span.heard}")
            for picker in self._pickers
            for slider, span in zip(picker.sliders, self._sampler.spans, strict=True)
            if slider is not None
        ]
        args = {"sliders": [s for s, _ in named], "labels": [label for _, label in named]}
        return CustomJS(args=args, code=_NAME)

    def _lay_out(self) -> None:
        """Name all roots; the template says where they stand."""
        for widget in (self._two, self._axes, self._copy):
            widget.stylesheets = [InlineStyleSheet(css=_BUTTON_STYLE)]
        text = InlineStyleSheet(css=_TEXT_STYLE)
        for div in (self._verdict, self._status, self._params, *(p.words for p in self._pictures)):
            div.stylesheets = [text]
        roots = {
            "two": self._two,
            "axes": self._axes,
            "copy": self._copy,
            "verdict": self._verdict,
            "status": self._status,
            "params": self._params,
        }
        rows, cards = [], []
        for i, span in enumerate(self._sampler.spans):
            row: dict[str, Any] = {"name": span.parameter.name, "told": span.told(), "cells": []}
            row["units"] = in_units(span.parameter.units)
            for picker in self._pickers:
                box, slider = f"{picker.name}_box_{i}", f"{picker.name}_slider_{i}"
                roots[box] = picker.boxes[i]
                if picker.sliders[i] is not None:
                    roots[slider] = picker.sliders[i]
                cell = {"setting": picker.name, "box": box}
                cell["slider"] = slider if slider in roots else ""
                row["cells"].append(cell)
            rows.append(row)
        for i, (measurement, picture) in enumerate(
            zip(self._sampler.model.measurements, self._pictures, strict=True)
        ):
            names = [f"figure_{i}_{j}" for j in range(len(picture.figures))]
            roots |= dict(zip(names, picture.figures, strict=True)) | {f"words_{i}": picture.words}
            score = self._sampler.model.scores[measurement.name]
            cards.append(
                {
                    "name": measurement.name,
                    "units": in_units(measurement.units),
                    "figures": names,
                    "words": f"words_{i}",
                    "legend": picture.legend,
                    "trust": trust_in(score),
                }
            )
        for name, root in roots.items():
            root.name = name
            root.margin = 0
            self._document.add_root(root)
        self._fill(rows, cards)

    def _fill(self, rows: list[dict[str, Any]], cards: list[dict[str, Any]]) -> None:
        manifest = self._sampler.model.manifest
        environment = Environment(autoescape=True, undefined=StrictUndefined)
        page = files("virtlab.explorer").joinpath(TEMPLATE).read_text()
        self._document.template = environment.from_string(page)
        self._document.title = f"{manifest['experiment']['name']}: virtlab explore"
        self._document.template_variables.update(
            experiment=manifest["experiment"]["name"],
            file=self._sampler.model.file.path.name,
            data=manifest["data"],
            reservations=manifest["verdict"],
            seed=self._sampler.seed,
            rows=rows,
            cards=cards,
        )

    def _compare(self, _name: str, _old: Any, active: bool) -> None:
        """Show a second setting, at first the same as the first."""
        if active and "B" not in self._last:
            self._pickers[1].choose(self._pickers[0].setting)
        self._changed()

    def _changed(self) -> None:
        """Draw anew, once what is being drawn is there: a slider moves faster than that."""
        self._waiting = True
        if not self._busy:
            self._busy = True
            self._document.add_next_tick_callback(self._work)

    @without_document_lock
    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                self._waiting = False
                shown = self._pickers if self._two.active else self._pickers[:1]
                for trials in self._sampler.portions:
                    answers = [self._answer(loop, picker, trials) for picker in shown]
                    drawn = await asyncio.gather(*answers)
                    self._document.add_next_tick_callback(partial(self._show, drawn))
                    if trials < self._sampler.trials:
                        await asyncio.sleep(PAUSE)
                    if self._waiting:
                        break
        finally:
            self._busy = False

    async def _answer(
        self, loop: asyncio.AbstractEventLoop, picker: Pickers, trials: int
    ) -> Draws | str:
        """Trials at the chosen setting, or why there are none."""
        if picker.lacking:
            return f"no value of {', '.join(picker.lacking)}"
        return await loop.run_in_executor(None, self._draw, picker.name, picker.setting, trials)

    def _draw(self, name: str, setting: Setting, trials: int) -> Draws | str:
        known = self._last.get(name)
        if known is not None and known.setting != setting:
            known = None
        if known is not None and known.trials >= min(trials, self._sampler.trials):
            return known
        try:
            drawn = self._sampler.draw(setting, trials, known)
        except VirtlabError as error:
            return str(error)
        except Exception as error:  # the page is the only one to tell
            return f"{type(error).__name__}: {error}"
        self._last[name] = drawn
        return drawn

    def _show(self, drawn: Sequence[Draws | str]) -> None:
        """Bring what was drawn into the pictures."""
        verdicts = [
            fault_of(name, f"{draws}; the pictures are of the setting before")
            if isinstance(draws, str)
            else verdict_of(name, draws)
            for name, draws in zip(SETTINGS, drawn, strict=False)
        ]
        self._verdict.text = f'<div class="verdicts">{"".join(verdicts)}</div>'
        shown = [draws for draws in drawn if not isinstance(draws, str)]
        if len(shown) < len(drawn):
            return
        fit = self._axes.active == 1
        for picture in self._pictures:
            picture.show([*shown, None][:2], fit=fit)
        self._status.text = self._told(shown)
        self._params.text = params_of(self._sampler, [draws.setting for draws in shown])

    def _told(self, shown: Sequence[Draws]) -> str:
        """How many trials are shown; the same words for most settings cost the browser nothing."""
        count = min(draws.trials for draws in shown)
        each = " at each setting" if len(shown) > 1 else ""
        if count < self._sampler.trials:
            return f"The first {count:,} of {self._sampler.trials:,} virtual trials{each} …"
        return f"{count:,} virtual trials{each}."
