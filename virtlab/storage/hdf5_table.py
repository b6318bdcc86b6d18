"""Writes virtual trials as plain HDF5, in the layout that the reader ``table`` reads.

``parameters/NAME`` and ``measurements/NAME`` have a row per trial, ``axes/NAME`` are coordinates of
signals and images, and units are attributes. The root says that nothing here was measured.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.storage.disk import Disk, sync
from virtlab.storage.netcdf import CHUNK, FILTERS, timeless_group, timeless_hdf5
from virtlab.storage.rows import Rows
from virtlab.storage.template import Region, Template, Variable
from virtlab.trials import TRIAL

if TYPE_CHECKING:
    import h5py

PARAMETERS, MEASUREMENTS, AXES = "parameters", "measurements", "axes"


class TableWriter:
    """A plain HDF5 file that appears when it is whole; see `virtlab.storage.output.Writer`.

    Parameters
    ----------
    path
        Where it will be.
    template
        What it will hold.
    """

    def __init__(self, path: Path, template: Template) -> None:
        self._path, self._rows = path, Rows(template)
        self._partial = path.with_name(f".{path.name}.partial-{secrets.token_hex(4)}")
        self._disk = Disk(self._partial)
        try:
            self._file = timeless_hdf5(self._disk)
            self._targets = self._made(template)
        except BaseException:
            self.abort()
            raise

    def _made(self, template: Template) -> dict[str, h5py.Dataset]:
        """Make all datasets, those of the trials empty."""
        self._file.attrs.update(template.attrs)
        for group in (PARAMETERS, MEASUREMENTS, *([AXES] if self._rows.axes else [])):
            timeless_group(self._file, group)
        for name, variable in self._rows.axes.items():
            made = self._file.create_dataset(f"{AXES}/{name}", data=stored(variable.known))
            made.attrs.update(variable.attrs)
        count = len(self._rows)
        trial = Variable((), (), np.dtype(np.int64), {})
        columns = {f"{PARAMETERS}/{n}": v for n, v in self._rows.settings.items()}
        columns |= {f"{MEASUREMENTS}/{n}": v for n, v in template.drawn.items()}
        columns |= {TRIAL: trial}
        found = {}
        for place, variable in columns.items():
            own = variable.shape[len(template.regions.shape) :]
            dtype = text_type(variable) if variable.dtype == object else variable.dtype
            step = max(1, min(count, CHUNK // (dtype.itemsize * max(1, int(np.prod(own))))))
            made = self._file.create_dataset(
                place, (count, *own), dtype, chunks=(step, *own), **FILTERS
            )
            made.attrs.update(variable.attrs)
            found[place.split("/")[-1]] = made
        return found

    def holds(self, region: Region) -> bool:  # noqa: ARG002 - a new file holds nothing
        """Whether a region is there already."""
        return False

    def pack(self, region: Region, values: Mapping[str, NDArray[Any]]) -> Any:
        """Take a region; HDF5 compresses it when it is written."""
        return region, values

    def write(self, packed: Any) -> None:
        """Write a region's rows.

        Raises
        ------
        OSError
            The disk is full or fails.
        """
        region, values = packed
        rows = self._rows.of(region)
        for name, column in self._rows.columns(region, values).items():
            variable = self._rows.template.variables.get(name)
            if variable is not None and variable.categories:
                names = [name.encode() for name in variable.categories]
                column = np.array(names, text_type(variable))[column]
            self._targets[name][rows] = stored(column)
            if self._disk.error is not None:
                raise self._disk.error

    def commit(self) -> None:
        """Close the file and move it into place."""
        self._file.close()
        self._disk.close(keep=True)
        self._partial.replace(self._path)
        sync(self._path.parent)

    def abort(self) -> None:
        """Leave nothing behind."""
        self._disk.error = self._disk.error or OSError("given up")
        with contextlib.suppress(Exception):
            self._file.close()
        with contextlib.suppress(OSError):
            self._disk.close(keep=False)
        self._partial.unlink(missing_ok=True)


def text_type(variable: Variable) -> np.dtype[Any]:
    """UTF-8 bytes, as many as the longest text has."""
    if variable.categories:
        return np.dtype(f"S{variable.width}")
    return np.dtype(f"S{max([1, *(len(str(text).encode()) for text in variable.known)])}")


def stored(values: NDArray[Any]) -> NDArray[Any]:
    """Values as HDF5 keeps them: text as UTF-8 bytes."""
    if values.dtype != object:
        return values
    return np.array([str(text).encode() for text in values.ravel()]).reshape(values.shape)
