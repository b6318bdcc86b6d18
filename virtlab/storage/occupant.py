"""What stands where an output is to be: only virtual trials are ever replaced."""

from __future__ import annotations

import json
import os
from pathlib import Path

from virtlab.errors import ConfigError, OutputError

NETCDF = ".nc"
ZARR = ".zarr"
HDF5 = ".h5"
PARQUET = ".parquet"
DATASETS = (NETCDF, ZARR)
"""What a Dataset is written to."""
TRIALS = (NETCDF, ZARR, HDF5, PARQUET)
"""What virtual trials are written to."""
ROOT = "zarr.json"
"""Key of a Zarr store's root metadata."""


def check_output(
    path: Path | str,
    *,
    force: bool = False,
    resume: bool = False,
    several: bool = False,
    suffixes: tuple[str, ...] = DATASETS,
) -> None:
    """Refuse an output that cannot be written, before the work that fills it is done.

    Parameters
    ----------
    path
        A path; or the URL of a Zarr store: what stands there is looked at when it is opened
        (`check_url`).
    force
        Replace virtual trials that stand there already.
    resume
        The output is one that an interrupted run may have left.
    several
        Several processes are going to write it.
    suffixes
        Formats that are expected.

    Raises
    ------
    ConfigError, OutputError
        See `virtlab.storage.output.write_virtual_trials`.
    """
    if resume and not str(path).endswith(ZARR):
        raise ConfigError(
            f"output {str(path)!r}: only a Zarr store ({ZARR}) can be gone on with; a NetCDF file "
            "is begun anew"
        )
    if several and not str(path).endswith(ZARR):
        raise ConfigError(
            f"output {str(path)!r}: several workers can only write a Zarr store ({ZARR}); name one "
            "with -o"
        )
    if isinstance(path, str):
        if not path.rstrip("/").endswith(ZARR):
            raise ConfigError(f"output {path!r}: expected a URL that ends in {ZARR}")
        return
    if path.suffix not in suffixes or "\0" in str(path):
        names = {NETCDF: "NetCDF", ZARR: "Zarr", HDF5: "HDF5", PARQUET: "Parquet"}
        known = [f"{suffix} ({names[suffix]})" for suffix in suffixes]
        raise ConfigError(
            f"output {str(path)!r}: expected a name that ends in {', '.join(known[:-1])} or "
            f"{known[-1]}, found {path.suffix or 'no suffix'!r}"
        )
    folder = path.parent
    if not folder.is_dir():
        found = "is not a folder" if folder.exists() else "does not exist"
        raise OutputError(f"{path}: the folder {folder} {found}; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: no permission to write in the folder {folder}")
    if not os.path.lexists(path):
        return
    check_replaceable(path)
    if not force:
        raise OutputError(f"{path} exists; use --force to replace it")


def check_url(url: str, root: bytes | None, *, force: bool) -> None:
    """Refuse to replace what stands behind a URL; see `check_output`.

    Parameters
    ----------
    root
        Content of its root metadata, None where it has none.
    force
        Replace virtual trials.

    Raises
    ------
    OutputError
        It is something else, or not asked for.
    """
    _refuse(url, _foreign_store(root))
    if not force:
        raise OutputError(
            f"{url} exists; --force replaces it, --resume goes on with it where its run was "
            "interrupted"
        )


def check_replaceable(path: Path) -> None:
    """`path` is something that this room may replace; it never deletes what is not its own."""
    if path.suffix != ZARR:
        if path.is_dir():
            raise OutputError(f"{path} is a folder; choose another name or move it away")
        if path.exists() and not path.is_file():
            raise OutputError(f"{path} is not a regular file; choose another name")
    looks = {ZARR: _foreign, PARQUET: _foreign_table}
    _refuse(str(path), looks.get(path.suffix, _foreign_file)(path))


def _refuse(where: str, found: str) -> None:
    if found:
        raise OutputError(
            f"{where} exists and is {found}, which virtlab never deletes, not even with "
            "--force; choose another name or move it away"
        )


def _foreign_file(path: Path) -> str:
    """Say what stands at a .nc or .h5 path, ``""`` for virtual trials or nothing."""
    import h5py

    if not path.exists() or not path.stat().st_size:
        return ""
    try:
        with h5py.File(path, "r", locking=False) as file:
            ours = bool(file.attrs.get("virtual_data"))
    except (OSError, ValueError, RuntimeError):
        return "no NetCDF-4 or HDF5 file"
    return "" if ours else "a file that holds no virtual trials"


def _foreign_table(path: Path) -> str:
    """Say what stands at a .parquet path, ``""`` for virtual trials, nothing, or an empty file."""
    from virtlab.storage.parquet import arrow

    if not path.exists() or not path.stat().st_size:
        return ""
    pyarrow, parquet = arrow()
    try:
        metadata = parquet.read_schema(path).metadata or {}
    except (OSError, pyarrow.ArrowException):
        return "no Parquet file"
    return "" if metadata.get(b"virtual_data") == b"1" else "a table that holds no virtual trials"


def _foreign(path: Path) -> str:
    """Say what stands at a .zarr path, ``""`` for a store of virtual trials."""
    if path.is_symlink():
        return "a symbolic link"
    if not path.is_dir():
        return "a file, not a Zarr store"
    root = path / ROOT
    try:
        return _foreign_store(root.read_bytes() if root.is_file() else None)
    except OSError:
        return "a folder that cannot be read"


def _foreign_store(root: bytes | None) -> str:
    """Say what a folder with this root metadata is, ``""`` for a store of virtual trials."""
    try:
        found = json.loads(root or b"")
        attributes = found["attributes"] if found["node_type"] == "group" else {}
    except (ValueError, KeyError, TypeError):
        return "a folder that is no Zarr v3 store"
    ours = isinstance(attributes, dict) and attributes.get("virtual_data")
    return "" if ours else "a Zarr store that holds no virtual trials"
