"""Virtual trials to NetCDF-4 or Zarr: whole or not at all, the same bytes every time.

HDF5 on a full disk can crash the process, and overwriting in place can lose the old file, so
a result is always made beside its place and moved there when it is complete.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from virtlab.errors import OutputError
from virtlab.storage.occupant import (
    HDF5,
    NETCDF,
    PARQUET,
    TRIALS,
    ZARR,
    check_output,
)
from virtlab.storage.template import Region, Regions, Template, Variable

if TYPE_CHECKING:  # only whoever already holds a Dataset has paid for xarray
    import xarray as xr

__all__ = [
    "NETCDF",
    "TRIALS",
    "ZARR",
    "Writer",
    "check_output",
    "compressed",
    "opened",
    "write_virtual_trials",
]


class Writer(Protocol):
    """Takes virtual trials region by region; `commit` makes them appear."""

    def holds(self, region: Region) -> bool:
        """Whether a region is there already, from an earlier run."""

    def pack(self, region: Region, values: Mapping[str, NDArray[Any]]) -> Any:
        """Do what can be done beside other regions; what is returned goes to `write`."""

    def write(self, packed: Any) -> None:
        """Do the rest, one region after the other."""

    def commit(self) -> None:
        """Make the whole appear in its place."""

    def abort(self) -> None:
        """Leave nothing behind but what was asked to stay."""


@contextmanager
def opened(
    target: Path | str,
    template: Template,
    *,
    resume: bool = False,
    force: bool = False,
    inference: bool = False,
) -> Iterator[Writer]:
    """Open an output for writing; leaving without an error makes it appear.

    Parameters
    ----------
    target
        A path ending in one of `TRIALS`, or the URL of a Zarr store.
    template
        What it will hold.
    resume
        Of a Zarr store: go on with what an interrupted run left, and leave what is done if this
        one is interrupted, too.
    force
        Replace virtual trials that stand there already, and what an interrupted run left.
    inference
        Write NetCDF as ArviZ' InferenceData.

    Raises
    ------
    OutputError
        The disk is full, permission is missing, or an interrupted run left something.
    """
    plain = _plain(template)
    try:
        writer = _writer(target, plain, resume=resume, force=force, inference=inference)
        try:
            yield writer
            writer.commit()
        except BaseException:
            writer.abort()
            raise
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from error


def _writer(
    target: Any, template: Template, *, resume: bool, force: bool, inference: bool
) -> Writer:
    suffix = target.suffix if isinstance(target, Path) else ZARR
    if suffix == NETCDF and inference:
        from virtlab.storage.inference import InferenceWriter

        return InferenceWriter(target, template)
    if suffix == NETCDF:
        from virtlab.storage.netcdf import NetcdfWriter

        return NetcdfWriter(target, template)
    if suffix == HDF5:
        from virtlab.storage.hdf5_table import TableWriter

        return TableWriter(target, template)
    if suffix == PARQUET:
        from virtlab.storage.parquet import ParquetWriter

        return ParquetWriter(target, template)
    from virtlab.storage.zarr_store import ZarrWriter

    return ZarrWriter(target, template, resume=resume, anew=force)


def compressed(target: Path | str, variable: Variable, values: NDArray[Any]) -> int:
    """How many bytes some values of a variable take on the disk."""
    if isinstance(target, Path) and target.suffix in (NETCDF, HDF5):
        from virtlab.storage.netcdf import bytes_of, deflated

        return len(deflated(bytes_of(values, variable)))
    from virtlab.storage.shards import encode_chunk

    return len(encode_chunk(values, variable))


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
    with opened(path, template_of(dataset), force=force):
        pass


def template_of(dataset: xr.Dataset) -> Template:
    """Describe a Dataset as a file all of whose values are known."""

    def known(variable: xr.DataArray) -> Variable:
        values = variable.values
        values = values.astype(object) if values.dtype.kind in "UT" else values
        dims = tuple(map(str, variable.dims))
        return Variable(dims, values.shape, values.dtype, variable.attrs, values)

    return Template(
        variables={str(name): known(variable) for name, variable in dataset.data_vars.items()},
        coords={str(name): known(coord) for name, coord in dataset.coords.items()},
        attrs=dataset.attrs,
        regions=Regions((), ()),
    )


def _plain(template: Template) -> Template:
    """Copy, with attrs that every format can hold."""

    def plain(variables: Mapping[str, Variable]) -> dict[str, Variable]:
        return {
            name: replace(found, attrs=_storable(found.attrs, repr(name)))
            for name, found in variables.items()
        }

    return Template(
        plain(template.variables),
        plain(template.coords),
        _storable(template.attrs, "the dataset"),
        template.regions,
    )


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
