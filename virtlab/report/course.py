"""A backtest as a picture, a page or JSON: what was found, by settings known."""

from __future__ import annotations

import importlib.util
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.config import Experiment, Params
from virtlab.errors import ConfigError, OutputError
from virtlab.finite import finite
from virtlab.modelfile import replace_whole
from virtlab.progress import Report
from virtlab.report.drawing import FAINT, REAL, SIMPLE, VIRTUAL, draw_svg
from virtlab.report.page import SUFFIXES as PAGES
from virtlab.report.page import check_report, fill
from virtlab.report.sections import make_figure
from virtlab.report.together import Table
from virtlab.screening import Game, backtest
from virtlab.screening.course import Course, check_course
from virtlab.screening.output import CSV, JSON, check_place

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PICTURES = (".svg", ".png")
TEMPLATE = "course.html"
SIZE = (8.4, 3.4)
COLORS = ("#b5402a", "#23628f", "#8a8a8a")
PAGE_COLORS = (REAL, VIRTUAL, SIMPLE)
MARKS = ("o", "s", "^")
OWN = b'{"backtest": '
"""How a JSON of this room begins."""


def backtest_to_files(
    experiment: Experiment,
    params: Params,
    game: Game,
    *,
    output: Sequence[Path] = (),
    resume: bool = False,
    force: bool = False,
    report: Report | None = None,
) -> Course:
    """Play virtlab against baselines on a lab's own trials, and write how it went.

    Parameters
    ----------
    output
        Names that end in ``.csv`` (every step, as soon as it was played: one at most),
        ``.json``, ``.html``, ``.svg`` or ``.png``.
    experiment, params, game, resume, force, report
        See `virtlab.screening.backtest`.

    Raises
    ------
    VirtlabError
        As `virtlab.screening.backtest` does, or an output cannot be written.
    """
    tables = [path for path in output if path.suffix == CSV]
    if len(tables) > 1:
        raise ConfigError(f"output: expected one name that ends in {CSV}, found {len(tables)}")
    if resume and not tables:
        raise ConfigError(f"--resume goes on with a {CSV}: name it with -o")
    for path in output:
        _check(path)(path, force=force or resume)
    found = backtest(
        experiment,
        params,
        game,
        output=tables[0] if tables else None,
        resume=resume,
        force=force,
        report=report,
    )
    for path in output:
        if path.suffix in PICTURES:
            draw_course(found, path)
        elif path.suffix.lower() in PAGES:
            replace_whole(path, render_course(found).encode(errors="replace"))
        elif path.suffix == JSON:
            replace_whole(path, json_text(found).encode())
    return found


def json_text(course: Course) -> str:
    """Everything that was played, and the quartiles."""
    return json.dumps({"backtest": finite(course.to_dict())}, allow_nan=False) + "\n"


def render_course(course: Course) -> str:
    """A backtest as one self-contained HTML page."""
    lines = course.lines()
    alt = f"Best found, and what it is short of, by settings known. {' '.join(lines)}"

    def paint(axes: Any) -> None:
        _paint_both(axes, course, PAGE_COLORS)

    figure = make_figure(
        draw_svg(paint, alt, panels=(1, 2), size=SIZE),
        "Medians over seeds, and quartiles as bands.",
        wide=True,
    )
    heads, *rows = course.rows() or [[]]
    found = {
        "title": course.goal,
        "about": lines[0],
        "figure": figure,
        "table": Table("Best found, what it is short of [quartiles]", heads, rows)
        if rows
        else None,
        "said": lines[-len(course.policies) :] if rows else lines[1:],
        "provenance": [("sha256 of the lab's trials", course.data), ("played", course.game)],
    }
    return fill(TEMPLATE, found)


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
        _paint_both(figure.subplots(1, 2), course, COLORS)
        figure.suptitle(f"{course.goal}: {course.size:,} settings, {len(course.seeds)} seeds")
        file = io.BytesIO()
        metadata = {"Date": None} if svg else {"Software": None}
        figure.savefig(file, format=path.suffix[1:], metadata=metadata, dpi=150)
    replace_whole(path, file.getvalue())


def _paint_both(axes: Any, course: Course, colors: Sequence[str]) -> None:
    best, regret = axes
    _paint(best, course, "best", colors)
    _paint(regret, course, "regret", colors)
    best.axhline(course.winner, color=FAINT if colors is PAGE_COLORS else "black", lw=0.8, ls="--")
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


def _paint(axes: Axes, course: Course, name: str, colors: Sequence[str]) -> None:
    known = course.known()
    if course.seeds:
        for policy, color, mark in zip(course.policies, colors, MARKS, strict=False):
            values = course.values(policy, name)
            low, middle, high = np.nanquantile(values, (0.25, 0.5, 0.75), axis=0)
            axes.fill_between(known, low, high, color=color, alpha=0.15, lw=0)
            axes.plot(known, middle, color=color, marker=mark, ms=4, label=policy)
    axes.set_xlabel("settings known")
    axes.spines[["top", "right"]].set_visible(False)


def _check(path: Path) -> Callable[..., None]:
    """How an output of this suffix is checked before anything is played."""
    if path.suffix == CSV:
        return check_course
    if path.suffix.lower() in PAGES:
        return check_report
    return _check_picture if path.suffix in PICTURES else _check_json


def _check_picture(path: Path, *, force: bool) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        raise OutputError("a picture needs matplotlib: pip install 'virtlab[report]'")
    check_place(path, "picture", lambda _path: True, force=force)


def _check_json(path: Path, *, force: bool) -> None:
    if path.suffix != JSON:
        raise ConfigError(
            f"output {str(path)!r}: expected a name that ends in {CSV}, {JSON}, .html, .svg or "
            f".png, found {path.suffix or 'no suffix'!r}"
        )
    check_place(path, "backtest", _is_own, force=force)


def _is_own(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(OWN)) == OWN
