"""Lab HDF5 files to trials, and virtual trials to files; the only room that opens HDF5 or Zarr."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from virtlab.storage.arrays import column_names, read_array
    from virtlab.storage.digest import data_digest
    from virtlab.storage.hdf5 import open_lab_file
    from virtlab.storage.inspection import inspect_file
    from virtlab.storage.lab import open_trials
    from virtlab.storage.large import LargeTrials, open_within
    from virtlab.storage.output import write_virtual_trials
    from virtlab.storage.starter import starter

# Imported on first use: whoever only writes must not pay for reading, and the other way round.
_MODULES = {
    "LargeTrials": "large",
    "column_names": "arrays",
    "data_digest": "digest",
    "inspect_file": "inspection",
    "open_lab_file": "hdf5",
    "open_trials": "lab",
    "open_within": "large",
    "read_array": "arrays",
    "starter": "starter",
    "write_virtual_trials": "output",
}

__all__ = [
    "LargeTrials",
    "column_names",
    "data_digest",
    "inspect_file",
    "open_lab_file",
    "open_trials",
    "open_within",
    "read_array",
    "starter",
    "write_virtual_trials",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"virtlab.storage.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'virtlab.storage' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
