"""Writes a commented starter experiment.toml, guessed from lab files.

It always parses and always fits the configuration's tables; whether it is right, only the
scientist knows, so whatever is a guess says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.errors import ConfigError, OutputError
from virtlab.storage.naming import Names, quoted
from virtlab.storage.units import ARBITRARY, DIMENSIONLESS, is_unit

if TYPE_CHECKING:
    from virtlab.storage.guessed import Guess
    from virtlab.storage.survey import Series
    from virtlab.storage.varying import Single

_MOST_FILES = 24  # to look into; as many more may be named
_MOST_LEFT_OUT = 12
_FEWEST_COUNTS = 3  # different whole numbers: two may be no and yes
_ANGLES = re.compile(r"(?i)phase|angle|phi|theta|rotation|azimuth")
_SAY_NOTHING = {"lab", "data", "raw", "raw_data", "files", "h5", "hdf5", "measurements"}
_ANGLE_UNITS = {"deg": 360.0, "degree": 360.0, "degrees": 360.0, "rad": 6.283185307179586}


def starter(paths: Sequence[Path], name: str | None = None, *, folder: Path | None = None) -> str:
    """Guess an experiment from lab files.

    Parameters
    ----------
    paths
        Lab files of one experiment, alike in layout.
    name
        Of the experiment; by default from the files' names.
    folder
        Where experiment.toml will stand: the files are named relative to it. By default the
        working folder.

    Returns
    -------
    text
        A valid experiment.toml.

    Raises
    ------
    DataError
        A file cannot be opened, or nothing in it could be parameters and measurements.
    ConfigError
        No file was given.
    """
    from virtlab.storage.guess import guess
    from virtlab.storage.guessed import without_row_numbers
    from virtlab.storage.probe import probed
    from virtlab.storage.survey import survey

    if not paths:
        raise ConfigError("no lab files were given; name one or more HDF5 files")
    paths = list(dict.fromkeys(Path(path) for path in paths))
    step = max(1, len(paths) // _MOST_FILES)
    surveys = [survey(path) for path in probed(paths[::step][:_MOST_FILES])]
    found = without_row_numbers(guess(surveys))
    names = Names(found)
    title = name or _title(paths)
    lines = [*_opening(paths, title, found, names, folder or Path.cwd()), ""]
    for entry in found.parameters:
        lines += [*_parameter(entry, found, names), ""]
    if found.parity:
        lines += [*_parity(names), ""]
    for entry in found.measurements:
        lines += [*_measurement(entry, found, names), ""]
    lines += [*_left_out(found), "[training]", "seed = 0", '# max_time = "10 min"']
    return "\n".join(lines) + "\n"


def write_starter(paths: Sequence[Path], output: Path, name: str | None = None) -> Path:
    """Write a starter to a file that does not exist yet.

    Returns
    -------
    path
        `output`.

    Raises
    ------
    OutputError
        It exists already, or cannot be written.
    DataError, ConfigError
        See `starter`.
    """
    if os.path.lexists(output):
        raise OutputError(f"{output} exists and is left as it is; choose another name with -o")
    if not output.parent.is_dir():
        raise OutputError(f"{output}: the folder {output.parent} does not exist; create it first")
    text = starter(paths, name, folder=output.parent)
    try:
        with output.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError as error:
        raise OutputError(f"{output} exists and is left as it is") from error
    except OSError as error:
        with contextlib.suppress(OSError):
            output.unlink()  # on a full disk it is there, and empty
        raise OutputError(f"{output}: cannot be written: {error.strerror}") from error
    return output


def _comment(text: str) -> str:
    from virtlab.storage.description import printable

    return f"# {printable(text, 160)}"


def _title(paths: Sequence[Path]) -> str:
    """Name the experiment by its file, or by the folder of its files."""
    first = paths[0].absolute()
    folder = Path(os.path.normpath(first.parent))
    if folder.name.lower() in _SAY_NOTHING:
        folder = folder.parent
    return (first.stem if len(paths) == 1 else folder.name)[:200] or "experiment"


def _opening(
    paths: Sequence[Path], title: str, found: Guess, names: Names, folder: Path
) -> list[str]:
    """Draw [experiment] and [data]."""
    reasons = {
        "table": "datasets, or columns, with one row per trial",
        "groups": "one group per trial",
        "files": "values that are the same in a whole file are its setting",
    }
    lines = [
        "# A starter, guessed from the files: check every line, and correct what is wrong.",
        "",
        "[experiment]",
        f"name = {quoted(title.encode('utf-8', 'replace').decode())}",
        "",
        "[data]",
        f"files = {_files(paths, folder)}",
        f"reader = {quoted(found.reader)}  # {reasons[found.reader]}",
    ]
    if found.groups:
        lines.append(f"groups = {quoted(found.groups)}")
    if found.grid:
        along = [names.of(each) for each in found.parameters if each.path in found.grid]
        lines.append(f"grid = {json.dumps(along)}  # each point of the scan is a trial")
    lines += [_comment(note) for note in [*found.notes, *_replicates(found)]]
    return lines


def _files(paths: Sequence[Path], folder: Path) -> str:
    """List files relative to a folder, as a glob where that names the same files."""
    relative = [Path(os.path.relpath(path.absolute(), folder.absolute())) for path in paths]
    parents = {path.parent for path in relative}
    suffixes = {path.suffix for path in relative}
    if len(relative) > 3 and len(parents) == 1 and len(suffixes) == 1:
        here = paths[0].absolute().parent
        pattern = f"*{next(iter(suffixes))}"
        if not re.search(r"[*?\[]", parents.copy().pop().as_posix()) and len(
            [each for each in here.glob(pattern) if not each.name.startswith(".")]
        ) == len(relative):
            return f"[{quoted((next(iter(parents)) / pattern).as_posix())}]"
    listed = [quoted(path.as_posix()) for path in relative]
    return f"[{listed[0]}]" if len(listed) == 1 else "[\n    " + ",\n    ".join(listed) + ",\n]"


def _replicates(found: Guess) -> list[str]:
    """Count trials and settings, of a table that was read whole."""
    from virtlab.storage.survey import Series

    columns = [each for each in found.parameters if isinstance(each, Series)]
    if found.reader != "table" or found.grid or len(columns) < len(found.parameters):
        return []
    if any(len(each.values) != each.shape[0] for each in columns):
        return []
    codes = [np.unique(each.values.astype(str), return_inverse=True)[1] for each in columns]
    settings, counts = np.unique(np.stack(codes), axis=1, return_counts=True)
    text = f"{columns[0].shape[0]:,} trials at {settings.shape[1]:,} settings"
    if counts.max() > 1:
        low, high = counts.min(), counts.max()
        text += f", {low} replicates each" if low == high else f", {low} to {high} replicates each"
    return [text + " in the first file" if found.notes else text]


def _parameter(entry: Series | Single, found: Guess, names: Names) -> list[str]:
    """Draw [parameters.NAME]."""
    lines = [f"[parameters.{names.of(entry)}]", f"path = {_path(entry, found)}", *_units(entry)]
    numbers = _numbers(entry)
    if numbers is None:
        known = list(dict.fromkeys(map(str, _values(entry))))
        listed = ", ".join(sorted(known)[:8]) + (", …" if len(known) > 8 else "")
        return [*lines, 'kind = "categorical"', _comment(f"{len(known)} categories: {listed}")]
    whole = numbers.size > 0 and bool((numbers == np.round(numbers)).all())
    bare = entry.units.strip().lower() in DIMENSIONLESS | ARBITRARY
    counted = whole and bare and not _ANGLES.search(entry.name)
    stored = counted and getattr(entry, "whole", False)
    lines.append(f'kind = "{"integer" if stored else "continuous"}"')
    if counted and not stored:
        lines.append('# kind = "integer"    # if nothing lies between: its values are whole')
    if numbers.size:
        lines += _suggestions(entry, numbers.min(), numbers.max(), len(np.unique(numbers)))
    return lines


def _suggestions(entry: Series | Single, low: float, high: float, count: int) -> Iterator[str]:
    """Suggest, as comments, what values alone cannot decide."""
    if low == high:
        yield f"# always {low:.8g} here: give more files, or remove it"
        return
    yield f"# {count:,} different values, from {low:.8g} to {high:.8g}"
    yield f"# bounds = [{low:.8g}, {high:.8g}]  # hard limits, where there are any"
    period = _ANGLE_UNITS.get(entry.units.strip().lower(), 360.0)
    if _ANGLES.search(entry.name) and high - low <= period:
        yield f'# kind = "cyclic"    # with period = {period:g}, if a full turn changes nothing'
    if low > 0 and high / low >= 1000:
        yield '# scale = "log"       # it spans more than three decades'


def _parity(names: Names) -> list[str]:
    return [
        f"[parameters.{names.new('state', '')}]",
        'index = "parity"',
        "# even and odd rows differ: probably two states prepared in turn",
    ]


def _measurement(entry: Series | Single, found: Guess, names: Names) -> list[str]:
    """Draw [measurements.NAME]."""
    lines = [f"[measurements.{names.of(entry)}]", f"path = {_path(entry, found)}", *_units(entry)]
    lines += _kind_and_support(entry)
    axes = found.axes.get(entry.path, [])
    if entry.path in found.trial_dims:
        lines.append(f"trial_dim = {found.trial_dims[entry.path]}")
    start = len(entry.shape) - len(axes)
    sizes = _own_sizes(entry, found) or entry.shape[start:]
    declared = [path.rsplit("/", 1)[-1] for path in getattr(entry, "axes", ())[start:]]
    declared += [""] * (len(axes) - len(declared))
    dims = [
        names.of(axis) if axis else names.of_unknown_dim(declared[i], names.of(entry), sizes[i], i)
        for i, axis in enumerate(axes)
    ]
    if dims:
        lines.append(f"dims = {json.dumps(dims)}")
    for dim, axis in zip(dims, axes, strict=True):
        if axis is None and len(found.curved.get(entry.path, [])) < 2:
            lines.append(_comment(f"no axis was found for {dim}; add coords.{dim} if there is one"))
        elif axis is not None:
            lines += _coordinate(dim, axis, found)
    for axis in found.curved.get(entry.path, []):
        lines += _coordinate(names.new(f"{axis.name}_grid", axis.path), axis, found)
    return lines


def _coordinate(name: str, axis: Series, found: Guess) -> list[str]:
    """Draw coords.NAME, its units said in a comment where they are none."""
    units = _units(axis)
    keys = [f"path = {_path(axis, found)}", *[unit for unit in units if unit[0] != "#"]]
    comments = [unit for unit in units if unit[0] == "#"]
    return [f"coords.{name} = {{ {', '.join(keys)} }}", *comments]


def _own_sizes(entry: Series | Single, found: Guess) -> tuple[int, ...]:
    """Return the lengths of a measurement's own dims, where its trial axis is not the first."""
    if entry.path not in found.trial_dims:
        return ()
    axis = found.trial_dims[entry.path]
    return (*entry.shape[:axis], *entry.shape[axis + 1 :])


