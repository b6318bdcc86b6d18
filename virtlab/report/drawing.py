"""Matplotlib to SVG that lives inside a page: its colours, its font, its light and dark."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Matplotlib draws with these; the page replaces each by a CSS variable, which has one value
# for light and one for dark. Unlikely values, so that no colour map makes them by chance.
INK, FAINT, REAL, VIRTUAL, FLOOR, SIMPLE = (
    "#010203",
    "#010204",
    "#010205",
    "#010206",
    "#010207",
    "#010208",
)
_VARIABLES = {
    INK: "ink",
    FAINT: "faint",
    REAL: "real",
    VIRTUAL: "virtual",
    FLOOR: "floor",
    SIMPLE: "simple",
}
SIZE = (4.2, 2.9)
PIXELS_PER_POINT = 1.5
STYLE: Any = {
    "axes.edgecolor": FAINT,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.titlecolor": INK,
    "figure.facecolor": "none",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "image.cmap": "viridis",
    "legend.fontsize": 9,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "svg.fonttype": "none",  # text stays text: it can be read aloud, found and copied
    "svg.hashsalt": "virtlab",
    "text.color": INK,
    "text.parse_math": False,  # a name with dollar signs is a name
    "xtick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
}


def draw_svg(
    paint: Callable[..., None],
    alt: str,
    *,
    panels: tuple[int, int] = (1, 1),
    size: tuple[float, float] = SIZE,
    **axes: Any,
) -> str:
    """Paint on axes and return them as an ``<svg>`` element.

    Parameters
    ----------
    paint
        Called with the axes: one, or an array of them for several panels.
    alt
        What is seen, in words.
    panels
        Rows and columns.
    size
        Inches.
    axes
        Options of ``Figure.subplots``.
    """
    import io

    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(), _quietly():
        matplotlib.rcdefaults()  # a user's own style must not change the bytes
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure.subplots(*panels, **axes))
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return _embed(file.getvalue(), alt)


@contextmanager
def _quietly() -> Iterator[None]:
    """Names in any script are drawn by the browser: what matplotlib's font lacks is no loss."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def _embed(svg: str, alt: str) -> str:
    """Cut what only a file needs, and let the page choose the colours."""
    from markupsafe import escape

    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    box = re.search(r'viewBox="([^"]*)"', body)
    assert box is not None
    inner = body[body.index(">") + 1 :]
    inner = inner.replace("xlink:href", "href")
    # Names that nothing refers to would stand twice in a page of several figures.
    inner = re.sub(r'<g id="[^"]*"', "<g", inner)
    # The page's own font, so that a figure reads like the text around it.
    inner = re.sub(r"'?DejaVu Sans'?[^;\"]*sans-serif|'?DejaVu Sans'?", "sans-serif", inner)
    for color, name in _VARIABLES.items():
        inner = inner.replace(color, f"var(--{name})")
    widest = PIXELS_PER_POINT * float(box[1].split()[2])  # beyond, its text outgrows the page's
    style = f"max-width: {widest:.0f}px"
    return f'<svg role="img" aria-label="{escape(alt)}" style="{style}" viewBox="{box[1]}">{inner}'


def name_axes(axes: Axes, x: str, y: str, title: str = "") -> None:
    """Label both axes, shortened where a name is too long for a figure."""
    axes.set_xlabel(short(x))
    axes.set_ylabel(short(y))
    if title:
        axes.set_title(short(title), loc="left")


def slant_labels(axes: Axes) -> None:
    """Turn the labels below an axis, where they are too long to stand side by side."""
    axes.tick_params(axis="x", labelrotation=45)
    for label in axes.get_xticklabels():
        label.set_horizontalalignment("right")
        label.set_rotation_mode("anchor")


def short(text: str, most: int = 44) -> str:
    """Cut a text that would not fit."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"
