"""What is this file? A lab HDF5 file, virtual trials, or a model; described without its data."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from virtlab.errors import DataError
from virtlab.storage.occupant import ROOT

if TYPE_CHECKING:
    import h5py
    import xarray as xr

    from virtlab.storage.tree import Node

_MOST_MANIFEST = 16 * 2**20
_MANIFEST = "manifest.json"
_FORMATS = {
    b"CDF": "a NetCDF-3 file; convert it with: nccopy -k nc4",
    b"\x89PNG": "a PNG picture",
    b"\x1f\x8b": "a gzip-compressed file; unpack it first",
    b"BZh": "a bzip2-compressed file; unpack it first",
    b"\x28\xb5\x2f\xfd": "a zstd-compressed file; unpack it first",
    b"MATLAB 5": "a MATLAB 5 file; save it in MATLAB with -v7.3, which is HDF5",
    b"\x93NUMPY": "a NumPy array",
    b"PAR1": "a Parquet table",
    b"\x80": "a Python pickle, which virtlab never opens",
    b"%PDF": "a PDF document",
}


@dataclass(frozen=True)
class Inspection:
    """What stands in a file.

    Parameters
    ----------
    path
        The file.
    kind
        ``lab``, ``virtual`` or ``model``.
    size
        Bytes on disk.
    tree
        Of a lab file: its objects.
    about
        Of virtual trials: dims, coords, measurements, attributes. Of a model: its manifest.
    """

    path: Path
    kind: Literal["lab", "virtual", "model"]
    size: int
    tree: Node | None = None
    about: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return everything, for JSON."""
        known = {"path": str(self.path), "kind": self.kind, "size": self.size, **self.about}
        return known if self.tree is None else {**known, "tree": self.tree.to_dict()}

    def lines(self, *, most: int = 120, attributes: int = 4) -> list[str]:
        """Return what the terminal shows, in about `most` lines."""
        from virtlab.storage.description import printable
        from virtlab.storage.listing import tree_lines

        title = f"{printable(str(self.path))}: "
        if self.tree is not None:
            drawn = tree_lines(self.tree, most=most, attributes=attributes)
            return [f"{title}HDF5, {bytes_text(self.size)}", *drawn, *_faults(self.tree)]
        if self.kind == "model":
            manifest = printable(json.dumps(self.about["manifest"], ensure_ascii=False), 2000)
            return [f"{title}virtlab model, {bytes_text(self.size)}", manifest]
        return [f"{title}virtual trials, simulated, {bytes_text(self.size)}", *_virtual_lines(self)]

    def __str__(self) -> str:
        return "\n".join(self.lines())


def inspect_file(path: Path, *, max_depth: int | None = None, max_similar: int = 3) -> Inspection:
    """Say what a file is and what stands in it, without reading its data.

    Parameters
    ----------
    path
        A lab HDF5 file, virtual trials (.nc or .zarr), or a model.
    max_depth, max_similar
        See `virtlab.storage.tree.tree_of`; for lab files.

    Raises
    ------
    DataError
        It is none of these, or is damaged; the message says what was found.
    """
    path = Path(path)
    if path.is_dir():
        return _zarr_store(path)
    if not path.exists():
        raise DataError(f"{path}: no such file")
    try:
        with path.open("rb") as stream:
            start = stream.read(512)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if start.startswith(b"PK"):
        return _model(path)
    return _hdf5(path, start, max_depth, max_similar)


def bytes_text(size: int) -> str:
    """Write a number of bytes as ``1.2 MB``."""
    value = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def _hdf5(path: Path, start: bytes, max_depth: int | None, max_similar: int) -> Inspection:
    import h5py

    from virtlab.storage.description import describe_attributes
    from virtlab.storage.hdf5 import open_lab_file
    from virtlab.storage.probe import probed
    from virtlab.storage.tree import tree_of

    size = path.stat().st_size
    if start and not h5py.is_hdf5(path) and not start.startswith(b"\x89HDF"):
        raise DataError(
            f"{path}: found {_found(path, start)}; expected a lab HDF5 file, virtual trials "
            "(.nc or .zarr) or a model (.virtlab)"
        )
    list(probed([path]))
    with open_lab_file(path) as file:
        if describe_attributes(file)[0].get("virtual_data") != "1":
            tree = tree_of(file, max_depth=max_depth, max_similar=max_similar)
            return Inspection(path, "lab", size, tree)
        if "_NCProperties" not in file.attrs:
            return Inspection(path, "virtual", size, about=_about_table(file))
    return Inspection(path, "virtual", size, about=_about_dataset(path, "h5netcdf"))


def _found(path: Path, start: bytes) -> str:
    """Name what a file is, from how it begins."""
    for magic, name in _FORMATS.items():
        if start.startswith(magic):
            return name
    try:
        text = start[:400].decode("utf-8")
    except UnicodeDecodeError:
        return f"an unknown binary format (it starts with {start[:8]!r})"
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    if path.suffix == ".toml":
        return "a TOML file, not data"
    return f"text (it starts with {first[:40]!r})"


