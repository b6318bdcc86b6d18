"""Writes a screen: as CSV for people and planners, or as a dataset with all it knows of itself."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from virtlab.errors import ConfigError, OutputError
from virtlab.modelfile import replace_whole
from virtlab.screening.dataset import GOAL, parameters_of
from virtlab.screening.spread import NORMAL
from virtlab.storage import output as datasets
from virtlab.trials import SETTING

if TYPE_CHECKING:
    import xarray as xr

CSV = ".csv"
JSON = ".json"
ENDS = ("objective_low", "objective_high")
VIRTUAL = "virtual_data"
"""Last column of a CSV: 1 in every line."""


def outputs_of(output: Path | Sequence[Path] | None) -> tuple[Path, ...]:
    """Give one output, several or none as a tuple."""
    if output is None:
        return ()
    return (output,) if isinstance(output, Path) else tuple(output)


def check_output(path: Path, *, force: bool = False) -> None:
    """Refuse an output that cannot be written, before the work that fills it is done.

    Raises
    ------
    ConfigError, OutputError
        See `write_screen`.
    """
    check_file(path, "screen", _is_screen, f".html, {CSV}", force=force)


def check_file(
    path: Path, what: str, is_own: Callable[[Path], bool], first: str = CSV, *, force: bool
) -> None:
    """Refuse a table or dataset that cannot be written; as `check_place`.

    Parameters
    ----------
    first
        The suffixes that are named first where another one is found.

    Raises
    ------
    ConfigError, OutputError
        The suffix names no format, or something else is there.
    """
    if path.suffix in (datasets.NETCDF, datasets.ZARR):
        datasets.check_output(path, force=force)
        return
    if path.suffix not in (CSV, JSON) or "\0" in str(path):
        raise ConfigError(
            f"output {str(path)!r}: expected a name that ends in {first}, {JSON}, "
            f"{datasets.NETCDF} or {datasets.ZARR}, found {path.suffix or 'no suffix'!r}"
        )
    check_place(path, what, is_own, force=force)


def check_place(
    path: Path,
    what: str,
    is_own: Callable[[Path], bool],
    *,
    force: bool = False,
    ways: str = "--force to replace it",
) -> None:
    """Refuse to write where nothing can be written, or where something else stands.

    Parameters
    ----------
    what, is_own
        What is replaced if it is forced, in a word, and whether a file is such.
    force
        Replace it.
    ways
        What the user can do about one that is there.

    Raises
    ------
    OutputError
        The folder is missing or closed, or a file is there.
    """
    if not path.parent.is_dir():
        found = "is not a folder" if path.parent.exists() else "does not exist"
        raise OutputError(f"{path}: the folder {path.parent} {found}; create it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: no permission to write in the folder {path.parent}")
    if os.path.lexists(path):
        if not path.is_file():
            raise OutputError(f"{path} is not a regular file; choose another name")
        if not is_own(path):
            raise OutputError(
                f"{path} exists and is no {what}, which virtlab never replaces, not even with "
                "--force; choose another name or move it away"
            )
        if not force:
            raise OutputError(f"{path} exists; use {ways}")


def _is_screen(path: Path) -> bool:
    """A CSV or JSON that this room wrote, and not a lab's own."""
    try:
        with path.open("rb") as file:
            header = file.readline(2**16)
    except OSError:
        return False
    if path.suffix == JSON:
        return header.startswith(f'[{{"{VIRTUAL}": 1, '.encode()) or header == b"[]\n"
    return header.startswith(b"rank,") and header.endswith(f",{VIRTUAL}\n".encode())


def write_screen(dataset: xr.Dataset, path: Path, *, force: bool = False) -> None:
    """Write a screen's dataset whole or not at all, in the format that the suffix names.

    Parameters
    ----------
    dataset
        See `Screen`.
    path
        Ends in ``.csv``, ``.json``, ``.nc`` (NetCDF-4) or ``.zarr``.
    force
        Replace what stands there.

    Raises
    ------
    ConfigError
        The suffix names no format.
    OutputError
        Something is there already, or the path cannot be written.
    """
    check_output(path, force=force)
    if path.suffix == CSV:
        replace_whole(path, csv_text(dataset).encode())
    elif path.suffix == JSON:
        replace_whole(path, json_text(dataset).encode())
    else:
        datasets.write_virtual_trials(dataset, path, force=force)


def csv_text(dataset: xr.Dataset) -> str:
    """One line per setting: rank (blank outside the data), parameters, what was found.

    Of several goals each has its own columns, as ``expected_objective[maximize light]``. A
    last column says of each line that it is virtual.
    """
    columns = {"rank": [place or "" for place in dataset["rank"].values.tolist()]}
    columns |= {name: dataset[name].values.tolist() for name in parameters_of(dataset)}
    for name, variable in dataset.data_vars.items():
        if GOAL in variable.dims:
            for number, goal in enumerate(dataset[GOAL].values):
                columns[f"{name}[{goal}]"] = variable.values[:, number].tolist()
        elif name != "rank":
            columns[str(name)] = variable.values.tolist()
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*columns, VIRTUAL])
    for row in zip(*columns.values(), strict=True):
        # NaN is the only value that is not itself: not counted, so left blank
        known = ["" if value != value else value for value in row]
        writer.writerow([*known, dataset.attrs[VIRTUAL]])
    return file.getvalue()


def json_text(dataset: xr.Dataset) -> str:
    """A list of what planners take for trials, one per ranked setting and line, best first.

    Each has ``parameters``, and by goal ``values`` (expected) and ``errors`` (their standard
    errors, noise and ignorance together), as Ax, BayBE and Optuna want them one way or the
    other. What lies outside the training data is left out: a planner would believe it.
    """
    ranked = dataset.isel({SETTING: slice(0, int((dataset["rank"] > 0).sum()))})
    names = dataset.attrs["goal_names"].splitlines()
    error = None
    if names:
        # half an interval that holds the truth nine times out of ten is 1.645 standard errors;
        # the longer half, since the other may end where values become impossible
        mean, low, high = (ranked[n] for n in ("expected_objective", *ENDS))
        error = np.maximum(high - mean, mean - low) / NORMAL
    lines = []
    for at in range(ranked.sizes[SETTING]):
        one = ranked.isel({SETTING: at})
        record = {
            VIRTUAL: 1,
            "rank": int(one["rank"]),
            "parameters": {name: one[name].values.item() for name in parameters_of(ranked)},
        }
        if error is not None:
            for key, found in (("values", one["expected_objective"]), ("errors", error[at])):
                record[key] = dict(zip(names, np.ravel(found.values).tolist(), strict=True))
        for key in ("require_probability", "cost"):
            if key in one:
                record[key] = one[key].values.item()
        lines.append(json.dumps(record | {"domain": one["domain"].values.item()}))
    return "[" + ",\n".join(lines) + "]\n"
