"""virtlab reader for the files of PycQED, a quantum lab's measurement control.

Such a file holds one table, ``/Experimental Data/Data``: a row per point or shot, the swept
quantity in the first column, and ``name (unit)`` of every column in an attribute. What the lab
set on its instruments stands, as text, in the attributes of ``/Instrument settings/*``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from virtlab.config import Experiment
from virtlab.errors import DataError
from virtlab.plugins import RawArray, RawTrials, Reader

if TYPE_CHECKING:
    import h5py

TABLE = "Experimental Data/Data"
SETTINGS = "Instrument settings"
SWEEP = "sweep"


def read(path: Path, experiment: Experiment) -> RawTrials:
    """Read one file.

    A path in experiment.toml is a column's name (``raw w0``), ``sweep`` for the first column
    whatever its name, or ``instrument.setting`` (``rolut.M_phi_R0``).
    """
    from virtlab.storage import open_lab_file  # here: listing the plugins must not load h5py

    for name, measurement in experiment.measurements.items():
        if measurement.dims:
            raise DataError(
                f"{path}: measurement {name!r}: found dims in experiment.toml, expected none: "
                "each column of a PycQED table holds one number per trial"
            )
    with open_lab_file(path) as file:
        parameters = {
            name: _read_one(file, parameter.path)
            for name, parameter in experiment.parameters.items()
            if parameter.path is not None  # index and modulo are the core's
        }
        measurements = {
            name: _read_one(file, measurement.path)
            for name, measurement in experiment.measurements.items()
        }
    return RawTrials(parameters, measurements)


def _read_one(file: h5py.File, path: str) -> RawArray:
    """Read a column or a setting; `read_array` finds names and units, and refuses in words."""
    from virtlab.storage import read_array

    instrument, dot, setting = path.partition(".")
    if dot and not _is_column(file, path):
        return read_array(file, f"{SETTINGS}/{instrument}@{setting}")
    return read_array(file, f"{TABLE}:{0 if path == SWEEP else path}")


def _is_column(file: h5py.File, name: str) -> bool:
    """Tell whether a name with a dot is a column's, with or without its unit."""
    from virtlab.storage import column_names

    labels = column_names(file[TABLE]) if TABLE in file else []
    return any(label == name or label.startswith(f"{name} (") for label in labels)


reader = Reader(
    name="pycqed",
    about="PycQED files: columns by name, instrument settings as instrument.setting",
    read=read,
)
