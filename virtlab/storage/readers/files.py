"""The reader ``files``: one file per setting, or one file per trial.

A parameter that is a single value, in an attribute or a dataset, holds for all of its file's
trials; a measurement without a trial axis is its file's only trial.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from virtlab.config import Experiment
from virtlab.plugins import RawTrials, Reader
from virtlab.storage.readers.table import read_parts, read_rows


def _read(path: Path, experiment: Experiment) -> RawTrials:
    return read_rows(path, experiment, one_trial=True)


def _parts(path: Path, experiment: Experiment, most_bytes: int) -> Iterator[RawTrials]:
    return read_parts(path, experiment, most_bytes, one_trial=True)


reader = Reader(
    "files", "one file per setting, with parameters constant in it, or per trial", _read, _parts
)
