"""Writes virtual trials to NetCDF-4 or Zarr: whole or not at all, the same bytes every time.

HDF5 on a full disk can crash the process, and overwriting in place can lose the old file, so
a result is always made beside its place and moved there when it is complete.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import secrets
import shutil
import time
import warnings
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.errors import ConfigError, OutputError

if TYPE_CHECKING:  # only whoever already holds a Dataset has paid for xarray
    import h5py
    import xarray as xr

NETCDF = ".nc"
ZARR = ".zarr"
COMPLETE = "complete"
"""Root attribute of a Zarr store, written last: a store without it is unfinished."""

_NETCDF_CHUNK = 2**20  # HDF5's chunk cache holds 1 MiB
_ZARR_CHUNK = 2**23


def write_virtual_trials(dataset: xr.Dataset, path: Path, *, force: bool = False) -> None:
    """Write virtual trials to `path`, in the format that its suffix names.

    Parameters
    ----------
    dataset
        Virtual trials, in memory. Its attrs are text, numbers or lists of them.
    path
        Ends in ``.nc`` (NetCDF-4) or ``.zarr`` (a Zarr v3 folder).
    force
        Replace virtual trials that stand there already.

    Raises
    ------
    ConfigError
        The suffix names no format.
    OutputError
        Something is there already, the folder is missing or cannot be written, the disk is
        full, or an attribute cannot be stored. Nothing is left behind, and what stood at
        `path` is as it was.
    """
    check_output(path, force=force)
    plain = _plain(dataset)
    write = _write_netcdf if path.suffix == NETCDF else _write_zarr
    try:
        write(plain, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


def check_output(path: Path, *, force: bool = False) -> None:
    """Refuse an output that cannot be written, before the work that fills it is done.

    Raises
    ------
    ConfigError, OutputError
        See `write_virtual_trials`.
    """
    if path.suffix not in (NETCDF, ZARR) or "\0" in str(path):
        raise ConfigError(
            f"output {str(path)!r}: expected a name that ends in {NETCDF} (NetCDF) or "
            f"{ZARR} (Zarr), found {path.suffix or 'no suffix'!r}"
        )
    folder = path.parent
    if not folder.is_dir():
        found = "is not a folder" if folder.exists() else "does not exist"
        raise OutputError(f"{path}: the folder {folder} {found}; create it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: no permission to write in the folder {folder}")
    if not os.path.lexists(path):
        return
    _check_replaceable(path)
    if not force:
        raise OutputError(f"{path} exists; use --force to replace it")


def _check_replaceable(path: Path) -> None:
    """`path` is something that this room may replace; it never deletes what is not its own."""
    if path.suffix == NETCDF:
        if path.is_dir():
            raise OutputError(f"{path} is a folder; choose another name or move it away")
        if path.exists() and not path.is_file():
            raise OutputError(f"{path} is not a regular file; choose another name")
    found = _foreign_file(path) if path.suffix == NETCDF else _foreign(path)
    if found:
        raise OutputError(
            f"{path} exists and is {found}, which virtlab never deletes, not even with "
            "--force; choose another name or move it away"
        )


def _foreign_file(path: Path) -> str:
    """Say what stands at a .nc path, ``""`` for virtual trials, nothing, or an empty file."""
    import h5py

    if not path.exists() or not path.stat().st_size:
        return ""
    try:
        with h5py.File(path, "r", locking=False) as file:
            ours = bool(file.attrs.get("virtual_data"))
    except (OSError, ValueError, RuntimeError):
        return "no NetCDF-4 file"
    return "" if ours else "a file that holds no virtual trials"


def _foreign(path: Path) -> str:
    """Say what stands at a .zarr path, ``""`` for a store of virtual trials."""
    if path.is_symlink():
        return "a symbolic link"
    if not path.is_dir():
        return "a file, not a Zarr store"
    try:
        root = json.loads((path / "zarr.json").read_bytes())
        attributes = root["attributes"] if root["node_type"] == "group" else {}
    except (OSError, ValueError, KeyError, TypeError):
        return "a folder that is no Zarr v3 store"
    return "" if attributes.get("virtual_data") else "a Zarr store that holds no virtual trials"


def _plain(dataset: xr.Dataset) -> xr.Dataset:
    """Copy, with attrs that both formats can hold and without inherited encodings."""
    plain = dataset.drop_encoding()
    plain.attrs = _storable(dataset.attrs, "the dataset")
    for name, variable in dataset.variables.items():
        plain[name].attrs = _storable(variable.attrs, f"{name!r}")
    return plain


def _storable(attrs: Mapping[Any, Any], where: str) -> dict[str, Any]:
    """Attrs as text, numbers and lists of them; booleans become 0 and 1."""
    return {str(name): _storable_value(value, str(name), where) for name, value in attrs.items()}


def _storable_value(value: Any, name: str, where: str) -> Any:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str) and "\0" not in value:
        return value
    if isinstance(value, int | float):
        return value
    if isinstance(value, list | tuple) and not any(isinstance(v, list | tuple) for v in value):
        return [_storable_value(item, name, where) for item in value]
    raise OutputError(
        f"attribute {name!r} of {where} cannot be stored: expected text, a number or a list "
        f"of them, found {value!r:.80}"
    )


def _write_netcdf(dataset: xr.Dataset, path: Path) -> None:
    """Make the file in memory, then move it into place."""
    content = _netcdf_image(dataset)
    partial = _partial(path)
    try:
        # 0o666 and O_EXCL: the user's umask decides, and nobody else's file is written
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def _netcdf_image(dataset: xr.Dataset) -> memoryview:
    """Return the bytes of a NetCDF-4 file."""
    import h5netcdf
    from xarray.backends import H5NetCDFStore

    for name, variable in dataset.variables.items():
        variable.encoding = {"_FillValue": None}  # CF: coordinates are never missing
        if name in dataset.data_vars and variable.dtype.kind == "f":
            variable.encoding = {"_FillValue": variable.dtype.type(np.nan)}
            if variable.dims and variable.size:
                chunks = _chunks(variable, _NETCDF_CHUNK)
                variable.encoding |= {"zlib": True, "complevel": 1, "shuffle": True}
                variable.encoding |= {"chunksizes": chunks}
    buffer = io.BytesIO()
    with _timeless_hdf5(buffer) as hdf5, h5netcdf.File(hdf5, "w") as file:
        dataset.dump_to_store(H5NetCDFStore(file))
    return buffer.getbuffer()


def _timeless_hdf5(buffer: io.BytesIO) -> h5py.File:
    """Open a new HDF5 file whose root group, unlike h5py's own, holds no clock times."""
    import h5py

    creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    creation.set_obj_track_times(False)
    by_creation = h5py.h5p.CRT_ORDER_TRACKED | h5py.h5p.CRT_ORDER_INDEXED
    creation.set_link_creation_order(by_creation)  # netCDF-4 asks for both
    creation.set_attr_creation_order(by_creation)
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    access.set_libver_bounds(h5py.h5f.LIBVER_EARLIEST, h5py.h5f.LIBVER_V18)
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, buffer)
    # The driver takes the file from `buffer`; its name is only a label.
    return h5py.File(h5py.h5f.create(b"virtual trials", h5py.h5f.ACC_TRUNC, creation, access))


