"""Single values that vary: between files, or between the groups of one file."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from virtlab.storage.survey import Hint, Series, Survey, hint_of
from virtlab.storage.tree import Node, every

_FEWEST_GROUPS = 10
_MOST_COMPARED = 50
_CLOCK = re.compile(r"(?i)(^|[^a-z])(time|date|timestamp|uuid|sha\d*|hash|checksum|version)s?$")
_NUMBERS = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


@dataclass(frozen=True)
class Single:
    """One value per file, or per group.

    Parameters
    ----------
    path
        As experiment.toml names it.
    values
        As text, from the files or groups that were looked at.
    role
        What the names around it say.
    units
        What the file says.
    shape
        Of one trial's array; ``()`` of a single value.
    """

    path: str
    values: tuple[str, ...] = ()
    role: Hint = ""
    units: str = ""
    shape: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """The last part of its path."""
        return re.split(r"[/@]", self.path)[-1]

    @property
    def numeric(self) -> bool:
        """Whether all its values are numbers."""
        return all(_number(value) is not None for value in self.values)

    @property
    def numbered(self) -> bool:
        """Whether it only counts the files or groups."""
        numbers = [_number(value) for value in self.values]
        first = numbers[0] if numbers else None
        if first is None or len(numbers) < 3:
            return False
        return numbers == [first + step for step in range(len(numbers))]

    @property
    def scattered(self) -> bool:
        """Whether its values are numbers that hardly ever come twice, as results are."""
        return self.numeric and len(set(self.values)) > max(2, len(self.values) // 3)


@dataclass(frozen=True)
class Family:
    """Groups alike, each a trial.

    Parameters
    ----------
    pattern
        For ``data.groups``.
    count
        How many there are.
    looked_at
        In how many of them values were looked at.
    parameters, measurements
        Paths relative to a group.
    arrays
        Relative path to shape, of measurements with own dims.
    axes
        Arrays of a group that are axes of others.
    """

    pattern: str
    count: int
    looked_at: int = 0
    parameters: list[Single] = field(default_factory=list)
    measurements: list[Single] = field(default_factory=list)
    arrays: dict[str, tuple[int, ...]] = field(default_factory=dict)
    axes: list[Series] = field(default_factory=list)


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def varying_between(surveys: Sequence[Survey]) -> list[Single]:
    """Find numbers, and short texts, that every file has and that differ; best guesses first."""
    common = set(surveys[0].single).intersection(*(survey.single for survey in surveys[1:]))
    found: dict[tuple[str, ...], Single] = {}
    for path in sorted(common, key=lambda path: (path.count("/"), len(path), path)):
        values = tuple(survey.single[path] for survey in surveys)
        single = Single(path, values, hint_of(path))
        if len(set(values)) < 2 or _CLOCK.search(single.name):
            continue
        few = len(set(values)) < len(values) and max(map(len, values)) < 40
        if single.numeric or few:
            found.setdefault(values, single)  # the same values again: a copy of it

    def rank(single: Single) -> tuple[bool, bool, bool]:
        named, told = in_names_of(surveys, single), single.role == "parameter"
        return not named, not told, not single.numeric

    return sorted(found.values(), key=rank)


def in_names_of(surveys: Sequence[Survey], single: Single) -> bool:
    """Whether each file's value stands in its name, as in ``SSRO_90.hdf5``."""
    for survey, value in zip(surveys, single.values, strict=True):
        number, name = _number(value), survey.path.stem
        if number is None:
            if value not in name:
                return False
        elif number not in map(float, _NUMBERS.findall(name.replace("-", " "))):
            return False
    return True


def group_family(survey: Survey) -> Family | None:
    """Find the largest set of groups alike that could each be a trial."""
    best: tuple[int, Node, list[Node]] | None = None
    for parent in every(survey.root, lambda node: node.kind == "group"):
        alike: dict[frozenset[str], list[Node]] = {}
        counts: dict[frozenset[str], int] = {}
        last: frozenset[str] = frozenset()
        for child in parent.children:
            if child.kind == "group":
                last = frozenset(_contents(child))
                alike.setdefault(last, []).append(child)
                counts[last] = counts.get(last, 0) + 1
            elif child.kind == "more" and last in counts:
                counts[last] += child.count
        for contents, members in alike.items():
            count = counts[contents]
            if count < _FEWEST_GROUPS or not _could_be_trials(members, contents):
                continue
            if best is None or count > best[0]:
                best = (count, parent, members)
    return _family(*best) if best is not None else None


