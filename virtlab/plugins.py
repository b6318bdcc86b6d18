"""Finds plugins by entry point and loads one by name; what a reader is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from virtlab.config import Experiment

CONDITIONERS = "virtlab.conditioners"
READERS = "virtlab.readers"


@dataclass(frozen=True)
class RawArray:
    """One parameter, measurement or coordinate as it stands in a lab file, not yet checked.

    Parameters
    ----------
    values
        As read: any dtype. Trials along the first axis; shape ``()`` or ``(1,)`` for a
        parameter that is the same in all of the file's trials.
    units
        What the file says, None where it says nothing.
    path
        Where in the file it stands, for messages.
    fill
        The file's own fill value, None where it has none.
    """

    values: NDArray[Any]
    units: str | None = None
    path: str = ""
    fill: Any = None


@dataclass(frozen=True)
class RawTrials:
    """The trials of one lab file, as read: the core checks, converts and joins them.

    Parameters
    ----------
    parameters, measurements
        By the experiment's names.
    coords
        By the measurements' own dims.
    """

    parameters: Mapping[str, RawArray]
    measurements: Mapping[str, RawArray]
    coords: Mapping[str, RawArray] = field(default_factory=dict)


@dataclass(frozen=True)
class Reader:
    """Turns one lab file into raw trials.

    Parameters
    ----------
    name
        What experiment.toml calls it.
    about
        One sentence for ``virtlab plugins``.
    read
        ``read(path, experiment)`` to `RawTrials`. Pure but for reading that one file, and
        never opens it for writing.
    """

    name: str
    about: str
    read: Callable[[Path, Experiment], RawTrials]
