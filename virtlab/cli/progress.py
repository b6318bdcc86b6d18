"""Progress on stderr: a bar on a terminal, now and then a plain line elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import click

from virtlab.cli.noise import without_library_noise
from virtlab.cli.output import plain, say

if TYPE_CHECKING:
    from virtlab.progress import Progress

Report = Callable[["Progress"], None]

LINE_EVERY = 5.0
"""Seconds between plain lines of one stage."""


@contextmanager
def showing(first: str, *, quiet: bool) -> Iterator[Report | None]:
    """Show `first` at once, then every `Progress` that the yielded function is given.

    Parameters
    ----------
    first
        What is being done before the work itself can report: it has slow imports ahead.
    quiet
        Show nothing; yields None.
    """
    context = click.get_current_context(silent=True)
    debug = context is not None and bool(context.find_root().obj)
    with nullcontext() if debug else without_library_noise():
        if quiet:
            yield None
        elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            with _bar(first) as report:
                yield report
        else:
            yield _lines(first)


def _lines(first: str, clock: Callable[[], float] = time.monotonic) -> Report:
    """Write a line at each change of stage, and at most one per `LINE_EVERY` seconds between."""
    say(first)
    start = clock()
    last_stage, last_time = "", start

    def report(progress: Progress) -> None:
        nonlocal last_stage, last_time
        if progress.note:
            say(f"note: {progress.note}")
            return
        now = clock()
        if progress.stage == last_stage and now - last_time < LINE_EVERY:
            return
        last_stage, last_time = progress.stage, now
        parts = [f"{progress.stage} {progress.fraction:.0%}", _message(progress), _score(progress)]
        parts += [f"after {duration(now - start)}", _left(progress)]
        say(", ".join(part for part in parts if part))

    return report


@contextmanager
def _bar(first: str) -> Iterator[Report]:
    """Draw one line over and over: stage, percent, held-out score, elapsed, time left."""
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    def text(column: str) -> TextColumn:  # markup off: names and messages are other people's
        return TextColumn(column, markup=False)

    columns = (
        text("{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        text("{task.fields[score]}"),
        TimeElapsedColumn(),
        text("{task.fields[left]}"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(plain(first), total=None, score="", left="")

        def report(progress: Progress) -> None:
            if progress.note:
                bar.console.print(plain(f"note: {progress.note}"), markup=False, highlight=False)
                return
            what = " ".join(filter(None, (progress.stage, _message(progress))))
            bar.update(
                task,
                description=plain(what),
                total=1.0,
                completed=progress.fraction,
                score=_score(progress),
                left=_left(progress),
            )

        yield report


def _message(progress: Progress) -> str:
    """Say no word twice: stage and message may begin with the same."""
    return (progress.message or "").removeprefix(f"{progress.stage} ")


def _score(progress: Progress) -> str:
    return "" if progress.score is None else f"held-out score {progress.score:.3f}"


def _left(progress: Progress) -> str:
    return "" if progress.seconds_left is None else f"{duration(progress.seconds_left)} left"


def duration(seconds: float) -> str:
    """Write seconds for people: ``9 s``, ``3 min 05 s``, ``2 h 10 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
