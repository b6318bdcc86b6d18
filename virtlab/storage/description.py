"""One HDF5 object in a few words: type, compression, attributes, and what is wrong with it.

Nothing large is read: attributes and single values have a size limit, data stay where they
are. Text comes out as it stands in the file; whoever prints it calls `printable`.
"""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from virtlab.storage.arrays import text

_MOST_BYTES = 4096
_MOST_ATTRIBUTES = 1000
_MOST_ITEMS = 6
_FILTERS = {
    1: "gzip",
    2: "shuffle",
    3: "fletcher32",
    4: "szip",
    5: "nbit",
    6: "scale-offset",
    307: "bzip2",
    32000: "lzf",
    32001: "blosc",
    32004: "lz4",
    32008: "bitshuffle",
    32013: "zfp",
    32015: "zstd",
    32017: "sz",
    32024: "sz3",
    32026: "blosc2",
}
# What h5py raises for objects that it cannot map or read.
UNREADABLE = (OSError, RuntimeError, TypeError, ValueError, KeyError, OverflowError)


def printable(value: str, most: int = 1000) -> str:
    """Escape control characters and cut: text from a file must not drive a terminal."""
    cut = value if len(value) <= most else value[: most - 1] + "…"
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in cut
    )


def describe_dataset(dataset: h5py.Dataset) -> dict[str, Any]:
    """Return shape, dtype, units, storage, value, attributes, note and faulty of a dataset."""
    attributes, fault = describe_attributes(dataset)
    units = attributes.pop("units", "") or attributes.pop("unit", "")
    faults = [fault] if fault else []
    notes: list[str] = []
    dtype = ""
    try:
        dtype = dtype_name(dataset.dtype)
    except UNREADABLE as error:
        faults.append(f"its type cannot be read by h5py ({error})")
    with contextlib.suppress(*UNREADABLE):
        if dataset.is_virtual:
            (faults if _missing_sources(dataset) else notes).append(_virtual(dataset))
        if dataset.external:
            faults.append(f"its data stand outside the file, in {dataset.external[0][0]}")
    storage, unknown = _storage(dataset)
    faults += [f"compressed with {name}, which is not installed" for name in unknown]
    if unknown:
        faults[-1] += ': pip install "virtlab[filters]"'
    return {
        "shape": dataset.shape,
        "dtype": dtype,
        "units": units,
        "storage": storage,
        "value": "" if faults else _single_value(dataset),
        "attributes": attributes,
        "note": "; ".join([*faults, *notes, *(["holds nothing"] * (dataset.shape is None))]),
        "faulty": bool(faults),
    }


def describe_attributes(item: h5py.Group | h5py.Dataset) -> tuple[dict[str, str], str]:
    """Return the attributes as text, and what is wrong with them or ``""``."""
    described: dict[str, str] = {}
    unreadable: list[str] = []
    try:
        names = list(item.attrs)
    except UNREADABLE as error:
        return {}, f"its attributes cannot be listed ({error})"
    for name in names[:_MOST_ATTRIBUTES]:
        try:
            described[name] = _attribute(item, name)
        except UNREADABLE:
            unreadable.append(name)
    left_out = len(names) - _MOST_ATTRIBUTES
    if left_out > 0:
        described["…"] = f"and {left_out} more"
    return described, f"unreadable attributes: {', '.join(unreadable[:5])}" if unreadable else ""


def _attribute(item: h5py.Group | h5py.Dataset, name: str) -> str:
    stored = h5py.h5a.open(item.id, name.encode("utf-8", "surrogateescape"))
    if math.prod(stored.shape) * stored.dtype.itemsize > _MOST_BYTES:
        return f"{shape_name(stored.shape)} {dtype_name(stored.dtype)}"
    return value_text(item.attrs[name])


def value_text(value: Any) -> str:
    """Write a small value short: ``12.5``, ``text``, ``[1, 2, 3, … 10 in all]``."""
    if isinstance(value, h5py.Empty):
        return "(null)"
    if isinstance(value, h5py.Reference | h5py.RegionReference):
        return "(reference)"
    array = np.asarray(value)
    if array.ndim == 0 or (array.size == 1 and array.dtype.names is None):
        return _cut(_scalar(array.reshape(-1)[0]))
    items = [_cut(_scalar(each), 60) for each in array.reshape(-1)[:_MOST_ITEMS]]
    end = f", … {array.size} in all" if array.size > _MOST_ITEMS else ""
    return f"[{', '.join(items)}{end}]"


