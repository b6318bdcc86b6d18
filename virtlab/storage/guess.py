"""From facts about lab files to a guess at the experiment: which reader, what is what."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from virtlab.errors import DataError
from virtlab.storage.axes import fitting, is_monotonic, own_axes
from virtlab.storage.guessed import Guess, named_in
from virtlab.storage.survey import Series, Survey
from virtlab.storage.tree import every
from virtlab.storage.varying import Single, group_family, in_names_of, varying_between

FEWEST = 10
"""Trials below which nothing can be learnt."""
_MOST_LISTED = 100
_BOOKKEEPING = re.compile(r"(?i)indices|unit|version|extension|offset$|grid|npoints|rank|@axis")


def guess(surveys: Sequence[Survey]) -> Guess:
    """Guess the experiment from its files; all of them look like the first.

    Raises
    ------
    DataError
        Nothing in the first file could be a parameter or a measurement.
    """
    first = surveys[0]
    by_signal = _from_signal(first)
    table = by_signal or _from_table(first)
    if by_signal is None and (table is None or not _is_strong(first, _length(table))):
        family = group_family(first)
        if family is not None and family.parameters and family.measurements:
            parameters, measurements = family.parameters, family.measurements
            found = Guess(
                "groups", family.pattern, parameters=[*parameters], measurements=[*measurements]
            )
            found.notes.append(
                f"{family.count:,} groups alike in {first.path.name}, each taken for one trial"
            )
            if family.looked_at < family.count or len(surveys) > 1:
                found.notes.append(f"values below are those of the first {family.looked_at}")
            shared = (each for each in first.series if each.hint == "axis")
            _find_axes(found, replace(first, series=(*family.axes, *shared)), family.arrays)
            return _complete(found, first)
    if len(surveys) > 1:
        per_file = _per_file(surveys, table)
        if per_file is not None:
            return _complete(per_file, first)
    if table is None or not table.parameters or not table.measurements:
        table = _one_trial(first)
    if len(surveys) > 1:
        _note_missing(table, surveys)
    return _complete(table, first)


def _complete(found: Guess, survey: Survey) -> Guess:
    """Refuse a guess without parameters or measurements; bound its length."""
    if not found.parameters or not found.measurements:
        raise DataError(_nothing(survey))
    for entries in (found.parameters, found.measurements):
        for entry in entries[_MOST_LISTED:]:
            found.left_out[entry.path] = "too many to list"
        del entries[_MOST_LISTED:]
    return found


def _nothing(survey: Survey) -> str:
    """Say what was found where nothing could be made of it."""
    arrays = [f"{each.path} {each.shape}" for each in survey.series[:4]]
    more = f" and {len(survey.series) - 4} more" if len(survey.series) > 4 else ""
    found = f"arrays {', '.join(arrays)}{more}" if arrays else "no arrays"
    text = (
        f"{survey.path}: no starter can be made: found {found}, and {len(survey.single):,} single "
        f"values, but nothing like a parameter and a measurement of {FEWEST} or more trials"
    )
    if survey.faults:
        listed = [f"{path}: {why}" for path, why in survey.faults.items()]
        text += f"; unreadable: {'; '.join(listed[:2])}"
        text += f" and {len(listed) - 2} more" if len(listed) > 2 else ""
    return text + "; look at it with: virtlab inspect"


def _length(found: Guess) -> int:
    entry = next((each for each in found.measurements if isinstance(each, Series)), None)
    return entry.shape[found.trial_dims.get(entry.path, 0)] if entry is not None else 0


def _from_signal(survey: Survey) -> Guess | None:
    """Take the file at its word, where it declares a signal and its axes (NeXus)."""
    named = {each.path: each for each in survey.series}
    for signal in survey.signals:
        axes = [named.get(path) for path in signal.axes]
        axes += [None] * (len(signal.shape) - len(axes))
        axes = [fitting(axis, size) for axis, size in zip(axes, signal.shape, strict=False)]
        leading = _scanned(signal.shape, axes)
        if not leading:
            continue
        found = Guess(measurements=[signal])
        found.parameters = [axis for axis in axes[:leading] if axis is not None]
        found.grid = [axis.path for axis in found.parameters] if leading > 1 else []
        found.notes.append(f"the file itself declares {signal.path} as its signal")
        _find_axes(found, survey, {signal.path: signal.shape[leading:]}, axes[leading:])
        own = signal.shape[leading:]
        curved = [named[path] for path in signal.axes[leading:] if path in named]
        found.curved[signal.path] = [e for e in curved if e.shape == own and len(own) > 1]
        for each in survey.series:
            if each.shape[:1] == signal.shape[:1] and each.path not in named_in(found):
                found.left_out[each.path] = f"shape {each.shape}, as many rows"
        return found
    return None


def _scanned(shape: tuple[int, ...], axes: Sequence[Series | None]) -> int:
    """Count the leading axes that make enough trials: usually one, more of a small grid."""
    for leading in range(1, len(shape) + 1):
        axis = axes[leading - 1]
        if axis is None or axis.shape != (shape[leading - 1],):
            return 0
        if math.prod(shape[:leading]) >= FEWEST:
            return leading
    return 0


def _from_table(survey: Survey) -> Guess | None:
    """Take series of the most common length for trials."""
    length = _trial_count(survey.series)
    if not length:
        return None
    found = Guess()
    rows = [each for each in survey.series if each.shape[0] == length and each.hint != "axis"]
    for each in survey.series:
        if each.shape[0] != length and length in each.shape[1:] and each.hint == "measurement":
            found.trial_dims[each.path] = each.shape.index(length)
            rows.append(each)
    _sort_out(found, rows)
    own = {
        each.path: _without(each.shape, found.trial_dims.get(each.path, 0))
        for each in found.measurements
        if isinstance(each, Series)
    }
    _find_axes(found, survey, own)
    return found


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])


def _trial_count(series: Sequence[Series]) -> int:
    """Find the length that most series, and those that matter most, share."""
    scores: dict[int, float] = {}
    for each in series:
        if each.shape[0] >= FEWEST:
            weight = {"parameter": 3.0, "measurement": 3.0, "axis": 0.1}.get(each.hint, 1.0)
            scores[each.shape[0]] = scores.get(each.shape[0], 0.0) + weight
    return max(scores, key=lambda length: (scores[length], length), default=0)


def _is_strong(survey: Survey, length: int) -> bool:
    """Whether names tell parameters and measurements of one length apart."""
    hints = {each.hint for each in survey.series if each.shape[0] == length}
    return {"parameter", "measurement"} <= hints


def _sort_out(found: Guess, rows: Sequence[Series]) -> None:
    """Tell parameters from measurements, by names if they say so, else by their values."""
    hints = {each.hint for each in rows}
    told = {"parameter", "measurement"} <= hints
    for each in rows:
        if each.values.size and each.constant and len(each.shape) == 1:
            found.left_out[each.path] = f"it is {each.distinct[0]} in every trial"
        elif told and each.hint:
            (found.parameters if each.hint == "parameter" else found.measurements).append(each)
        elif _looks_set(each, rows):
            found.parameters.append(each)
        else:
            found.measurements.append(each)
    scalars = [
        each for each in found.measurements if isinstance(each, Series) and len(each.shape) == 1
    ]
    if not found.parameters and len(found.measurements) > 1 and scalars:
        moved = next((each for each in scalars if is_monotonic(each)), scalars[0])
        found.measurements.remove(moved)
        found.parameters.append(moved)
    if not found.measurements and len(found.parameters) > 1:
        numeric = [each for each in found.parameters if isinstance(each, Series) and not each.text]
        result = max(numeric, key=lambda each: len(each.distinct), default=found.parameters[-1])
        found.parameters.remove(result)
        found.measurements.append(result)


def _looks_set(series: Series, rows: Sequence[Series]) -> bool:
    """Whether nothing but its values makes it a parameter: text, few levels, a table's first."""
    if len(series.shape) > 1:
        return False
    if series.table:
        return _column_looks_set(series, [each for each in rows if each.table == series.table])
    return series.text or _has_few_levels(series)