def _kind_and_support(entry: Series | Single) -> list[str]:
    """Draw a measurement's kind, and say what its values suggest."""
    numbers = _numbers(entry)
    if numbers is None:
        return ['kind = "categorical"']
    if not numbers.size:
        return []
    low, high, different = numbers.min(), numbers.max(), len(np.unique(numbers))
    whole = low >= 0 and bool((numbers == np.round(numbers)).all())
    units = entry.units.strip().lower()
    stored = getattr(entry, "whole", False) or units in ("count", "counts")
    bare = units in DIMENSIONLESS | ARBITRARY and different >= _FEWEST_COUNTS
    lines = []
    if whole and stored:
        lines.append('kind = "count"')
    elif whole and bare:
        lines.append(
            'kind = "count"         # all values are whole; "continuous" if it counts nothing'
        )
    lines.append(_comment(f"from {low:g} to {high:g}, {different:,} values"))
    zeros = float((numbers == 0).mean())
    if zeros > 0.01:
        lines.append(_comment(f"{zeros:.1%} are exactly zero"))
    if whole and not stored and not bare and high > 1:
        lines.append('# kind = "count"       # if it counts something: its values are whole')
    if low >= 0:
        lines.append("# support = [0, inf]   # if it can never be negative")
    return lines


def _values(entry: Series | Single) -> Any:
    return entry.values if not hasattr(entry, "distinct") else entry.distinct