def _contents(group: Node) -> dict[str, tuple[Node, str]]:
    """Map relative paths to the values and arrays of a group, its own attributes included."""
    start = len(group.path) + 1
    found = {f"@{name}": (group, value) for name, value in group.attributes.items()}
    for node in islice(every(group, lambda node: node.kind == "dataset"), 200):
        if not node.faulty and node.path != group.path:
            found[node.path[start:]] = (node, node.value)
    for node in islice(every(group, lambda node: node.kind == "group")[1:], 50):
        for name, value in node.attributes.items():
            found[f"{node.path[start:]}@{name}"] = (node, value)
    return found


def _could_be_trials(members: Sequence[Node], contents: frozenset[str]) -> bool:
    """Whether groups hold enough, and are not about something else."""
    if len(contents) < 2 or hint_of(f"{members[0].path}/") == "ignore":
        return False
    numbered = all(re.search(r"\d", member.name) for member in members)
    arrays = any(node.shape and max(node.shape) > 1 for node, _ in _contents(members[0]).values())
    return arrays or numbered


def _family(count: int, parent: Node, members: Sequence[Node]) -> Family:
    looked_at = [_contents(member) for member in members[:_MOST_COMPARED]]
    family = Family(_pattern(parent, members), count, len(looked_at))
    for path, (node, _) in looked_at[0].items():
        hint = hint_of(path)
        values = tuple(each[path][1] for each in looked_at if path in each)
        is_array = "@" not in path and node.shape is not None and max(node.shape, default=1) > 1
        units = node.units if "@" not in path else ""
        if is_array:
            family.measurements.append(Single(path, (), hint, units, node.shape or ()))
            family.arrays[path] = node.shape or ()
        elif len(set(values)) > 1 and not _CLOCK.search(path) and not values[0].startswith("["):
            told = hint == "measurement" and "@" not in path
            entries = family.measurements if told else family.parameters
            entries.append(Single(path, values, hint, units))
    _drop_axes(family, looked_at)
    _take_results(family)
    return family


def _pattern(parent: Node, members: Sequence[Node]) -> str:
    """Write a glob that names the groups and none of their neighbours."""
    base = parent.path.rstrip("/")
    neighbours = [child for child in parent.children if child.kind == "group"]
    starts = {re.split(r"\d", member.name, maxsplit=1)[0] for member in members}
    if len(neighbours) > len(members) and len(starts) == 1:
        return f"{base}/{next(iter(starts))}*"
    return f"{base}/*"


def _drop_axes(family: Family, looked_at: Sequence[dict[str, tuple[Node, str]]]) -> None:
    """Take an array named like an axis for one, where another of its length remains."""
    words = re.compile(r"(?i)(^|_|/)(time|t|x|axis|wavelength|frequency|freq|energy|channel)s?$")
    for single in [each for each in family.measurements if words.search(each.path)]:
        node = looked_at[0][single.path][0]
        others = [each for each in family.measurements if each is not single]
        if node.shape and len(node.shape) == 1 and any(node.shape[0] in o.shape for o in others):
            family.measurements.remove(single)
            del family.arrays[single.path]
            family.axes.append(Series(single.path, node.shape, single.units, "axis"))


def _take_results(family: Family) -> None:
    """Take datasets for results, and attributes for settings.

    A dataset is left a setting where its name says so, or where it has few values and there are
    other results; and one remains a setting in any case.
    """
    unnamed = [each for each in family.parameters if "@" not in each.path and not each.role]
    results = [each for each in unnamed if each.scattered or not family.measurements]
    if len(results) == len(family.parameters):
        results = [] if family.measurements else results[-1:]
    for single in results:
        family.parameters.remove(single)
        family.measurements.append(single)
