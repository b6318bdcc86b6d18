"""Trials that memory does not hold: a sample of them, and a way through all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from virtlab.config import Experiment
from virtlab.errors import DataError
from virtlab.storage.digest import Digest
from virtlab.storage.joining import Joined, check_trials
from virtlab.storage.lab import Told, find_files, finished, raw_trials
from virtlab.storage.quantities import quantities_of
from virtlab.storage.sample import Sample, picked
from virtlab.trials import TRIAL

Keep = Callable[[xr.Dataset], NDArray[np.bool_]]

PARTS = 16  # of the memory granted: read at a time
SHARE = 8  # of the memory granted: for the sample


@dataclass(frozen=True)
class LargeTrials:
    """Trials that are read part by part, each time they are needed.

    Parameters
    ----------
    experiment
        Whose lab files they are.
    paths
        The files.
    memory
        Bytes granted to trials.
    sample
        Some thousand trials drawn at random, as `virtlab.open_trials` gives them; those with the
        least or greatest value of a variable, and one of each category, are among them. Counts
        in attrs (``missing``, ``dropped_trials``) speak of all trials.
    trials
        How many there are in all.
    digest
        The `virtlab.storage.data_digest` of all.
    keep
        Tells which of some trials are meant; None: all. The rest is as if it were not there.
    left_out
        How many those are.
    """

    experiment: Experiment
    paths: list[Path]
    memory: int
    sample: xr.Dataset
    trials: int
    digest: str
    keep: Keep | None = None
    left_out: int = 0

    def parts(self) -> Iterator[xr.Dataset]:
        """Yield all trials, in the files' order, some at a time."""
        for part in _parts(self.experiment, self.paths, self.memory):
            kept = _kept(part, self.keep)
            if kept.sizes[TRIAL] or self.keep is None:
                yield kept


def open_within(
    experiment: Experiment,
    memory: int,
    *,
    seed: int,
    report: Told | None = None,
    keep: Keep | None = None,
) -> xr.Dataset | LargeTrials:
    """Read all trials of an experiment into memory, or else see what they are.

    Parameters
    ----------
    experiment
        An experiment.
    memory
        Bytes that the trials' values (8 each) may take.
    seed
        Draws the sample of trials that take more.
    report
        Called as ``report(message, fraction)`` now and then.
    keep
        Tells which trials of some are meant, where they do not fit; see `LargeTrials`.

    Returns
    -------
    trials
        As `virtlab.open_trials` gives them, where they fit.

    Raises
    ------
    DataError, PluginError
        As `virtlab.open_trials`.
    """
    paths = find_files(experiment)
    joined = Joined(quantities_of(experiment))
    for raw, path in raw_trials(experiment, paths, most_bytes=memory // PARTS, report=report):
        joined.add(raw, experiment, str(path))
        if joined.nbytes > memory:
            break
    else:
        return finished(joined.dataset(experiment), paths, report)
    del joined, raw
    return _looked_through(experiment, paths, memory, seed, report, keep)


def _looked_through(
    experiment: Experiment,
    paths: list[Path],
    memory: int,
    seed: int,
    report: Told | None,
    keep: Keep | None,
) -> LargeTrials:
    """Read all trials once: count, hash, sample."""
    digest, count, left_out = Digest(), 0, 0
    sample = Sample(memory // SHARE, np.random.default_rng([seed, 0]))
    for part in _parts(experiment, paths, memory, report):
        kept = _kept(part, keep)
        left_out += part.sizes[TRIAL] - kept.sizes[TRIAL]
        count += kept.sizes[TRIAL]
        if kept.sizes[TRIAL] or keep is None:
            digest.add(kept)
            sample.add(kept)
    if keep is not None and not count:
        raise DataError(f"{experiment.path.name}: none of its {left_out:,} trials is chosen")
    drawn = sample.dataset()
    check_trials(drawn, experiment, str(paths[0]))
    if report is not None:
        files = f"{len(paths)} file{'s' * (len(paths) > 1)}"
        report(f"read {count:,} trials from {files}, part by part", 1.0)
    return LargeTrials(experiment, paths, memory, drawn, count, digest.hexdigest(), keep, left_out)


def _kept(trials: xr.Dataset, keep: Keep | None) -> xr.Dataset:
    return trials if keep is None else picked(trials, np.flatnonzero(keep(trials)))


def _parts(
    experiment: Experiment, paths: list[Path], memory: int, report: Told | None = None
) -> Iterator[xr.Dataset]:
    """Yield the trials that can be learned from, some at a time."""
    most_bytes = memory // PARTS
    joined = Joined(quantities_of(experiment))
    for raw, path in raw_trials(experiment, paths, most_bytes=most_bytes, report=report):
        joined.add(raw, experiment, str(path))
        del raw
        trials = finished(joined.part(experiment), paths, None)
        count = trials.sizes[TRIAL]
        # A reader that knows whole files only has given more than was asked for.
        pieces = max(1, round(trials.nbytes / max(most_bytes, 1)))
        step = max(1, -(-count // pieces))
        for start in range(0, max(count, 1), step):
            yield picked(trials, slice(start, start + step))
