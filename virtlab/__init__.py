"""virtlab: learn p(measurement | parameters) from lab HDF5 files; simulate virtual trials."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.8"

# Public names and the rooms they live in, imported on first use: the command line and a
# plugin's import must not pay for xarray, h5py or TensorFlow.
_ROOMS = {
    "Conditioner": "conditioning",
    "Measurement": "trials",
    "Model": "simulation",
    "Parameter": "conditioning",
    "RawArray": "plugins",
    "RawTrials": "plugins",
    "Reader": "plugins",
    "VirtlabError": "errors",
    "evaluate": "evaluation",
    "explore": "explorer",
    "load": "simulation",
    "open_trials": "storage",
    "screen": "screening",
    "train": "training",
}

__all__ = ["__version__", *sorted(_ROOMS)]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return getattr(importlib.import_module(f"virtlab.{_ROOMS[name]}"), name)
    raise AttributeError(f"module 'virtlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
