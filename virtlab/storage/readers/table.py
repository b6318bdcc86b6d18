"""The reader ``table``: datasets, attributes and columns, one trial per row."""

from __future__ import annotations

from pathlib import Path

from virtlab.config import Experiment
from virtlab.plugins import RawTrials, Reader


def _read(path: Path, experiment: Experiment) -> RawTrials:
    return read_rows(path, experiment, one_trial=False)


def read_rows(path: Path, experiment: Experiment, *, one_trial: bool) -> RawTrials:
    """Read a file whose measurements have a trial axis.

    Parameters
    ----------
    path, experiment
        As of every reader.
    one_trial
        Whether a measurement without that axis is one trial.
    """
    # Imported here: `virtlab plugins` loads every reader and must not pay for h5py.
    from virtlab.storage.arrays import read_array
    from virtlab.storage.hdf5 import open_lab_file
    from virtlab.storage.layout import arrange_measurement, arrange_parameter

    gridded = bool(experiment.data.grid)
    parameters, measurements, coords = {}, {}, {}
    with open_lab_file(path) as file:
        for name, parameter in experiment.parameters.items():
            if parameter.path is not None:
                parameters[name] = arrange_parameter(read_array(file, parameter.path))
        for name, table in experiment.measurements.items():
            raw = read_array(file, table.path)
            measurements[name] = (
                raw
                if gridded
                else arrange_measurement(raw, name, table, str(path), one_trial=one_trial)
            )
            for coord, where in table.coords.items():
                if coord not in coords:
                    coords[coord] = read_array(file, where.path)
    return RawTrials(parameters, measurements, coords)


reader = Reader("table", "datasets whose first axis is the trial, columns, attributes", _read)
