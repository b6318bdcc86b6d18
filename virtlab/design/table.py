"""Settings from a CSV file: a header that names parameters, then one setting a line."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning import Parameter, categories_of, suggestion
from virtlab.config import read_text
from virtlab.errors import ConfigError, SettingError, SettingFault

MOST_BYTES = 2**27
MOST_ROWS = 10**6


def read_table(
    path: Path,
    constants: Mapping[str, NDArray[Any]],
    parameters: Sequence[Parameter],
    where_constant: Callable[[SettingFault], str],
) -> tuple[dict[str, NDArray[Any]], Callable[[SettingFault], str]]:
    """Read one column per parameter that is not constant.

    Returns
    -------
    values
        One array per parameter, shape ``(rows,)``; constants as they were given.
    where
        Says of a fault in them the file and the line.

    Raises
    ------
    ConfigError
        The file cannot be read as a table, or its columns are not the parameters.
    """
    header, rows, lines = _read_rows(read_text(path, MOST_BYTES), path.name)
    by_name = {parameter.name: parameter for parameter in parameters}
    _check_header(header, by_name, constants, path.name)
    values = dict(constants)
    for at, name in enumerate(header):
        values[name] = _column([row[at] for row in rows], by_name[name])

    def where(fault: SettingFault) -> str:
        if fault.parameter in constants:
            return where_constant(fault)
        line = f" line {lines[fault.index]}" if fault.index is not None else ""
        return f"{path.name}{line}: {fault.parameter}"

    return values, where


def _read_rows(text: str, file: str) -> tuple[list[str], list[list[str]], list[int]]:
    """Split CSV into its header, its rows but for blank lines, and each row's line number."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        if not any(header):
            raise ConfigError(f"{file}: is empty; expected a first line that names parameters")
        for row in reader:
            if not row:
                continue
            if len(rows) == MOST_ROWS:
                raise ConfigError(f"{file}: more than {MOST_ROWS:,} settings; split the file")
            cells = [cell.strip() for cell in row]
            _check_row(cells, header, f"{file} line {reader.line_num}")
            rows.append(cells)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise ConfigError(f"{file} line {reader.line_num}: not valid CSV: {error}") from error
    if not rows:
        raise ConfigError(f"{file}: no settings; expected one a line below the header")
    return header, rows, lines


def _check_row(cells: list[str], header: list[str], where: str) -> None:
    if len(cells) != len(header):
        raise ConfigError(
            f"{where}: expected {len(header)} values, as the header names, found {len(cells)}"
        )
    if "" in cells:
        raise ConfigError(f"{where}: {header[cells.index('')]} is blank; expected a value")


def _check_header(
    header: list[str], by_name: Mapping[str, Parameter], constants: Mapping[str, Any], file: str
) -> None:
    """Refuse columns that are no parameters, stand twice or are constants; and missing ones."""
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise ConfigError(f"{file}: columns must be separated by commas (and 1.5 written so)")
    told = []
    for name in dict.fromkeys(header):
        if name not in by_name:
            near = suggestion(name, list(by_name))
            told.append(f"{file}: column {name[:60]!r} is no parameter{near}")
        elif header.count(name) > 1:
            told.append(f"{file}: column {name!r} stands twice")
        elif name in constants:
            told.append(f"{file}: column {name!r} has a value in [parameters], too; keep one")
    told += [
        f"{file}: no column {name!r}; add it, or a constant in [parameters]"
        for name in by_name
        if name not in header and name not in constants
    ]
    if told:
        raise SettingError("\n".join(told))


def _column(cells: list[str], parameter: Parameter) -> NDArray[Any]:
    """Turn cells into numbers where the parameter is numeric, or into categories."""
    if parameter.kind != "categorical":
        return np.array([_number(cell) for cell in cells], dtype=object)
    # A spreadsheet writes the category "1" as 1.0.
    known = {cell: _category(cell, parameter.categories) for cell in set(cells)}
    return np.array([known[cell] for cell in cells], dtype=object)


def _number(cell: str) -> float | str:
    """Read a number; text that is none stays text, to be refused with its line."""
    try:
        return float(cell) if "_" not in cell else cell
    except ValueError:
        return cell


def _category(cell: str, categories: tuple[str, ...]) -> str:
    number = _number(cell)
    if cell in categories or isinstance(number, str):
        return cell
    return str(categories_of(np.array([number]))[0])
