"""Writes virtual trials to NetCDF-4 region by region, straight through h5netcdf.

HDF5 on a full disk can crash the process. So it never sees the disk: what it writes goes through
`Disk`, which keeps the first error to itself, and the file is made beside its place and renamed.
"""

from __future__ import annotations

import contextlib
import secrets
import zlib
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.storage.disk import Disk, sync
from virtlab.storage.template import Region, Template, Variable, chunk_of

if TYPE_CHECKING:
    import h5py

CHUNK = 2**20  # HDF5's chunk cache holds 1 MiB
LEVEL = 1  # of deflate
FILTERS: dict[str, Any] = {"compression": "gzip", "compression_opts": LEVEL, "shuffle": True}
STORED = 2**16 - 1  # bytes of a block of deflate that is stored, at most
LOOK, WORTH = 4096, 0.6  # bytes of a plane to try, and what they must shrink to
STRATEGIES = zlib.Z_HUFFMAN_ONLY, zlib.Z_DEFAULT_STRATEGY  # the faster first
GAIN = 1.05  # by which the slower one must make a plane shorter


class NetcdfWriter:
    """A NetCDF-4 file that appears when it is whole; see `virtlab.storage.output.Writer`.

    Parameters
    ----------
    path
        Where it will be.
    template
        What it will hold.
    groups
        Templates by the group that they are written to, in place of the root; `template` is one of
        them, and the others leave nothing open.
    """

    def __init__(
        self, path: Path, template: Template, groups: Mapping[str, Template] | None = None
    ) -> None:
        self._path, self._template = path, template
        self._partial = path.with_name(f".{path.name}.partial-{secrets.token_hex(4)}")
        self._disk = Disk(self._partial)
        try:
            self._hdf5 = timeless_hdf5(self._disk)
            self._targets = _skeleton(self._hdf5, template, groups or {"": template})
        except BaseException:
            self.abort()
            raise

    def holds(self, region: Region) -> bool:  # noqa: ARG002 - a new file holds nothing
        """Whether a region is there already."""
        return False

    def pack(self, region: Region, values: Mapping[str, NDArray[Any]]) -> Any:
        """Compress a region's chunks."""
        found: list[tuple[str, tuple[int, ...], bytes]] = []
        for name, variable in self._template.drawn.items():
            chunks = self._targets[name].chunks
            whole = bytes_of(values[name], variable)
            first = [part.start for part in region] + [0] * (whole.ndim - len(region))
            for start, piece in _pieces(whole, chunks):
                begin = tuple(map(sum, zip(first, start, strict=True)))
                found.append((name, begin, _encoded(piece, chunks)))
        return found

    def write(self, packed: Any) -> None:
        """Write a region's chunks.

        Raises
        ------
        OSError
            The disk is full or fails.
        """
        from h5py._objects import phil

        for name, begin, content in packed:
            # h5py before 3.16 leaves its lock out here (its pull request 2764): another thread
            # that collects garbage of HDF5's would break both.
            with phil:
                self._targets[name].id.write_direct_chunk(begin, content)
            if self._disk.error is not None:
                raise self._disk.error

    def commit(self) -> None:
        """Close the file and move it into place."""
        try:
            self._hdf5.close()
            self._disk.close(keep=True)
            self._partial.replace(self._path)
        except BaseException:
            self._partial.unlink(missing_ok=True)
            raise
        sync(self._path.parent)

    def abort(self) -> None:
        """Leave nothing behind."""
        self._disk.error = self._disk.error or OSError("given up")
        with contextlib.suppress(Exception):
            self._hdf5.close()
        with contextlib.suppress(OSError):
            self._disk.close(keep=False)
        self._partial.unlink(missing_ok=True)


def timeless_hdf5(target: Any) -> h5py.File:
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
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, target)
    # The driver takes the file from `target`; its name is only a label.
    return h5py.File(h5py.h5f.create(b"virtual trials", h5py.h5f.ACC_TRUNC, creation, access))


def timeless_group(hdf5: h5py.File, name: str) -> None:
    """Make a group that, unlike h5py's own, holds no clock times."""
    import h5py

    creation = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    creation.set_obj_track_times(False)
    by_creation = h5py.h5p.CRT_ORDER_TRACKED | h5py.h5p.CRT_ORDER_INDEXED
    creation.set_link_creation_order(by_creation)
    creation.set_attr_creation_order(by_creation)
    h5py.h5g.create(hdf5.id, name.encode(), gcpl=creation)


def _skeleton(
    hdf5: h5py.File, template: Template, groups: Mapping[str, Template]
) -> dict[str, h5py.Dataset]:
    """Write all that is known from the start; the datasets that are still empty, by name."""
    import h5netcdf

    targets = {}
    for group in filter(None, groups):
        timeless_group(hdf5, group)
    with h5netcdf.File(hdf5, "w") as file:
        file.attrs.update(template.attrs)
        for group, inside in groups.items():
            place = file.groups[group] if group else file
            place.dimensions = inside.dims
            place.attrs.update(inside.attrs)
            for name, variable in inside.coords.items():
                _write_known(place, name, variable, variable.attrs, {})
            for name, variable in inside.variables.items():
                attrs = inside.attrs_of(name)
                if variable.values is None:
                    targets[name] = _make_open(place, name, variable, inside, attrs)
                else:
                    _write_known(place, name, variable, attrs, _options(variable))
        return {name: hdf5[path] for name, path in targets.items()}


