"""Lab HDF5 files to trials, and virtual trials to files; the only room that opens HDF5 or Zarr."""

from __future__ import annotations

import importlib
from typing import Any

# Imported on first use: whoever only writes must not pay for reading, and the other way round.
_MODULES = {
    "data_digest": "lab",
    "inspect_file": "inspection",
    "open_lab_file": "hdf5",
    "open_trials": "lab",
    "read_array": "arrays",
    "starter": "starter",
    "write_virtual_trials": "output",
}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"virtlab.storage.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'virtlab.storage' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