def _model(path: Path) -> Inspection:
    """Read the manifest of a model file; its checksums are the business of `virtlab.modelfile`."""
    try:
        with zipfile.ZipFile(path) as archive:
            if _MANIFEST not in archive.namelist():
                names = ", ".join(archive.namelist()[:5]) or "nothing"
                raise DataError(
                    f"{path}: found a zip archive (of {names:.200}), no virtlab model: it has "
                    f"no {_MANIFEST}"
                )
            with archive.open(_MANIFEST) as stream:
                content = stream.read(_MOST_MANIFEST + 1)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
        raise DataError(f"{path}: damaged or truncated model file ({error})") from error
    if len(content) > _MOST_MANIFEST:
        raise DataError(f"{path}: {_MANIFEST} is larger than {bytes_text(_MOST_MANIFEST)}")
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: {_MANIFEST} is not JSON ({error})") from error
    if not isinstance(manifest, dict):
        raise DataError(f"{path}: {_MANIFEST}: expected a JSON object, found {manifest!r:.40}")
    return Inspection(path, "model", path.stat().st_size, about={"manifest": manifest})


def _zarr_store(path: Path) -> Inspection:
    try:
        root = json.loads((path / ROOT).read_bytes())
        virtual = root["attributes"]["virtual_data"] == 1
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        virtual = False
    if not virtual:
        raise DataError(
            f"{path}: found a folder, which is no Zarr store of virtual trials; name a file in it"
        )
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return Inspection(path, "virtual", size, about=_about_dataset(path, "zarr"))


def _about_dataset(path: Path, engine: Literal["h5netcdf", "zarr"]) -> dict[str, Any]:
    """Describe a file of virtual trials; only its coordinates are read."""
    import xarray as xr

    options: dict[str, Any] = {"consolidated": False} if engine == "zarr" else {}
    try:
        with xr.open_dataset(path, engine=engine, decode_times=False, **options) as dataset:
            return {
                "complete": engine != "zarr" or dataset.attrs.get("complete") == 1,
                "dims": {str(dim): size for dim, size in dataset.sizes.items()},
                "coords": {str(n): _about_variable(v) for n, v in dataset.coords.items()},
                "measurements": {str(n): _about_variable(v) for n, v in dataset.data_vars.items()},
                "attributes": {
                    str(name): value.tolist() if hasattr(value, "tolist") else value
                    for name, value in dataset.attrs.items()
                },
            }
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise DataError(f"{path}: damaged virtual trials ({error})") from error


def _about_table(file: h5py.File) -> dict[str, Any]:
    """Describe virtual trials in plain HDF5, see `virtlab.storage.hdf5_table`."""
    from virtlab.storage.description import describe_attributes

    def about(group: str, dim: str) -> dict[str, Any]:
        return {
            name: {
                "dims": [dim, *(str(length) for length in found.shape[1:])],
                "dtype": "text" if found.dtype.kind == "S" else str(found.dtype),
                "units": str(found.attrs.get("units", "")),
            }
            for name, found in file.get(group, {}).items()
        }

    return {
        "complete": True,
        "dims": {"trial": len(file["trial"]) if "trial" in file else 0},
        "coords": about("parameters", "trial") | about("axes", ""),
        "measurements": about("measurements", "trial"),
        "attributes": describe_attributes(file)[0],
    }


def _about_variable(variable: xr.DataArray) -> dict[str, Any]:
    about = {
        "dims": [str(dim) for dim in variable.dims],
        "dtype": "text" if variable.dtype.kind in "OUT" else str(variable.dtype),
        "units": str(variable.attrs.get("units", "")),
    }
    if variable.name in variable.coords and variable.size <= 100_000:
        about["values"] = _values_text(variable)
    return about


def _values_text(coordinate: xr.DataArray) -> str:
    """Write a coordinate's values short: all if there are few, else from … to …."""
    values = coordinate.values.reshape(-1)
    numeric = values.dtype.kind in "fiu"
    texts = [f"{value:.6g}" if numeric else str(value) for value in values[:8]]
    if len(values) <= 8:
        return ", ".join(texts)
    if numeric:
        return f"{values.min():.6g} … {values.max():.6g} ({len(values)})"
    return f"{', '.join(texts)}, … ({len(values)})"


def _virtual_lines(inspection: Inspection) -> list[str]:
    """Draw dims, coordinates, measurements and provenance, each aligned."""
    from virtlab.storage.description import printable

    about = inspection.about
    lines = [] if about["complete"] else ["! unfinished: the store has no mark 'complete'"]
    lines.append("dims          " + ", ".join(f"{d} {n:,}" for d, n in about["dims"].items()))
    width = max((len(name) for key in ("coords", "measurements") for name in about[key]), default=0)
    for title in ("coords", "measurements"):
        for number, (name, one) in enumerate(about[title].items()):
            along = f"({', '.join(one['dims'])})" if one["dims"] not in ([], [name]) else ""
            cells = [name.ljust(width), one["dtype"].ljust(7), one["units"], along]
            text = "  ".join(cell for cell in [*cells, one.get("values", "")] if cell)
            lines.append(printable(f"{'' if number else title:<14}{text}", 160))
    for number, (name, value) in enumerate(about["attributes"].items()):
        title = "" if number else "provenance"
        lines.append(printable(f"{title:<14}{name} = {value}", 110))
    return lines


def _faults(tree: Node) -> list[str]:
    """Count what cannot be read."""
    from virtlab.storage.tree import every

    faulty = len(every(tree, lambda node: node.faulty))
    return [f"! {faulty} of its objects cannot be read, or not wholly"] if faulty else []
