"""A backtest as one picture: best found, and what it is short of, by settings known."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from virtlab.errors import ConfigError, OutputError
from virtlab.modelfile import replace_whole
from virtlab.screening.course import Course

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".svg", ".png")
SIZE = (8.4, 3.4)
COLORS = ("#b5402a", "#23628f", "#8a8a8a")
MARKS = ("o", "s", "^")


def check_picture(path: Path, *, force: bool = False) -> None:
    """Refuse a picture that cannot be drawn, before the work that it shows is done.

    Raises
    ------
    ConfigError, OutputError
        The suffix names no format, it is there already, or matplotlib is missing.
    """
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"picture {str(path)!r}: expected a name that ends in .svg or .png")
    if importlib.util.find_spec("matplotlib") is None:
        raise OutputError("a picture needs matplotlib: pip install 'virtlab[report]'")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: the folder {path.parent} does not exist; create it first")
    if path.is_dir():
        raise OutputError(f"{path} is a folder; choose another name")
    if path.exists() and not force:
        raise OutputError(f"{path} exists; use --force to replace it")


def draw_course(course: Course, path: Path) -> None:
    """Draw medians over seeds, and quartiles as bands, whole or not at all."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's own style must not change the bytes
        matplotlib.rcParams.update({"svg.hashsalt": "virtlab", "text.parse_math": False})
        figure = Figure(figsize=SIZE, layout="constrained")
        svg = path.suffix == ".svg"
        (FigureCanvasSVG if svg else FigureCanvasAgg)(figure)
        best, regret = figure.subplots(1, 2)
        for axes, name in ((best, "best"), (regret, "regret")):
            _paint(axes, course, name)
        best.axhline(course.winner, color="black", lw=0.8, ls="--")
        best.annotate(
            "best in the lab",
            (0.01, course.winner),
            xycoords=("axes fraction", "data"),
            xytext=(0, 3),
            textcoords="offset points",
        )
        best.set_ylabel("best found")
        regret.set_ylabel("short of the best by")
        regret.set_ylim(bottom=0)
        best.legend(frameon=False, loc="best")
        figure.suptitle(f"{course.goal}: {course.size:,} settings, {len(course.seeds)} seeds")
        file = io.BytesIO()
        metadata = {"Date": None} if svg else {"Software": None}
        figure.savefig(file, format=path.suffix[1:], metadata=metadata, dpi=150)
    replace_whole(path, file.getvalue())


def _paint(axes: Axes, course: Course, name: str) -> None:
    known = course.known()
    if course.seeds:
        for policy, color, mark in zip(course.policies, COLORS, MARKS, strict=False):
            values = course.values(policy, name)
            low, middle, high = np.nanquantile(values, (0.25, 0.5, 0.75), axis=0)
            axes.fill_between(known, low, high, color=color, alpha=0.15, lw=0)
            axes.plot(known, middle, color=color, marker=mark, ms=4, label=policy)
    axes.set_xlabel("settings known")
    axes.spines[["top", "right"]].set_visible(False)