def _column_looks_set(series: Series, columns: Sequence[Series]) -> bool:
    """Whether a column is a setting: settings stand first, and each of their levels comes again.

    A digitised result has few levels, too, but some that came once. Text behind the last result
    is a result.
    """
    at = next(i for i, each in enumerate(columns) if each is series)
    if at == 0:
        return True
    if not series.text:
        return _has_few_levels(series) and _repeats(series)
    results = [i for i, each in enumerate(columns) if i and not each.text and not _repeats(each)]
    return not results or at < results[-1]


def _has_few_levels(series: Series) -> bool:
    return len(series.distinct) <= max(2, series.shape[0] // 3)


def _repeats(series: Series) -> bool:
    """Whether each of its values comes more than once."""
    counts = np.unique(series.values, return_counts=True, equal_nan=False)[1]
    return bool(counts.size) and int(counts.min()) > 1


def _find_axes(
    found: Guess,
    survey: Survey,
    shapes: Mapping[str, tuple[int, ...]],
    declared: Sequence[Series | None] = (),
) -> None:
    """Find the axes of measurements, which the file may declare."""
    used = {each.path for each in [*found.parameters, *found.measurements]}
    named = {each.path: each for each in survey.series}
    for path, shape in shapes.items():
        listed = list(declared)
        if not listed and path in named and named[path].axes:
            scales = [named.get(axis) for axis in named[path].axes]
            trials = len(named[path].shape) - len(shape)
            at = found.trial_dims.get(path, 0)
            listed = [*scales[:at], *scales[at + trials :]]
        found.axes[path] = own_axes(survey, path, shape, listed, used)


def _per_file(surveys: Sequence[Survey], table: Guess | None) -> Guess | None:
    """Guess for files that differ in single values: one file per setting, or per trial."""
    singles = varying_between(surveys)
    named = [each for each in singles if in_names_of(surveys, each)]
    if not singles or (table is not None and _varies_within(table, surveys, bool(named))):
        return None
    settings = named or singles[:5]
    settings = [each for each in settings if each.role != "measurement"] or settings[:1]
    results = [each for each in singles if each.role == "measurement" and each not in settings]
    found = Guess("files", parameters=[*settings], measurements=[*results])
    found.notes.append(f"these vary between the {len(surveys)} files that were looked at")
    for each in singles:
        if each not in settings and each not in results:
            found.left_out[each.path] = f"varies between files: {', '.join(each.values[:4])}, …"
    tables = {each.table for each in surveys[0].series if each.table}
    if table is not None and tables:
        _take_rows(found, table)
    else:
        arrays = [each for each in surveys[0].series if not _same_in_all(each, surveys)]
        found.measurements += arrays
        _find_axes(found, surveys[0], {each.path: each.shape for each in arrays})
    return found if found.measurements else None


def _take_rows(found: Guess, table: Guess) -> None:
    """Use the rows of each file's table as trials, and look for two states in turn."""
    for each in table.parameters:
        if isinstance(each, Series) and each.numbered:
            found.left_out[each.path] = "it only numbers the rows"
        else:
            found.parameters.append(each)
    found.measurements += table.measurements
    found.axes, found.trial_dims = table.axes, table.trial_dims
    rows = [each for each in table.measurements if isinstance(each, Series)]
    found.parity = any(_alternates(each) for each in rows)


def _alternates(series: Series) -> bool:
    """Whether even and odd rows differ far more than by chance."""
    if series.text or len(series.shape) > 1 or series.values.size < 100:
        return False
    values = np.asarray(series.values, dtype=np.float64)
    even, odd = values[::2], values[1::2]
    spread = math.sqrt((np.nanvar(even) + np.nanvar(odd)) / 2)
    gap = abs(float(np.nanmean(even) - np.nanmean(odd)))
    return spread > 0 and gap > 0.2 * spread and gap > 8 * spread / math.sqrt(len(even) / 2)


def _varies_within(table: Guess, surveys: Sequence[Survey], named: bool) -> bool:
    """Whether each file has settings of its own, other than row numbers or a common axis.

    Whole numbers in order may be a sweep as well as row numbers; that they are the latter is
    believed where the files' names tell another setting.
    """
    series = [each for each in table.parameters if isinstance(each, Series)]
    real = [each for each in series if not (named and each.numbered)]
    return any(each.table or not _same_in_all(each, surveys) for each in real)


def _same_in_all(series: Series, surveys: Sequence[Survey]) -> bool:
    """Whether a series has the same values in every file that has it."""
    others = [each for survey in surveys[1:] for each in survey.series if each.path == series.path]
    return all(np.array_equal(series.values, each.values) for each in others)


def _one_trial(first: Survey) -> Guess:
    """Guess that each file is one trial, from what a single one shows."""
    declared = [node for node in first.faults if _is_signal(first, node)]
    if declared:
        why = f"{declared[0]}, which it declares as its signal: {first.faults[declared[0]]}"
        raise DataError(f"{first.path}: no starter can be made without {why}")
    arrays = [each for each in first.series if each.hint != "axis" and not each.text]
    size = max((math.prod(each.shape) for each in arrays), default=0)
    largest = [each for each in arrays if math.prod(each.shape) == size]
    found = Guess("files", measurements=[*largest])
    numbers = [
        path
        for path, value in first.single.items()
        if _is_number(value) and not _BOOKKEEPING.search(path)
    ]
    found.parameters = [Single(path, (first.single[path],)) for path in numbers[:5]]
    found.notes.append("taken for one trial per file: name all the files; 10 are the fewest")
    _find_axes(found, first, {each.path: each.shape for each in largest})
    return found


def _is_signal(survey: Survey, path: str) -> bool:
    """Whether the group around something calls it its signal."""
    folder, name = path.rsplit("/", 1)
    groups = every(survey.root, lambda node: node.path == folder)
    return any(node.attributes.get("signal") == name for node in groups)


def _is_number(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


def _note_missing(found: Guess, surveys: Sequence[Survey]) -> None:
    """Say which of the paths are not in all files."""
    for each in [*found.parameters, *found.measurements]:
        has = sum(any(each.path == other.path for other in survey.series) for survey in surveys)
        if has < len(surveys):
            found.notes.append(f"{each.path} is in {has} of the {len(surveys)} files looked at")
        shapes = {o.shape[1:]: o.shape for s in surveys for o in s.series if o.path == each.path}
        if len(shapes) > 1:
            listed = " and ".join(map(str, list(shapes.values())[:3]))
            found.notes.append(f"{each.path} has different shapes: {listed}; split the files")
