"""Finds plugins by entry point and loads one by name; what a reader is."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from virtlab.conditioning import Conditioner
from virtlab.config import Experiment
from virtlab.errors import PluginError

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
    start
        Row within the file of the first of these trials: 0 unless they are a later part of it.
    weights
        What ``data.weights`` names, as a parameter; None where the experiment has none.
    """

    parameters: Mapping[str, RawArray]
    measurements: Mapping[str, RawArray]
    coords: Mapping[str, RawArray] = field(default_factory=dict)
    start: int = 0
    weights: RawArray | None = None


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
    parts
        ``parts(path, experiment, most_bytes)`` yields the same trials in the same order, about
        so many bytes at a time, for data that memory does not hold. None: `read` reads each file
        whole, and memory has to hold the largest.
    """

    name: str
    about: str
    read: Callable[[Path, Experiment], RawTrials]
    parts: Callable[[Path, Experiment, int], Iterator[RawTrials]] | None = None


@dataclass(frozen=True)
class PluginInfo:
    """What ``virtlab plugins`` says of one entry point.

    Parameters
    ----------
    group
        `CONDITIONERS` or `READERS`.
    name
        What experiment.toml calls it.
    distribution, version
        The installed package that it comes from.
    about
        Its own sentence; empty if it cannot be loaded.
    error
        Why it cannot be used; empty if it can.
    """

    group: str
    name: str
    distribution: str
    version: str
    about: str = ""
    error: str = ""


P = TypeVar("P", Conditioner, Reader)

_WORDS = {CONDITIONERS: "conditioner", READERS: "reader"}


def conditioner(name: str) -> Conditioner:
    """Load the conditioner of that name.

    Raises
    ------
    PluginError
        It is missing, claimed by two distributions, or cannot be loaded.
    """
    return _load(_find(CONDITIONERS, name), Conditioner)


def reader(name: str) -> Reader:
    """Load the reader of that name.

    Raises
    ------
    PluginError
        It is missing, claimed by two distributions, or cannot be loaded.
    """
    return _load(_find(READERS, name), Reader)


def installed() -> list[PluginInfo]:
    """Describe every plugin; one that cannot be loaded says why and hides no other."""
    return [
        _describe(point, points, kind)
        for points, kind in ((_points(CONDITIONERS), Conditioner), (_points(READERS), Reader))
        for point in points
    ]


def _describe(
    point: metadata.EntryPoint, points: list[metadata.EntryPoint], kind: Any
) -> PluginInfo:
    about = error = ""
    try:
        about = _load(_only(point.group, point.name, points), kind).about
    except PluginError as fault:
        error = str(fault)
    return PluginInfo(point.group, point.name, *_origin(point), about, error)


def distribution_of(group: str, name: str) -> tuple[str, str]:
    """Return the distribution that a plugin comes from, and its version.

    Raises
    ------
    PluginError
        The plugin is missing or claimed by two distributions.
    """
    return _origin(_find(group, name))


def check_version(name: str, distribution: str, version: str) -> None:
    """See that conditioner `name` is the one that a model was trained with.

    Versions with the same major and minor number are interchangeable.

    Raises
    ------
    PluginError
        The conditioner is missing, or another distribution's, or of another version.
    """
    found, found_version = distribution_of(CONDITIONERS, name)
    same_name = _normal(found) == _normal(distribution)
    if same_name and _minor(found_version) == _minor(version):
        return
    pinned = ".".join([*_minor(version), "0"])
    raise PluginError(
        f"conditioner {name!r}: the model was trained with {distribution} {version}, "
        f"installed is {found} {found_version}; install the model's version "
        f"(pip install '{distribution}~={pinned}') or train again"
    )


def _points(group: str) -> list[metadata.EntryPoint]:
    """List a group's entry points by name; those that say the same of one package once."""
    unique = {
        (point.name, point.value, _normal(_origin(point)[0])): point
        for point in metadata.entry_points(group=group)
    }
    return sorted(unique.values(), key=lambda point: (point.name, _origin(point)))


def _find(group: str, name: str) -> metadata.EntryPoint:
    """Find the one entry point of that name, without loading it."""
    points = _points(group)
    known = sorted({point.name for point in points})
    if name in known:
        return _only(group, name, points)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? Installed" if near else "installed"
    raise PluginError(
        f"no {_WORDS[group]} {name!r} is installed; {hint} are {', '.join(known) or 'none'}. "
        f"If it is a plugin: pip install virtlab-{_normal(name)}"
    )


def _only(group: str, name: str, points: list[metadata.EntryPoint]) -> metadata.EntryPoint:
    """Refuse a name claimed twice: which comes first depends on the order of sys.path."""
    found = [point for point in points if point.name == name]
    if len(found) == 1:
        return found[0]
    raise PluginError(
        f"{_WORDS[group]} {name!r} is claimed by {len(found)} distributions: "
        f"{', '.join(' '.join(_origin(point)) for point in found)}; "
        "uninstall all but one (pip uninstall …)"
    )


def _load(point: metadata.EntryPoint, kind: type[P]) -> P:
    """Load one plugin; whatever its code does while it is imported becomes a `PluginError`."""
    what = f"{_WORDS[point.group]} {point.name!r} of {' '.join(_origin(point))}"
    try:
        plugin = point.load()
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"{what} cannot be loaded: {type(error).__name__}: {error}; "
            "reinstall or uninstall that package"
        ) from error
    if not isinstance(plugin, kind):
        raise PluginError(
            f"{what}: {point.value} is a {type(plugin).__name__}, "
            f"expected a virtlab.{kind.__name__}; tell the plugin's author"
        )
    if plugin.name != point.name:
        raise PluginError(
            f"{what}: {point.value} calls itself {plugin.name!r}; tell the plugin's author"
        )
    return plugin


def _origin(point: metadata.EntryPoint) -> tuple[str, str]:
    return ("unknown", "0") if point.dist is None else _named(point.dist)


@cache
def _named(distribution: metadata.Distribution) -> tuple[str, str]:
    """Name and version, which are parsed anew whenever they are asked for."""
    return distribution.name, distribution.version


def _normal(name: str) -> str:
    """Write a distribution's name as package indexes compare it."""
    return name.lower().replace("_", "-").replace(".", "-")


def _minor(version: str) -> list[str]:
    """Return the major and minor number of a version."""
    return [*re.findall(r"\d+", version), "0", "0"][:2]
