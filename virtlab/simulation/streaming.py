"""Draws and compresses a design's regions side by side, a core each, and writes them in order."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future, wait
from itertools import islice
from typing import Any, NamedTuple

from virtlab.progress import Progress, Report
from virtlab.runtime import cores
from virtlab.simulation.drawing import Drawer
from virtlab.simulation.summary import Piece, Sample
from virtlab.storage.output import Writer
from virtlab.storage.template import Region, Template

SECONDS_BETWEEN = 0.1  # two looks at how far the threads are


class _Filled(NamedTuple):
    """A region that was drawn."""

    piece: Piece
    packed: Any
    held: bool  # it was there already


def stream(
    drawer: Drawer,
    template: Template,
    writer: Writer,
    sample: Sample,
    *,
    pool: Executor,
    tell: Report,
) -> None:
    """Draw and write every region that is not there yet.

    Memory holds two regions per core, whatever the whole takes: one that is drawn, and one that
    waits for its turn to be written.

    Raises
    ------
    OSError, OutputError
        A region cannot be written.
    """
    pace = Pace(len(template.regions), tell)
    parts: dict[int, float] = {}
    given_up = threading.Event()

    def fill(number: int, region: Region) -> _Filled:
        def drawn_so_far(part: float) -> None:
            parts[number] = part
            if given_up.is_set():
                raise CancelledError

        settings, trials = template.regions.settings(region), trials_of(region)
        if writer.holds(region):
            return _Filled(look(drawer, settings, trials, sample), None, held=True)
        drawn = drawer.draw(settings, trials, drawn_so_far)
        packed = writer.pack(region, shaped(drawn, region))
        return _Filled(sample.take(settings, trials, drawn), packed, held=False)

    todo, waiting = enumerate(template.regions), deque[tuple[int, Future[_Filled]]]()
    try:
        while True:
            for number, region in islice(todo, 2 * cores() - len(waiting)):
                parts[number] = 0.0  # here, so that threads never add to what is summed
                waiting.append((number, pool.submit(fill, number, region)))
            if not waiting:
                return
            number, future = waiting.popleft()
            while wait([future], SECONDS_BETWEEN).not_done:
                pace.within(sum(parts.values()))
            filled = future.result()
            sample.add(filled.piece)
            del parts[number]
            if filled.held:
                pace.skip()
                continue
            writer.write(filled.packed)
            pace.step(sum(parts.values()))
    finally:
        given_up.set()


def look(drawer: Drawer, settings: range, trials: range, sample: Sample) -> Piece:
    """Draw anew what the sample takes of a region that somebody else wrote."""
    some = sample.wanted(trials)
    return sample.take(settings, some, drawer.draw(settings, some)) if some else {}


def shaped(drawn: dict[str, Any], region: Region) -> dict[str, Any]:
    """What was drawn, with the dims of the settings apart: ``(*settings, trial, *own dims)``."""
    lengths = tuple(part.stop - part.start for part in region)
    return {name: values.reshape(*lengths, *values.shape[2:]) for name, values in drawn.items()}


def trials_of(region: Region) -> range:
    """Trials of a region."""
    return range(region[-1].start, region[-1].stop)


class Pace:
    """How far the work is, and how long the rest takes at the pace so far.

    Parameters
    ----------
    total
        Number of regions.
    tell
        Called with `Progress`.
    clock
        Seconds.
    """

    def __init__(
        self, total: int, tell: Report, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total, self._tell, self._clock = total, tell, clock
        self._skipped = self._done = 0
        self._start = clock()

    def skip(self) -> None:
        """One region was there already."""
        self._skipped += 1

    def step(self, beside: float = 0.0) -> None:
        """One region more is done, and so much of others."""
        self._done += 1
        self.within(beside)

    def within(self, beside: float) -> None:
        """So much of regions that are not done is drawn, in regions."""
        done = self._done + beside
        left = self._total - self._skipped - done
        seconds = (self._clock() - self._start) / done * left if done else None
        fraction = min(1.0, (self._skipped + done) / self._total)
        self._tell(Progress("simulating", fraction, seconds_left=seconds))
