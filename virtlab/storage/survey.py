"""What in a lab file could be a parameter, a measurement or an axis: facts, no decisions.

Values are looked at only as far as is needed to tell a setting from a result.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from virtlab.errors import DataError
from virtlab.storage.arrays import column_names, read_array, text
from virtlab.storage.hdf5 import find, open_lab_file
from virtlab.storage.tree import Node, every, tree_of

Hint = Literal["parameter", "measurement", "axis", "ignore", ""]

_WORDS: dict[str, Hint] = {
    **dict.fromkeys(("split", "splits", "fold", "folds", "train", "test"), "ignore"),
    **dict.fromkeys(("analysis", "fit", "fits", "fitted", "calibration", "snapshot"), "ignore"),
    **dict.fromkeys(("begintime", "endtime", "preparetime", "history", "log", "logs"), "ignore"),
    **dict.fromkeys(("parameter", "parameters", "param", "params", "setting"), "parameter"),
    **dict.fromkeys(("settings", "control", "controls", "input", "inputs"), "parameter"),
    **dict.fromkeys(("condition", "conditions", "setpoint", "setpoints", "sweep"), "parameter"),
    **dict.fromkeys(("factor", "factors", "independent", "composition", "recipe"), "parameter"),
    **dict.fromkeys(("measurement", "measurements", "measured", "result"), "measurement"),
    **dict.fromkeys(("results", "output", "outputs", "response", "responses"), "measurement"),
    **dict.fromkeys(("data", "target", "targets", "observable", "value"), "measurement"),
    **dict.fromkeys(("observables", "signals", "readout", "dependent"), "measurement"),
    **dict.fromkeys(("axes", "axis", "coords", "coordinates", "coord", "scales", "dims"), "axis"),
}
_MOST_VALUES = 1_000_000
_MOST_MEMBERS = 200  # of a family such as channel_0, channel_1, …


@dataclass(frozen=True)
class Series:
    """An array, a column or a field of a lab file.

    Parameters
    ----------
    path
        As experiment.toml names it.
    shape
        All axes.
    units
        What the file says.
    hint
        What the names around it say.
    text, whole
        Whether it holds text (or an enum, or booleans), or an integer type.
    table
        Path of the table whose column it is, ``""`` for a dataset.
    axes
        Paths of its axes as the file declares them, ``""`` where it does not.
    values
        One-dimensional ones whole, others a sample; empty where they cannot be read.
    """

    path: str
    shape: tuple[int, ...]
    units: str = ""
    hint: Hint = ""
    text: bool = False
    whole: bool = False
    table: str = ""
    axes: tuple[str, ...] = ()
    values: NDArray[np.generic] = field(default_factory=lambda: np.empty(0), repr=False)

    @property
    def name(self) -> str:
        """The last part of its path."""
        if self.table:
            return self.path[len(self.table) + 1 :]
        return self.path.rsplit("/", 1)[-1]

    @cached_property
    def distinct(self) -> NDArray[np.generic]:
        """Its different values, sorted, without NaN."""
        values = self.values.astype(str) if self.text else self.values
        found = np.unique(values)
        return found[np.isfinite(found)] if found.dtype.kind in "fc" else found

    @property
    def constant(self) -> bool:
        """Whether all its values are one."""
        return len(self.distinct) == 1

    @property
    def numbered(self) -> bool:
        """Whether it only counts the rows."""
        if self.text or len(self.values) < 3:
            return False
        return bool(np.array_equal(self.values - self.values[0], np.arange(len(self.values))))


@dataclass(frozen=True)
class Survey:
    """What one lab file, or one group of it, holds.

    Parameters
    ----------
    path
        The file.
    series
        Arrays with at least one axis longer than 1.
    single
        Path to the one value that stands there, as text: scalars and attributes.
    signals
        Series that the file itself declares as measured (NeXus), the default one first.
    faults
        Path to why it cannot be read.
    """

    path: Path
    series: tuple[Series, ...]
    single: dict[str, str]
    signals: tuple[Series, ...]
    faults: dict[str, str]
    root: Node = field(repr=False)


def survey(path: Path) -> Survey:
    """Look at a lab file.

    Raises
    ------
    DataError
        See `virtlab.storage.hdf5.open_lab_file`.
    """
    with open_lab_file(path) as file:
        root = tree_of(file, max_similar=_MOST_MEMBERS)
        faulty = every(root, lambda node: node.faulty)
        paths = _signal_paths(file, root)
        series = _series_below(file, root, paths)
    named = {each.path: each for each in series}
    return Survey(
        path,
        tuple(series),
        _single_values(root),
        tuple(named[signal] for signal in paths if signal in named),
        {node.path: node.note for node in faulty},
        root,
    )


def hint_of(path: str) -> Hint:
    """Guess a role from the names of the groups around something, the nearest first."""
    *groups, leaf = path.split("/")
    hints = [hint for hint in map(_word_hint, reversed(groups)) if hint]
    if "ignore" in hints or (not hints and _word_hint(leaf) == "ignore"):
        return "ignore"
    return hints[0] if hints else ""


def _word_hint(name: str) -> Hint:
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)]
    return next((_WORDS[word] for word in words if word in _WORDS), "")


def _series_below(file: h5py.File, root: Node, signals: dict[str, tuple[str, ...]]) -> list[Series]:
    found: list[Series] = []
    for node in every(root, lambda node: node.kind == "dataset" and not node.faulty):
        if node.same_as or not node.shape or max(node.shape) < 2:
            continue
        if hint_of(node.path) == "ignore":
            continue
        dataset = file[node.path]
        names = column_names(dataset) if len(node.shape) <= 2 else []
        if dataset.dtype.names and (len(node.shape) > 1 or not names):
            continue
        if names:
            labels = _column_labels(names)
            found += [
                _series(file, f"{node.path}:{label}", (node.shape[0],), table=node.path)
                for label in labels
            ]
        else:
            axes = signals.get(node.path) or _scales(dataset)
            found.append(_series(file, node.path, node.shape, units=node.units, axes=axes))
    return found


def _column_labels(names: Sequence[str]) -> list[str]:
    """Name columns without their unit in brackets, where that is still clear."""
    bare = [re.sub(r"\s*\([^()]*\)$", "", name) for name in names]
    return [short if short and bare.count(short) == 1 else name
            for short, name in zip(bare, names, strict=True)]  # fmt: skip


def _series(
    file: h5py.File,
    path: str,
    shape: tuple[int, ...],
    *,
    units: str = "",
    table: str = "",
    axes: tuple[str, ...] = (),
) -> Series:
    values: NDArray[np.generic] = np.empty(0)
    dtype = file[table or path].dtype
    try:
        if len(shape) == 1 and shape[0] <= _MOST_VALUES:
            raw = read_array(file, path)
            values, units = np.asarray(raw.values), units or raw.units or ""
        elif len(shape) > 1 and math.prod(shape[1:]) <= _MOST_VALUES:
            values = np.asarray(file[path][: _MOST_VALUES // max(1, math.prod(shape[1:]))])
    except (DataError, OSError, TypeError, ValueError):
        values = np.empty(0)  # described all the same; the reader will say what is wrong
    kind = values.dtype.kind if values.size else dtype.kind
    return Series(
        path,
        shape,
        units.strip(),
        hint_of(path),
        kind in "OSUb",
        kind in "iu",
        table,
        axes,
        values,
    )


def _scales(dataset: h5py.Dataset) -> tuple[str, ...]:
    """Read the axes that HDF5 itself attaches to a dataset."""
    try:
        names = tuple(dim[0].name if len(dim) else "" for dim in dataset.dims)
    except (RuntimeError, OSError, ValueError, KeyError):
        return ()
    return names if any(names) else ()


def _single_values(root: Node) -> dict[str, str]:
    """Collect scalars and attributes of groups, but for those about analyses."""
    found: dict[str, str] = {}
    for node in every(root, lambda node: node.kind in ("group", "dataset")):
        if hint_of(f"{node.path}/") == "ignore" or node.same_as:
            continue
        if node.value:
            found[node.path] = node.value
        if node.kind == "group":
            found |= {
                f"{node.path}@{name}": value
                for name, value in node.attributes.items()
                if not value.startswith("[")
            }
    return found


def _signal_paths(file: h5py.File, root: Node) -> dict[str, tuple[str, ...]]:
    """Find what NeXus declares as measured, each with the paths of its axes."""
    found: dict[str, tuple[str, ...]] = {}
    same = {node.path: node.same_as for node in every(root, lambda node: bool(node.same_as))}
    groups = every(root, lambda node: node.kind == "group" and node.nx_class == "NXdata")
    groups.sort(key=lambda node: not _is_default(file, node.path))
    for node in groups:
        names = [child.name for child in node.children if child.kind in ("dataset", "link")]
        signal = node.attributes.get("signal") or next(
            (child.name for child in node.children if "signal" in child.attributes), ""
        )
        if signal in names:
            axes = _nexus_axes(file, node, signal, names)
            here = f"{node.path}/{signal}"
            found.setdefault(same.get(here, here), tuple(same.get(axis, axis) for axis in axes))
    return found


def _is_default(file: h5py.File, path: str) -> bool:
    """Whether the chain of ``default`` attributes leads to a group."""
    here = "/"
    for _ in range(8):
        try:
            name = file[here].attrs.get("default")
        except KeyError:
            return False
        if name is None:
            break
        here = f"{here.rstrip('/')}/{text(name)}"
    return here == path


def _nexus_axes(file: h5py.File, node: Node, signal: str, names: list[str]) -> tuple[str, ...]:
    """List a path per axis of a signal, from ``axes`` old and new or from ``axis = 1``."""
    group = find(file, node.path)
    listed: list[str] = []
    for holder in (group, group[signal]):
        if "axes" in holder.attrs:
            raw = [text(each) for each in np.asarray(holder.attrs["axes"]).ravel()]
            listed = re.split(r"[:,]", raw[0].strip("[]")) if len(raw) == 1 else raw
            break
    if not listed:
        numbered = {
            child.attributes["axis"]: child.name
            for child in node.children
            if child.attributes.get("axis", "").isdecimal()
        }
        listed = [numbered.get(str(1 + i), "") for i in range(len(group[signal].shape))]
    return tuple(f"{node.path}/{name.strip()}" if name.strip() in names else "" for name in listed)