def _scalar(value: Any) -> str:
    if isinstance(value, bytes | str):
        return text(value)
    if isinstance(value, h5py.Reference | h5py.RegionReference):
        return "(reference)"
    if isinstance(value, float | np.floating):
        return f"{float(str(value)):.10g}"  # str: a float32 without its rounding noise
    return str(value)


def _cut(value: str, most: int = 500) -> str:
    return value if len(value) <= most else f"{value[:most]}… ({len(value)} characters)"


def shape_name(shape: tuple[int, ...] | None) -> str:
    """Write a shape as ``215 × 100``."""
    if shape is None:
        return "null"
    return " × ".join(map(str, shape)) or "scalar"


def dtype_name(dtype: np.dtype[Any]) -> str:
    """Name a type as a scientist would: ``float64``, ``text``, ``enum {OFF, ON}``."""
    string = h5py.check_string_dtype(dtype)
    if string is not None:
        return "text" if string.length is None else f"text[{string.length}]"
    enum = h5py.check_enum_dtype(dtype)
    if enum is not None:
        members = list(enum)
        return f"enum {{{', '.join(members[:6])}{', …' if len(members) > 6 else ''}}}"
    inner = h5py.check_vlen_dtype(dtype)
    if inner is not None:
        return f"variable length {dtype_name(np.dtype(inner))}"
    if h5py.check_ref_dtype(dtype) is not None:
        return "reference"
    if dtype.names:
        fields = [f"{name}: {dtype_name(dtype[name])}" for name in dtype.names]
        return f"compound {{{', '.join(fields[:8])}{', …' if len(fields) > 8 else ''}}}"
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return f"{dtype_name(base)}[{shape_name(shape)}]"
    return dtype.name


def _virtual(dataset: h5py.Dataset) -> str:
    sources, missing = dataset.virtual_sources(), _missing_sources(dataset)
    if not missing:
        return f"virtual, assembled from {len(sources)} sources"
    listed = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
    return f"virtual; of {len(sources)} sources {len(missing)} missing: {listed}"


def _missing_sources(dataset: h5py.Dataset) -> list[str]:
    """List the files and datasets that a virtual dataset names and that are not there."""
    folder = Path(dataset.file.filename).parent
    missing = []
    for source in dataset.virtual_sources():
        inside = source.file_name == "."
        there = source.dset_name in dataset.file if inside else (folder / source.file_name).exists()
        if not there and "%b" not in source.file_name:  # a pattern for blocks, not a name
            missing.append(source.dset_name if inside else source.file_name)
    return missing


def _storage(dataset: h5py.Dataset) -> tuple[str, list[str]]:
    """Return chunks and filters as text, and the names of filters that are not installed."""
    unknown, parts = [], []
    try:
        plist = dataset.id.get_create_plist()
        if dataset.chunks:
            parts.append(f"chunks {shape_name(dataset.chunks)}")
        for number in range(plist.get_nfilters()):
            code, _, options, label = plist.get_filter(number)
            name = _FILTERS.get(code) or text(label) or "a filter"
            parts.append(f"{name} {options[0]}" if code == 1 and options else name)
            if not _installed(code):
                unknown.append(f"{name} (filter {code})")
    except UNREADABLE:
        parts.append("storage unknown")
    return ", ".join(parts), unknown


def _installed(code: int) -> bool:
    if not h5py.h5z.filter_avail(code):
        with contextlib.suppress(ImportError):
            import hdf5plugin  # noqa: F401  (registers its filters)
    return bool(h5py.h5z.filter_avail(code))


def _single_value(dataset: h5py.Dataset) -> str:
    """Return the value of a dataset that holds one small thing, else ``""``."""
    try:
        if dataset.size != 1 or dataset.dtype.itemsize > _MOST_BYTES or dataset.is_virtual:
            return ""
        return value_text(dataset[()])
    except UNREADABLE:
        return ""