def _write_zarr(dataset: xr.Dataset, path: Path) -> None:
    """Write the store beside its place, mark it complete, then rename it into place."""
    partial = _partial(path)
    try:
        _fill_store(dataset, partial)
        for file in sorted(partial.rglob("*")):
            _sync(file)
        with _moved_aside(path):
            partial.rename(path)
    except BaseException:
        _remove(partial)
        raise
    _sync(path.parent)


def _remove(store: Path) -> None:
    """Remove a failed store; zarr's own threads may still be writing what did not fail."""
    for _ in range(50):
        shutil.rmtree(store, ignore_errors=True)
        if not store.exists():
            return
        time.sleep(0.02)


def _fill_store(dataset: xr.Dataset, store: Path) -> None:
    import zarr
    from zarr.codecs import Crc32cCodec, ZstdCodec
    from zarr.errors import UnstableSpecificationWarning

    encoding: dict[Hashable, dict[str, Any]] = {}
    for name, variable in dataset.variables.items():
        settings: dict[str, Any] = {"compressors": (ZstdCodec(level=1), Crc32cCodec())}
        if variable.size:
            settings["chunks"] = _chunks(variable, _ZARR_CHUNK)
        # A lost chunk reads as the fill value: never let that be a plausible number.
        if variable.dtype.kind == "f":
            settings["fill_value"] = math.nan
        elif variable.dtype.kind == "i":
            settings["fill_value"] = int(np.iinfo(variable.dtype).min)
        encoding[name] = settings
    with warnings.catch_warnings():
        # Text has no final Zarr v3 specification yet; every reader that we know agrees on it.
        warnings.simplefilter("ignore", UnstableSpecificationWarning)
        dataset.to_zarr(
            store,
            mode="w-",
            zarr_format=3,
            consolidated=False,
            encoding=encoding,
            write_empty_chunks=True,
        )
        zarr.open_group(store, mode="r+").attrs[COMPLETE] = 1


def _chunks(variable: xr.Variable, limit: int) -> tuple[int, ...]:
    """Choose chunks of at most `limit` bytes; leading dims are cut first, trials stay together."""
    shape = [max(1, length) for length in variable.shape]
    size = math.prod(shape) * max(1, variable.dtype.itemsize)
    for axis, length in enumerate(shape):
        if size <= limit:
            break
        per_step = size // length
        shape[axis] = max(1, limit // per_step)
        size = per_step * shape[axis]
    return tuple(shape)


def _partial(path: Path) -> Path:
    """Return a new name beside `path`."""
    return path.with_name(f".{path.name}.partial-{secrets.token_hex(4)}")


@contextlib.contextmanager
def _moved_aside(path: Path) -> Iterator[None]:
    """Have an old store out of the way; delete it on success, put it back on failure."""
    if not path.exists():
        yield
        return
    _check_replaceable(path)  # again: the work between may have taken hours
    aside = path.with_name(f".{path.name}.old-{secrets.token_hex(4)}")
    path.rename(aside)
    try:
        yield
    except BaseException:
        aside.rename(path)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _sync(path: Path) -> None:
    """Have a file or a folder's entries on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
