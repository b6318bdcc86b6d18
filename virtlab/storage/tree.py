"""What stands in a lab HDF5 file: a tree of plain descriptions, no data.

The walk is our own and bounded: ``visititems`` is slow on deep trees, follows nothing
that is broken, and stops at the first object that h5py cannot map. Here a fault belongs to
the object that has it, and the walk goes on.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import h5py

from virtlab.errors import DataError
from virtlab.storage.description import UNREADABLE, describe_attributes, describe_dataset
from virtlab.storage.hdf5 import find

MOST_OBJECTS = 20_000
MOST_DEPTH = 64
_MOST_NAMES = 100_000
_MOST_COMPARED = 2_000  # members of one family that are opened to see whether they are alike

Kind = Literal["group", "dataset", "named type", "link", "broken", "more"]


@dataclass
class Node:
    """One object or link of an HDF5 file.

    Parameters
    ----------
    path
        Where it stands.
    kind
        ``broken`` is a link to nothing or a damaged object; ``more`` stands for `count`
        siblings like the one before it.
    shape, dtype, units, storage, value
        Of a dataset, as text but for `shape`; `value` of a single small one only.
    attributes
        Name to text, without the units and the NeXus class.
    nx_class
        The NeXus class, of a group.
    note
        What is remarkable or wrong.
    faulty
        Whether the note tells of something that cannot be read.
    same_as
        The path under which the same object was described already, or a link's target.
    """

    path: str
    kind: Kind
    shape: tuple[int, ...] | None = None
    dtype: str = ""
    units: str = ""
    storage: str = ""
    value: str = ""
    nx_class: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    note: str = ""
    faulty: bool = False
    same_as: str = ""
    count: int = 1
    children: list[Node] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rsplit("/", 1)[-1] or "/"

    def to_dict(self) -> dict[str, Any]:
        """Return what is known, without what is empty, for JSON."""
        known = {key: value for key, value in vars(self).items() if value not in ("", {}, [], None)}
        if self.kind != "more":
            del known["count"]
        if not self.faulty:
            del known["faulty"]
        if self.children:
            known["children"] = [child.to_dict() for child in self.children]
        return known


@dataclass
class _Walk:
    """What a walk must remember: where it has been, and how much it has seen."""

    max_depth: int
    max_similar: int
    seen: dict[tuple[int, int], str] = field(default_factory=dict)
    objects: int = 0


def tree_of(file: h5py.File, *, max_depth: int | None = None, max_similar: int = 3) -> Node:
    """Describe every object of a file, once.

    Parameters
    ----------
    file
        Open for reading. Links into other files are not followed.
    max_depth
        Levels below the root to look into.
    max_similar
        Siblings with alike names (``shot_1``, ``shot_2``, …) and alike contents to describe
        before the others are only counted.

    Returns
    -------
    root
        The root group.

    Raises
    ------
    DataError
        The file is damaged at its root, or a name in it is no text.
    """
    walk = _Walk(min(max_depth or MOST_DEPTH, MOST_DEPTH), max(1, max_similar))
    root = Node("/", "group")
    try:
        waiting = deque([(file["/"], root, 0)])
        while waiting:  # nearest to the root first: if there is too much, the outline is complete
            group, node, depth = waiting.popleft()
            inside = _members(group, node, depth, walk)
            waiting.extend((member, child, depth + 1) for member, child in inside)
    except UNREADABLE as error:  # damage where no object is left that it could belong to
        raise DataError(f"{file.filename}: the file is damaged ({error}); copy it again") from error
    return root


def _members(
    group: h5py.Group, node: Node, depth: int, walk: _Walk
) -> list[tuple[h5py.Group, Node]]:
    """Describe a group and its members; return those that are groups to look into."""
    node.attributes, fault = describe_attributes(group)
    node.nx_class = node.attributes.pop("NX_class", "")
    if fault:
        node.note, node.faulty = fault, True
    if not _is_new(group, node, walk):
        return []
    try:
        total = len(group)
        names = list(islice(group, _MOST_NAMES))
    except (RuntimeError, OSError, UnicodeDecodeError) as error:
        node.note, node.faulty = f"its members cannot be listed ({error})", True
        return []
    if total and (depth >= walk.max_depth or walk.objects >= MOST_OBJECTS):
        why = "as deep as asked for" if depth >= walk.max_depth else "too many objects"
        node.note = f"{total} member{'s' * (total > 1)} not looked at: {why}"
        return []
    inside = []
    for name, count in _representatives(group, names, walk.max_similar):
        path = f"{node.path.rstrip('/')}/{name}"
        if count:
            node.children.append(Node(path, "more", count=count))
            continue
        walk.objects += 1
        child, item = _member(group, name, path)
        node.children.append(child)
        if isinstance(item, h5py.Group):
            inside.append((item, child))
        elif isinstance(item, h5py.Dataset):
            _is_new(item, child, walk)
    if total > len(names):
        node.children.append(Node(f"{node.path}/…", "more", count=total - len(names)))
    return inside


def _is_new(item: h5py.Group | h5py.Dataset, node: Node, walk: _Walk) -> bool:
    """Remember an object by its address; say so where it has another path already."""
    try:
        info = h5py.h5o.get_info(item.id)
    except (RuntimeError, OSError) as error:
        node.note, node.faulty = f"damaged: {error}", True
        return False
    first = walk.seen.setdefault((info.fileno, info.addr), node.path)
    if first == node.path:
        return True
    node.same_as = first
    node.attributes = {}  # listed there
    return False


def _member(group: h5py.Group, name: str, path: str) -> tuple[Node, object]:
    """Describe what a link of a group leads to."""
    try:
        link = group.get(name, getlink=True)
    except (TypeError, RuntimeError, OSError, UnicodeDecodeError) as error:
        return Node(path, "broken", note=f"link of unknown type ({error})", faulty=True), None
    if isinstance(link, h5py.ExternalLink):
        return _external_link(group, link, path), None
    if isinstance(link, h5py.SoftLink):
        return _soft_link(group, link.path, path), None
    try:
        item = group[name]
    except (KeyError, RuntimeError, OSError) as error:
        return Node(path, "broken", note=f"damaged: {error}", faulty=True), None
    if isinstance(item, h5py.Dataset):
        return Node(path, "dataset", **describe_dataset(item)), item
    if isinstance(item, h5py.Group):
        return Node(path, "group"), item
    return Node(path, "named type"), None


def _external_link(group: h5py.Group, link: h5py.ExternalLink, path: str) -> Node:
    there = (Path(group.file.filename).parent / link.filename).exists()
    found = "not followed" if there else "which is not there"
    note = f"link into another file, {found}: {link.filename} {link.path}"
    return Node(path, "broken", note=note, faulty=True)


def _soft_link(group: h5py.Group, target: str, path: str) -> Node:
    try:
        item = find(group, target)
    except DataError:
        return Node(path, "broken", note=f"link to {target}, which is not there", faulty=True)
    described = describe_dataset(item) if isinstance(item, h5py.Dataset) else {}
    shown = {key: described[key] for key in ("shape", "dtype", "units") if key in described}
    return Node(path, "link", note=f"link to {target}", same_as=item.name, **shown)


def _representatives(group: h5py.Group, names: Sequence[str], most: int) -> list[tuple[str, int]]:
    """Choose which members to describe.

    Returns
    -------
    chosen
        ``(name, 0)`` for a member to describe; ``(last name, n)`` after the last of a family
        of which `n` more are alike.
    """
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(re.sub(r"\d+", "#", name), []).append(name)
    chosen: list[tuple[str, int]] = []
    for family in families.values():
        if len(family) <= most + 2:  # a line "and two more" saves nothing
            chosen += [(name, 0) for name in sorted(family, key=natural)]
        else:
            chosen += _alike(group, sorted(family, key=natural), most)
    return chosen


def _alike(group: h5py.Group, family: Sequence[str], most: int) -> list[tuple[str, int]]:
    """Describe the first few of each sort in a family, and count the others."""
    sorts: dict[object, list[str]] = {}
    for number, name in enumerate(family):
        sort = _sort(group, name) if number < _MOST_COMPARED else next(iter(sorts))
        sorts.setdefault(sort, []).append(name)
    chosen: list[tuple[str, int]] = []
    for members in sorts.values():
        chosen += [(name, 0) for name in members[:most]]
        if len(members) > most:
            chosen.append((members[-1], len(members) - most))
    return chosen


def _sort(group: h5py.Group, name: str) -> object:
    """Tell members apart by what they hold, shapes and numbers in names aside."""
    try:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            return type(link).__name__
        item = group[name]
        if isinstance(item, h5py.Dataset):
            return item.dtype, item.ndim
        return frozenset(re.sub(r"\d+", "#", member) for member in islice(item, 50))
    except (TypeError, KeyError, RuntimeError, OSError, UnicodeDecodeError):
        return "unreadable"


def natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key under which shot_2 comes before shot_10."""
    pieces = re.split(r"(\d+)", name)
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in pieces if p]


def every(node: Node, of: Callable[[Node], bool]) -> list[Node]:
    """List the nodes of a tree for which `of` holds, from the root on."""
    found, waiting = [], [node]
    while waiting:
        here = waiting.pop()
        if of(here):
            found.append(here)
        waiting.extend(reversed(here.children))
    return found
