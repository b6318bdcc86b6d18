"""Reads configuration files and tells all their faults in one message."""

from __future__ import annotations

import json
import re
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from virtlab.conditioning import suggestion
from virtlab.config.experiment import Experiment
from virtlab.config.params import Params
from virtlab.config.tables import Document
from virtlab.errors import ConfigError

# A TOML parser takes seconds for a few MB of nested tables, and no one writes that by hand.
MOST_BYTES = 2**20
MOST_FAULTS = 50
BINARIES = {
    b"\x89HDF": "an HDF5 file (`virtlab init` makes an experiment.toml of lab files)",
    b"PK\x03\x04": "a zip, as models (a params.toml names one) and spreadsheets (save as CSV) are",
}
"""What is given in the place of a text, by its first bytes."""

D = TypeVar("D", bound=Document)


def read_experiment(path: str | Path) -> Experiment:
    """Read experiment.toml.

    Raises
    ------
    ConfigError
        With all faults of the file, one line each.
    """
    return _read(Experiment, Path(path))


def read_params(path: str | Path) -> Params:
    """Read params.toml.

    Raises
    ------
    ConfigError
        With all faults of the file, one line each.
    """
    return _read(Params, Path(path))


def parse_experiment(text: str, path: str | Path = "experiment.toml") -> Experiment:
    """Understand the text of an experiment.toml; `path` is for messages and relative paths.

    Raises
    ------
    ConfigError
        With all faults of the text, one line each.
    """
    return _parse(Experiment, text, Path(path))


def parse_params(text: str, path: str | Path = "params.toml") -> Params:
    """Understand the text of a params.toml; `path` is for messages and relative paths.

    Raises
    ------
    ConfigError
        With all faults of the text, one line each.
    """
    return _parse(Params, text, Path(path))


def read_text(path: Path, most_bytes: int = MOST_BYTES) -> str:
    """Read a small text file that a person wrote.

    Raises
    ------
    ConfigError
        Missing, a folder, unreadable, too large, or not UTF-8 (a byte order mark is fine).
    """
    try:
        # Not stat: a device or a pipe has no honest size.
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file; check the path") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path}: is a folder; expected a file") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}: cannot be read: {reason}") from error
    if len(data) > most_bytes:
        raise ConfigError(
            f"{path}: larger than {most_bytes // 1024:,} KiB; is it the file that you meant?"
        )
    for start, what in BINARIES.items():
        if data.startswith(start):
            raise ConfigError(f"{path}: found {what}; expected a text file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}: line {line} is not UTF-8 text; save the file with the encoding UTF-8"
        ) from error


def _read(kind: type[D], path: Path) -> D:
    return _parse(kind, read_text(path), path)


def _parse(kind: type[D], text: str, path: Path) -> D:
    document = _parse_toml(text, path)
    if not document:
        needed = [name for name, field in kind.model_fields.items() if field.is_required()]
        words = "tables " if kind is Experiment else "key "
        raise ConfigError(f"{path}: is empty; expected at least the {words}{_listed(needed)}")
    if other := _other(kind, document):
        raise ConfigError(f"{path}: {other}")
    try:
        made = kind.model_validate(document)
    except ValidationError as error:
        lines = list(dict.fromkeys(_line(kind, found) for found in error.errors()))
        told = [f"{path}: {line}" for line in lines[:MOST_FAULTS]]
        if len(lines) > MOST_FAULTS:
            told.append(f"{path}: … and {len(lines) - MOST_FAULTS} more")
        raise ConfigError("\n".join(told)) from error
    made._path = path.absolute()
    made._text = text
    return made


def _other(kind: type[Document], document: Mapping[str, Any]) -> str:
    """Say so where this is the other of both files: of its keys nearly all would be faults."""
    lab = {"data", "measurements"} <= document.keys()
    if kind is Params and lab:
        return (
            "describes lab files, as an experiment.toml does, for `virtlab train`; "
            "expected a params.toml: what to simulate"
        )
    if kind is Experiment and not lab and isinstance(document.get("model"), str):
        return (
            "says what to simulate, as a params.toml does, for `virtlab simulate`; "
            "expected an experiment.toml: what lab files hold"
        )
    return ""


