"""Lab HDF5 files: opening one, and finding what a path in it names.

A path is walked link by link, because HDF5 itself would follow a link into any other file
that this process may read.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py

from virtlab.errors import DataError

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_MOST_HOPS = 64
_CHUNK_CACHE = 32 * 2**20  # columns of one table share its chunks: decompress each only once


class NoSuchPath(DataError):
    """Nothing stands at a path."""


@dataclass(frozen=True)
class Address:
    """What a path names: an object, one of its attributes, or one of its columns."""

    item: h5py.Group | h5py.Dataset
    attribute: str | None = None
    column: str | None = None

    @property
    def text(self) -> str:
        """The path, written in full."""
        mark = "@" if self.attribute is not None else ":" if self.column is not None else ""
        return f"{self.item.name}{mark}{self.attribute or self.column or ''}"


@contextmanager
def open_lab_file(path: Path) -> Iterator[h5py.File]:
    """Open a lab file for reading only.

    Raises
    ------
    DataError
        The file is missing, empty, no HDF5, truncated, in use, or may not be read.
    """
    check_lab_file(path)
    try:
        file = h5py.File(path, "r", locking="best-effort", rdcc_nbytes=_CHUNK_CACHE)
    except OSError as error:
        raise DataError(f"{path}: {_why_not_opened(error)}") from error
    with file:
        yield file


def check_lab_file(path: Path) -> None:
    """Refuse what is no HDF5 file at first sight.

    Raises
    ------
    DataError
        See `open_lab_file`.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if path.is_dir():
        raise DataError(f"{path}: found a folder, expected an HDF5 file")
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if not start:
        raise DataError(f"{path}: the file is empty (0 bytes), expected an HDF5 file")
    if start != _SIGNATURE and not h5py.is_hdf5(path):
        raise DataError(f"{path}: not an HDF5 file (it starts with {start!r})")


def _why_not_opened(error: OSError) -> str:
    text = str(error)
    if "truncated" in text:
        return "the file is truncated: it is shorter than it says of itself; copy it again"
    if isinstance(error, BlockingIOError) or "lock" in text:
        return "another program is writing this file; close it there and try again"
    return f"the HDF5 file is damaged or truncated and cannot be opened ({text})"


def place(item: h5py.Group | h5py.Dataset) -> str:
    """Give the file's name, to begin a message with."""
    return str(item.file.filename)


def nearest(name: str, known: Iterable[str]) -> str:
    """Text to end a message about an unknown name: the nearest known one, and what there is."""
    names = [str(each) for each in known]
    if not names:
        return "; it holds nothing"
    listed = ", ".join(names[:12]) + (f", … ({len(names)} in all)" if len(names) > 12 else "")
    close = difflib.get_close_matches(name, names, n=1)
    return f" (it holds: {listed})" + (f"; did you mean {close[0]!r}?" if close else "")


def find(base: h5py.Group, path: str) -> h5py.Group | h5py.Dataset:
    """Find a group or dataset; a path with a leading slash starts at the file's root.

    Raises
    ------
    NoSuchPath
        Nothing stands there; the message says how far the path exists.
    DataError
        The way leads through a link to another file, in a circle, or through damage.
    """
    here = base.file["/"] if path.startswith("/") else base
    parts = deque(_split(path))
    hops = 0
    while parts:
        part = parts.popleft()
        if not isinstance(here, h5py.Group):
            raise NoSuchPath(f"{place(base)}: no {path!r}: {here.name!r} is a dataset, not a group")
        link = _link(here, part, path)
        if isinstance(link, h5py.SoftLink):
            hops += 1
            if hops > _MOST_HOPS:
                raise DataError(f"{place(base)}: {path!r}: its soft links lead in a circle")
            here = here.file["/"] if link.path.startswith("/") else here
            parts.extendleft(reversed(_split(link.path)))
            continue
        here = _step(here, part, path)
    return here


def _split(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _link(group: h5py.Group, part: str, path: str) -> object:
    """Get the link of that name, unless it is missing or leads out of the file."""
    try:
        link = group.get(part, getlink=True)
    except (TypeError, RuntimeError, OSError) as error:
        raise DataError(f"{place(group)}: {path!r}: link {part!r} is unreadable") from error
    if link is None:
        raise NoSuchPath(
            f"{place(group)}: no {path!r}: {group.name!r} has no {part!r}{nearest(part, group)}"
        )
    if isinstance(link, h5py.ExternalLink):
        raise DataError(
            f"{place(group)}: {path!r}: {part!r} is a link into another file "
            f"({link.filename!r}); name that file in [data] files instead"
        )
    return link


def _step(group: h5py.Group, part: str, path: str) -> h5py.Group | h5py.Dataset:
    try:
        item = group[part]
    except (KeyError, RuntimeError, OSError) as error:
        raise DataError(f"{place(group)}: {path!r}: {part!r} is damaged ({error})") from error
    if not isinstance(item, h5py.Group | h5py.Dataset):
        raise DataError(
            f"{place(group)}: {path!r}: {part!r} is a named type, expected a group or dataset"
        )
    return item


def locate(base: h5py.Group, path: str) -> Address:
    """Find what ``dataset``, ``object@attribute`` or ``table:column`` names.

    Names in HDF5 may hold ``@`` and ``:`` themselves, so the whole path is tried first, then
    the parts before each mark.

    Raises
    ------
    NoSuchPath, DataError
        See `find`.
    """
    try:
        return Address(find(base, path))
    except NoSuchPath as error:
        failure = error
    marks = [i for i, letter in enumerate(path) if letter in "@:"]
    for number, i in enumerate(marks):
        try:
            item = find(base, path[:i])
        except NoSuchPath as error:
            failure = error if number == 0 else failure
            continue
        rest = path[i + 1 :]
        return Address(item, attribute=rest) if path[i] == "@" else Address(item, column=rest)
    raise failure


def match_groups(file: h5py.File, pattern: str) -> list[h5py.Group]:
    """All groups that a pattern such as ``/shots/*`` names, in natural order.

    Raises
    ------
    NoSuchPath
        No group matches; the message names the level that exists.
    """
    found: list[h5py.Group] = [file["/"]]
    for part in _split(pattern):
        if not any(letter in part for letter in "*?["):
            found = [find(group, part) for group in found]
        else:
            found = [find(group, name) for group in found for name in _matching(group, part)]
        groups = [item for item in found if isinstance(item, h5py.Group)]
        if not groups:
            raise NoSuchPath(f"{place(file)}: no group matches {pattern!r}: nothing at {part!r}")
        found = groups
    return found


def _matching(group: h5py.Group, pattern: str) -> Sequence[str]:
    names = fnmatch.filter(list(group), pattern)
    return sorted(names, key=_natural)


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key under which shot_2 comes before shot_10."""
    pieces = re.split(r"(\d+)", name)
    return [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in pieces if p]
