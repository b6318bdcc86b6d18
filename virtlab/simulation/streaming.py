"""Draws a design region by region while the regions before are compressed and written."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from virtlab.progress import Progress, Report
from virtlab.simulation.drawing import Drawer
from virtlab.simulation.summary import Sample
from virtlab.storage.output import Writer
from virtlab.storage.template import Region, Template


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

    Memory holds one region that is drawn and one that is compressed, whatever the whole takes.

    Raises
    ------
    OSError, OutputError
        A region cannot be written.
    """
    pace, begun = Pace(len(template.regions), tell), None
    for region in template.regions:
        settings, trials = template.regions.settings(region), trials_of(region)
        if writer.holds(region):
            look(drawer, settings, trials, sample)
            pace.skip()
            continue
        drawn = drawer.draw(settings, trials, pace.within)
        if begun is not None:
            writer.finish(begun)
        begun = writer.begin(region, shaped(drawn, region), pool)
        sample.add(settings, trials, drawn)
        pace.step()
    if begun is not None:
        writer.finish(begun)


def look(drawer: Drawer, settings: range, trials: range, sample: Sample) -> None:
    """Draw anew what the sample takes of a region that somebody else wrote."""
    some = sample.wanted(trials)
    if some:
        sample.add(settings, some, drawer.draw(settings, some))


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

    def step(self) -> None:
        """One region more is drawn."""
        self._done += 1
        self.within(0.0)

    def within(self, part: float) -> None:
        """So much of the present region is drawn."""
        done = self._done + part
        left = self._total - self._skipped - done
        seconds = (self._clock() - self._start) / done * left if done else None
        fraction = min(1.0, (self._skipped + done) / self._total)
        self._tell(Progress("simulating", fraction, seconds_left=seconds))
