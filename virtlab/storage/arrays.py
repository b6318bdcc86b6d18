"""One dataset, attribute or column of a lab HDF5 file as a `RawArray`.

Only what can become numbers or categories is read; everything else is refused from its
description, before a byte of it is loaded.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from virtlab.errors import DataError
from virtlab.plugins import RawArray
from virtlab.storage.hdf5 import Address, locate, nearest, place
from virtlab.storage.packing import unpack

_COLUMN_NAMES = ("column_names", "columns", "names", "fields", "labels")
_COLUMN_UNITS = ("column_units", "units")
_LABEL_WITH_UNIT = re.compile(r"^(?P<name>.*\S)\s*\((?P<unit>[^()]*)\)$")
_BOMB = 2**30
"""Bytes from which a dataset must have a plausible part of its size on disk."""


def read_array(
    base: h5py.Group, path: str, *, rows: slice | None = None, axis: int = 0
) -> RawArray:
    """Read what a path names: ``dataset``, ``object@attribute`` or ``table:column``.

    Enums become their names, text becomes ``str``, and what CF packed is unpacked; all else
    keeps its type.

    Parameters
    ----------
    base
        Where a path without a leading slash starts.
    path
        As in experiment.toml.
    rows
        Read these alone, along `axis` of a dataset or down a column; None: all of it.
    axis
        Of a dataset; not negative.

    Raises
    ------
    DataError
        Nothing stands there, or what stands there is no array of numbers or text, or its
        bytes are kept outside the file or cannot be decompressed.
    """
    try:
        return _read_path(base, path, rows, axis)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{place(base)}: {path!r}: the file is damaged here ({error}); copy it again"
        ) from error


def _read_path(base: h5py.Group, path: str, rows: slice | None, axis: int) -> RawArray:
    address = locate(base, path)
    where = f"{place(base)}: {address.text!r}"
    if address.attribute is not None:
        return _read_attribute(address.item, address.attribute, where)
    if not isinstance(address.item, h5py.Dataset):
        expected = "a dataset with columns" if address.column else "a dataset, or group@attribute"
        raise DataError(f"{where}: found a group, expected {expected}{nearest('', address.item)}")
    _check_stored(address.item, where)
    if address.column is not None:
        return _read_column(address, where, rows or slice(None))
    dtype = _dtype(address.item, where)
    key = () if rows is None else (*[slice(None)] * axis, rows)
    raw = RawArray(
        values=_read(address.item, key, dtype, where),
        units=_units(address.item),
        path=address.text,
        fill=_fill(address.item),
    )
    return unpack(raw, address.item, where)


def shape_of(base: h5py.Group, path: str) -> tuple[int, ...]:
    """Shape of what `read_array` would read; ``()`` where only reading it can tell.

    Raises
    ------
    DataError
        Nothing stands there.
    """
    address = locate(base, path)
    if address.attribute is not None or not isinstance(address.item, h5py.Dataset):
        return ()
    shape: tuple[int, ...] = address.item.shape or ()
    return shape if address.column is None else shape[:1]


def text(value: Any) -> str:
    """Text from an attribute or a dataset, in UTF-8 or, as older programs wrote it, Latin-1."""
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8").rstrip("\0")
        except UnicodeDecodeError:
            return value.decode("latin-1").rstrip("\0")
    return str(value)


def column_names(table: h5py.Dataset) -> list[str]:
    """Names of a dataset's columns: a compound's fields, or from an attribute of a 2-D one."""
    if table.dtype.names:
        return list(table.dtype.names)
    if table.ndim != 2:
        return []
    for name in [*_COLUMN_NAMES, *(name for name in table.attrs if name not in _COLUMN_NAMES)]:
        names = _texts(table, name)
        if len(names) == table.shape[1] and name not in _COLUMN_UNITS:
            return names
    return []


def _texts(item: h5py.Dataset, attribute: str) -> list[str]:
    """Read a list of texts in an attribute; empty where it is something else."""
    if attribute not in item.attrs:
        return []
    try:
        values = np.asarray(item.attrs[attribute])
    except (OSError, TypeError):
        return []
    if values.ndim != 1 or values.dtype.kind not in "OSU":
        return []
    return [text(value) for value in values]


def _read_attribute(item: h5py.Group | h5py.Dataset, name: str, where: str) -> RawArray:
    if name not in item.attrs:
        raise DataError(f"{where}: no such attribute{nearest(name, item.attrs)}")
    try:
        dtype = item.attrs.get_id(name).dtype
        value = item.attrs[name]
    except (OSError, TypeError, RuntimeError) as error:
        raise DataError(f"{where}: the attribute cannot be read ({error})") from error
    if isinstance(value, h5py.Empty):
        raise DataError(f"{where}: the attribute is empty (null)")
    _check_dtype(dtype, where)
    units = [text(item.attrs[n]) for n in (f"{name}_units", f"{name}_unit") if n in item.attrs]
    return RawArray(
        _plain(np.asarray(value), dtype), units[0] if units else None, f"{item.name}@{name}"
    )


def _read_column(address: Address, where: str, rows: slice) -> RawArray:
    """Read a field of a compound dataset, or a column of a 2-D one by its name or number."""
    table, column = address.item, str(address.column)
    dtype = _dtype(table, where)
    names = column_names(table)
    if dtype.names is None and table.ndim != 2:
        raise DataError(
            f"{where}: found shape {table.shape}, expected a table: a compound or a 2-D dataset"
        )
    number = _column_number(names, column, 0 if dtype.names else table.shape[1])
    if number is None:
        known = names or [str(i) for i in range(table.shape[1])]
        raise DataError(f"{where}: no such column{nearest(column, known)}")
    if dtype.names:
        field = dtype.names[number]
        values = _read(table.fields(field), rows, dtype[field], where)
        fill = _fill(table, field)
    else:
        values = _read(table, (rows, number), dtype, where)
        fill = _fill(table)
    raw = RawArray(values, _column_units(table, names, number), address.text, fill)
    return raw if dtype.names else unpack(raw, table, where)


def _column_number(names: list[str], column: str, width: int) -> int | None:
    """By full name, by the name without a unit in brackets, or by number."""
    if column in names:
        return names.index(column)
    bare = [m["name"] if (m := _LABEL_WITH_UNIT.match(name)) else name for name in names]
    if bare.count(column) == 1:
        return bare.index(column)
    if column.isdecimal() and int(column) < width:
        return int(column)
    return None


def _column_units(table: h5py.Dataset, names: list[str], number: int) -> str | None:
    for attribute in _COLUMN_UNITS:
        units = _texts(table, attribute)
        if len(units) == max(len(names), 1):
            return units[number]
    label = _LABEL_WITH_UNIT.match(names[number]) if names else None
    return label["unit"].strip() if label else _units(table)


def _units(item: h5py.Dataset) -> str | None:
    """Read the text of the attribute ``units`` or ``unit``; None where there is none."""
    for name in ("units", "unit"):
        if name in item.attrs:
            value = np.asarray(item.attrs[name])
            if value.size == 1 and value.dtype.kind in "OSU":
                return text(value.ravel()[0]).strip()
    return None


def _fill(dataset: h5py.Dataset, field: str | None = None) -> list[Any] | None:
    """List what the file itself says means "missing"; None for nothing.

    HDF5 gives every dataset a fill value; only one that somebody chose, and not zero, means
    missing.
    """
    fills: list[Any] = []
    if dataset.id.get_create_plist().fill_value_defined() == h5py.h5d.FILL_VALUE_USER_DEFINED:
        chosen = np.asarray(dataset.fillvalue)
        fills.append(chosen if field is None else chosen[field])
    for name in ("_FillValue", "missing_value"):
        if name in dataset.attrs and not isinstance(dataset.attrs[name], h5py.Empty):
            fills.extend(np.asarray(dataset.attrs[name]).ravel())
    scalars = [np.asarray(fill) for fill in fills if np.ndim(fill) == 0]
    plain = [text(fill[()]) if fill.dtype.kind in "OSU" else fill[()] for fill in scalars]
    return [fill for fill in plain if isinstance(fill, np.void) or fill not in (0, "")] or None


def _dtype(dataset: h5py.Dataset, where: str) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = dataset.dtype
    except (TypeError, OSError) as error:
        raise DataError(f"{where}: its type cannot be read ({error})") from error
    if dataset.shape is None:
        raise DataError(f"{where}: the dataset is empty (null dataspace)")
    return dtype


def _check_dtype(dtype: np.dtype[Any], where: str) -> None:
    """Refuse what is neither numbers nor text."""
    found = None
    if h5py.check_ref_dtype(dtype) is not None:
        found = "references; give the path of what they refer to"
    elif h5py.check_string_dtype(dtype) is not None:
        return
    elif h5py.check_vlen_dtype(dtype) is not None:
        found = "rows of different lengths; store them as one rectangular dataset"
    elif dtype.names and set(dtype.names) == {"r", "i"}:
        found = "complex numbers; choose a column, ':r' or ':i', or store amplitude and phase"
    elif dtype.names:
        found = f"a compound; choose a column: {', '.join(dtype.names)}"
    elif dtype.kind == "c":
        found = "complex numbers; store real and imaginary part, or amplitude and phase"
    elif dtype.base.kind not in "fiubSU":
        found = f"type {dtype}"
    if found is not None:
        raise DataError(f"{where}: expected numbers or text, found {found}")


def _check_stored(dataset: h5py.Dataset, where: str) -> None:
    """Refuse data outside the file, filters that are not here, and sizes that are a lie."""
    if dataset.external:
        raise DataError(f"{where}: its values are kept in another file, outside the HDF5 file")
    if dataset.is_virtual:
        outside = [s.file_name for s in dataset.virtual_sources() if s.file_name != "."]
        if outside:
            raise DataError(
                f"{where}: a virtual dataset over other files ({outside[0]!r}, …); "
                "name those files in [data] files instead"
            )
        return
    _check_filters(dataset, where)
    stored = dataset.id.get_storage_size()
    if dataset.nbytes > _BOMB and dataset.nbytes > 2000 * stored:
        raise DataError(
            f"{where}: says it holds {dataset.nbytes:,} bytes, but only {stored:,} are stored"
        )


def _check_filters(dataset: h5py.Dataset, where: str) -> None:
    plist = dataset.id.get_create_plist()
    for number in range(plist.get_nfilters()):
        code = plist.get_filter(number)[0]
        if h5py.h5z.filter_avail(code):
            continue
        with contextlib.suppress(ImportError):
            import hdf5plugin  # noqa: F401  (registers its filters)
        if not h5py.h5z.filter_avail(code):
            raise DataError(
                f"{where}: compressed with filter {code}, which is not installed; "
                "pip install virtlab[filters]"
            )


def _read(source: Any, key: Any, dtype: np.dtype[Any], where: str) -> NDArray[Any]:
    _check_dtype(dtype, where)
    try:
        values = np.asarray(source[key])
    except MemoryError as error:
        raise DataError(f"{where}: too big for this machine's memory") from error
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f"{where}: its values are damaged and cannot be read ({error})") from error
    return _plain(values, dtype)


def _plain(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Enums by their names, all text as ``str``; numbers as they are."""
    enum = h5py.check_enum_dtype(dtype)
    if enum is not None:
        names = {int(code): name for name, code in enum.items()}
        codes, inverse = np.unique(values, return_inverse=True)
        known = np.array([names.get(int(code), "") for code in codes], dtype=object)
        return known[inverse.ravel()].reshape(values.shape)
    if values.dtype.kind in "OSU":
        flat = [text(value) for value in values.ravel()]
        return np.array(flat, dtype=object).reshape(values.shape)
    return values