def _numbers(entry: Series | Single) -> Any:
    """Return finite values as numbers; None of text."""
    if hasattr(entry, "text"):
        if entry.text:
            return None
        values = np.asarray(entry.values)
        if values.dtype.kind not in "fiu":
            return np.empty(0)
        numbers = values.astype(np.float64).ravel()
    elif entry.numeric:
        numbers = np.array([float(value) for value in entry.values])
    else:
        return None
    return numbers[np.isfinite(numbers)]


def _path(entry: Series | Single, found: Guess) -> str:
    # In a group per trial, a path with a leading slash starts at the file's root.
    return quoted(entry.path if found.reader == "groups" else entry.path.lstrip("/"))


def _units(entry: Series | Single) -> list[str]:
    """Draw units that can be converted; say so of others."""
    from pydantic import TypeAdapter, ValidationError

    from virtlab.config.tables import Unit

    units = entry.units.strip()
    if not units:
        return []
    try:
        TypeAdapter(Unit).validate_python(units)
        usable = is_unit(units)
    except ValidationError:
        usable = False
    if usable:
        return [f"units = {quoted(units)}"]
    return [_comment(f"units in the file: {units}, which is no unit that can be converted")]


def _left_out(found: Guess) -> list[str]:
    """Name what could have been used."""
    items = [f"{path}: {why}" for path, why in found.left_out.items()]
    if not items:
        return []
    lines = ["# Left out:", *[_comment(f"  {item}") for item in items[:_MOST_LEFT_OUT]]]
    if len(items) > _MOST_LEFT_OUT:
        lines.append(f"#   … and {len(items) - _MOST_LEFT_OUT} more")
    return [*lines, ""]
