"""Settings from CSV files beside params.toml: what is possible, and what runs already."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from virtlab.conditioning import Parameter
from virtlab.config import Params, Range, read_text
from virtlab.design import Design, make_design
from virtlab.errors import ConfigError, SettingError

MOST_BYTES = 2**27


def read_candidates(params: Params, path: Path, parameters: Sequence[Parameter]) -> Design:
    """Read settings, a line each, from a CSV whose header names parameters.

    Parameters
    ----------
    params
        Gives the parameters that have no column: a single value each.
    path
        Of the file.
    parameters
        The model's.

    Raises
    ------
    ConfigError, SettingError
        The file cannot be read, a column is no parameter, a parameter has neither a column nor
        a value, or a value cannot be used; the message names file, line and column.
    """
    lines = read_text(path, MOST_BYTES).splitlines() or [""]
    header = [name.strip() for name in next(csv.reader(lines[:1]), [])]
    others = {name: given for name, given in params.parameters.items() if name not in header}
    several = [name for name, given in others.items() if isinstance(given, Range | list)]
    if several and set(header) <= {parameter.name for parameter in parameters} and header:
        raise ConfigError(
            f"{path.name}: no column {several[0]!r}, of which {params.path.name} has several "
            f"values; add the column, or give {several[0]} a single value"
        )
    constants = {name: given for name, given in others.items() if name not in several}
    table = {"design": "table", "file": str(path.absolute()), "parameters": constants}
    try:
        return make_design(params.model_copy(update=table | {"size": None}), parameters)
    except SettingError as error:
        columns = ", ".join(parameter.name for parameter in parameters)
        raise SettingError(f"{error}\n{path.name} has a column per parameter: {columns}") from error
