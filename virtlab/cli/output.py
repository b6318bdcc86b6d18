"""Results to stdout, talk to stderr: as text that cannot steer a terminal, or as JSON."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from virtlab.finite import finite

SCHEMA_VERSION = 1
WIDE = 10_000

# Lab files are full of other people's strings; none may move a cursor or set a title.
_CONTROL = {code: "�" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")


def emit(data: Mapping[str, Any], lines: Iterable[str], *, as_json: bool) -> None:
    """Print a result on stdout: its lines, or the data as one JSON object."""
    click.echo(to_json(data) if as_json else plain("\n".join(lines)))


def to_json(data: Mapping[str, Any]) -> str:
    """A result as one strict JSON object, on one line."""
    import json

    result = {"schema_version": SCHEMA_VERSION, **data}
    return json.dumps(finite(result), allow_nan=False, default=str)


def say(text: str) -> None:
    """Print talk on stderr."""
    click.echo(plain(text), err=True)


def plain(text: str) -> str:
    """Text without control characters other than newline and tab."""
    return text.translate(_CONTROL)


def terminal_width() -> int:
    """Characters in a line of the terminal; many where stdout is a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE


def wants_color() -> bool | None:
    """Return False where the user wants none (click looks at neither), else None: click decides."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return None


def fields(data: Mapping[str, Any]) -> list[str]:
    """One aligned line per name and value."""
    return table([(name, str(value)) for name, value in data.items()])


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Write rows as lines with aligned columns; the last column is as long as it likes."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    ]


def size(n: float) -> str:
    """Write a number of bytes for people: ``1.4 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.1f} TB"