def _options(variable: Variable) -> dict[str, Any]:
    """How a known variable is stored; numbers may be missing, and are compressed."""
    if variable.dtype.kind != "f":
        return {}
    options: dict[str, Any] = {"fillvalue": variable.dtype.type(np.nan)}
    if variable.shape and variable.known.size:
        chunks = chunk_of(variable.shape, variable.shape, variable.width, CHUNK)
        options |= {"chunks": chunks, **FILTERS}
    return options


def _write_known(
    file: Any,
    name: str,
    variable: Variable,
    attrs: Mapping[str, Any],
    options: Mapping[str, Any],
) -> None:
    import h5py

    text = variable.dtype == object
    made = file.create_variable(
        name, variable.dims, h5py.string_dtype() if text else variable.dtype, **options
    )
    made[...] = variable.known
    made.attrs.update(attrs)


def _make_open(
    file: Any, name: str, variable: Variable, template: Template, attrs: Mapping[str, Any]
) -> str:
    """Make a variable without values; text becomes UTF-8 bytes along a dim of its own."""
    dims, dtype, fill = variable.dims, variable.dtype, None
    piece = (*template.regions.piece, *variable.shape[len(template.regions.piece) :])
    chunks = chunk_of(piece, variable.shape, variable.width, CHUNK)
    if dtype.kind == "O":
        dims, dtype, chunks = (
            (*dims, f"string{variable.width}"),
            np.dtype("S1"),
            (*chunks, variable.width),
        )
        if dims[-1] not in file.dimensions:
            file.dimensions[dims[-1]] = variable.width
        attrs = {**attrs, "_Encoding": "utf-8"}
    elif dtype.kind == "f":
        fill = dtype.type(np.nan)
    made = file.create_variable(
        name,
        dims,
        dtype,
        fillvalue=fill,
        chunks=chunks,
        **FILTERS,
    )
    made.attrs.update(attrs)
    return str(made.name)


def bytes_of(values: NDArray[Any], variable: Variable) -> NDArray[Any]:
    """A region's values as they are stored: codes as UTF-8, padded with zeros."""
    if variable.dtype != object:
        return values
    names = np.array([name.encode() for name in variable.categories], f"S{variable.width}")
    chosen = np.ascontiguousarray(names[values])
    letters: NDArray[Any] = chosen.view("S1").reshape(*values.shape, variable.width)
    return letters


def _pieces(
    values: NDArray[Any], chunks: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], NDArray[Any]]]:
    """Cut into chunks: where each begins, and its values."""
    steps = [range(0, length, chunk) for length, chunk in zip(values.shape, chunks, strict=True)]
    for start in product(*steps):
        here = tuple(slice(i, i + chunk) for i, chunk in zip(start, chunks, strict=True))
        yield start, values[here]


def _encoded(piece: NDArray[Any], chunks: tuple[int, ...]) -> bytes:
    """Shuffle and deflate one chunk as HDF5's filters would; a short one is filled up."""
    if piece.shape != chunks:
        whole = np.zeros(chunks, piece.dtype)
        whole[tuple(map(slice, piece.shape))] = piece
        piece = whole
    return deflated(piece)


def deflated(values: NDArray[Any]) -> bytes:
    """Values as HDF5's filters shuffle and deflate would store them: one zlib stream.

    The beginning of a plane of bytes tells how to go about it. Most have no repeats to look for, so
    that Huffman's code is enough; the low bytes of a number are noise throughout, and stored, since
    their deflation takes longer than writing them does.
    """
    plain = np.ascontiguousarray(values).view(np.uint8).reshape(values.size, -1)
    planes = np.ascontiguousarray(plain.T)
    parts: list[bytes | memoryview] = [b"\x78\x01"]
    for plane in planes:
        lengths = [len(_deflated(plane[:LOOK], how)) for how in STRATEGIES]
        shrinks = min(lengths) < WORTH * min(LOOK, len(plane))
        how = STRATEGIES[next(i for i, n in enumerate(lengths) if n <= GAIN * min(lengths))]
        parts += [_deflated(plane, how)] if shrinks else _stored(plane)
    return b"".join([*parts, b"\x03\x00", zlib.adler32(planes.data).to_bytes(4, "big")])


def _deflated(plane: NDArray[np.uint8], strategy: int) -> bytes:
    """Deflate blocks without zlib's frame and without an end."""
    deflate = zlib.compressobj(LEVEL, wbits=-zlib.MAX_WBITS, strategy=strategy)
    return deflate.compress(plane.data) + deflate.flush(zlib.Z_SYNC_FLUSH)


def _stored(plane: NDArray[np.uint8]) -> list[bytes | memoryview]:
    """Bytes as they are, in deflate's blocks; zlib itself takes ten times as long."""
    parts: list[bytes | memoryview] = []
    for start in range(0, len(plane), STORED):
        piece = plane[start : start + STORED].data
        size = len(piece).to_bytes(2, "little")
        parts += [b"\x00", size, bytes(0xFF ^ byte for byte in size), piece]
    return parts
