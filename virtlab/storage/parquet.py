"""Writes virtual trials as a Parquet table: a row per trial, signals and images as lists."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.errors import ConfigError
from virtlab.storage.disk import sync
from virtlab.storage.rows import Rows
from virtlab.storage.template import Region, Template, Variable

UNITS = "units"


class ParquetWriter:
    """A Parquet file that appears when it is whole; see `virtlab.storage.output.Writer`.

    Parameters
    ----------
    path
        Where it will be.
    template
        What it will hold; its attributes become the metadata of the schema.

    Raises
    ------
    ConfigError
        pyarrow is not installed.
    """

    def __init__(self, path: Path, template: Template) -> None:
        self._arrow, self._parquet = arrow()
        self._path, self._rows, self._template = path, Rows(template), template
        self._partial = path.with_name(f".{path.name}.partial-{secrets.token_hex(4)}")
        self._writer: Any = None
        self._file = self._partial.open("xb")

    def holds(self, region: Region) -> bool:  # noqa: ARG002 - a new file holds nothing
        """Whether a region is there already."""
        return False

    def pack(self, region: Region, values: Mapping[str, NDArray[Any]]) -> Any:
        """Turn a region into a table."""
        known = self._rows.settings
        fields, arrays = [], []
        for name, column in self._rows.columns(region, values).items():
            variable = self._template.variables.get(name) or known.get(name)
            array = self._array(column, variable)
            attrs = {} if variable is None else dict(variable.attrs)
            metadata = {UNITS: str(attrs[UNITS])} if UNITS in attrs else None
            fields.append(self._arrow.field(name, array.type, metadata=metadata))
            arrays.append(array)
        attributes = {name: str(value) for name, value in self._template.attrs.items()}
        schema = self._arrow.schema(fields, metadata=attributes)
        return self._arrow.Table.from_arrays(arrays, schema=schema)

    def write(self, packed: Any) -> None:
        """Write a region as a group of rows.

        Raises
        ------
        OSError
            The disk is full or fails.
        """
        if self._writer is None:
            self._writer = self._parquet.ParquetWriter(
                self._file, packed.schema, compression="zstd", compression_level=1
            )
        self._writer.write_table(packed, row_group_size=max(1, packed.num_rows))

    def commit(self) -> None:
        """Close the file and move it into place."""
        self._writer.close()
        self._file.close()
        with self._partial.open("rb+") as file:
            sync(Path(file.name))
        self._partial.replace(self._path)
        sync(self._path.parent)

    def abort(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        self._partial.unlink(missing_ok=True)

    def _array(self, column: NDArray[Any], variable: Variable | None) -> Any:
        if variable is not None and variable.categories:
            column = np.array(variable.categories, object)[column]
        if column.dtype == object:
            return self._arrow.array([str(text) for text in column])
        if column.ndim == 1:
            return self._arrow.array(column)
        flat = self._arrow.array(np.ascontiguousarray(column).reshape(-1))
        return self._arrow.FixedSizeListArray.from_arrays(flat, column[0].size)


def arrow() -> tuple[Any, Any]:
    """Import pyarrow and its Parquet."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError(
            f"Parquet needs pyarrow ({error}); pip install 'virtlab[parquet]'"
        ) from error
    return pyarrow, pyarrow.parquet