def _parse_toml(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = str(error)
        if said.startswith("Cannot"):  # tomllib's words for a key or table given twice
            where = re.search(r"\(at [^()]*\)$", said)
            said = f"a key or table stands twice {where[0] if where else ''}".rstrip()
        raise ConfigError(f"{path}: not valid TOML: {said}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: not valid TOML: nested too deeply") from error
    except ValueError as error:  # a date such as 2020-13-45, or an integer of 5,000 digits
        raise ConfigError(f"{path}: not valid TOML: {_shortened(str(error))}") from error


def _line(kind: type[BaseModel], error: Any) -> str:
    """Write one fault as `key: what is wrong`."""
    loc = [step for step in error["loc"] if step not in ("<range>", "<list>", "<value>")]
    text = _told(kind, loc, error)
    return f"{key}: {text}" if (key := _key(loc)) else text


def _key(loc: list[str | int]) -> str:
    """Write the path of a key as TOML does; items of lists count from 1."""
    words = [
        f"[item {step + 1}]"
        if isinstance(step, int)
        else f".{step}"
        if re.fullmatch(r"[\w-]+", step)
        else f".{json.dumps(step)}"
        for step in loc
        if step != "[key]"
    ]
    return "".join(words).removeprefix(".")


_WANTED = {
    "string_type": "a text in quotes",
    "float_type": "a number",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list [ … ]",
    "dict_type": "a table",
    "model_type": "a table",
    "finite_number": "a finite number",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "string_too_short": "a text that is not empty",
    "string_too_long": "at most {max_length} characters",
    "too_short": "at least one entry",
    "too_long": "at most {max_length} entries",
    "literal_error": "{expected}",
    "string_pattern_mismatch": "a name of letters, digits and _ (no digit first, at most 64)",
}


def _told(kind: type[BaseModel], loc: list[str | int], error: Any) -> str:
    """Say what is wrong with one key, in a lab user's words."""
    fault, found, context = error["type"], error["input"], error.get("ctx", {})
    if fault == "missing":
        return "missing; it is required"
    if fault == "extra_forbidden":
        return f"unknown key{suggestion(str(loc[-1]), _known_keys(kind, loc[:-1]))}"
    if fault == "fault":
        return str(error["msg"])
    if fault == "value_error":
        return f"{context['error']}, found {_shown(found)}"
    if fault == "int_type" and isinstance(found, float) and found.is_integer():
        return f"expected a whole number, found {found}; use the whole number {int(found)}"
    wanted = _WANTED.get(fault)
    if wanted is None:
        return f"{error['msg']}, found {_shown(found)}"
    text = f"expected {wanted.format(**context)}, found {_shown(found)}"
    if fault == "literal_error" and isinstance(found, str):
        known = re.findall(r"'([^']*)'", context["expected"])
        near = suggestion(found, known)
        return text + (near if "did you mean" in near else "")
    if fault == "list_type" and isinstance(found, str | int | float):
        return f"{text}; write [{_shown(found)}]"
    return text


def _known_keys(kind: type[BaseModel], loc: list[str | int]) -> list[str]:
    """List the keys that the table at `loc` may have."""
    place: Any = kind
    for step in loc:
        if isinstance(place, type) and issubclass(place, BaseModel):
            place = place.model_fields[str(step)].annotation
        else:  # dict[Name, X], list[X]
            place = typing.get_args(place)[-1]
        place = _table_among(place)
    return list(place.model_fields)


def _table_among(annotation: Any) -> Any:
    """Find the table that an annotation such as `X | None` allows; else return it."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _table_among(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        for option in map(_table_among, typing.get_args(annotation)):
            if isinstance(option, type) and issubclass(option, BaseModel):
                return option
    return annotation


def _shown(value: Any) -> str:
    """Write a value as TOML does, cut to what fits a line."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return _shortened("[" + ", ".join(_shown(item) for item in value[:10]) + "]")
    if isinstance(value, float):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool):
        # str() of an integer beyond 4,300 digits is an error.
        return str(value) if abs(value) < 10**20 else "a number beyond 1e20"
    if isinstance(value, bool | str):
        return _shortened(json.dumps(value, ensure_ascii=False))
    return _shortened(str(value))


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"


def _listed(names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} and {names[-1]}"
