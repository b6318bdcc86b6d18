"""The reader on a file made here, and on the lab's own files where they are at hand."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import virtlab_pycqed

from virtlab import open_trials
from virtlab.config import parse_experiment
from virtlab.errors import DataError
from virtlab.testing import check_reader

LAB = Path(__file__).parents[3] / "shared" / "data"
SWEEPS = sorted((LAB / "pycqed_sweeps").glob("*.hdf5"))
NO_LAB = pytest.mark.skipif(not LAB.is_dir(), reason="the lab's own files are not here")

EXPERIMENT = """
[experiment]
name = "readout"
[data]
files = ["*.hdf5"]
reader = "pycqed"
[parameters.phase]
path = "rolut.M_phi_R0"
kind = "cyclic"
period = 360
units = "degree"
[parameters.delay]
path = "sweep"
[parameters.state]
index = "parity"
[measurements.I]
path = "raw w0"
units = "mV"
[measurements.both]
path = "Corr (QL, QR)"
"""


def write(path, rows=12, phase="30"):
    with h5py.File(path, "w") as file:
        table = np.stack([np.arange(rows), np.arange(rows) / 10, np.ones(rows)], axis=1)
        file["Experimental Data/Data"] = table
        file["Experimental Data/Data"].attrs["column_names"] = [
            b"Time (ns)", b"raw w0 (V)", b"Corr (QL, QR) (normalized)"
        ]  # fmt: skip
        file.create_group("Instrument settings/rolut").attrs["M_phi_R0"] = phase
    return path


@pytest.fixture
def experiment(tmp_path):
    write(tmp_path / "a.hdf5")
    return lambda text=EXPERIMENT: parse_experiment(text, tmp_path / "experiment.toml")


def test_keeps_the_contract_of_a_reader(tmp_path, experiment):
    check_reader(virtlab_pycqed.reader, tmp_path / "a.hdf5", experiment())


def test_reads_settings_sweep_and_columns_with_their_units(tmp_path, experiment):
    write(tmp_path / "b.hdf5", phase="60.0")
    trials = open_trials(experiment())
    assert trials.sizes["trial"] == 24
    np.testing.assert_array_equal(trials.phase, [30] * 12 + [60] * 12)
    assert trials.delay.attrs["units"] == "ns"
    np.testing.assert_allclose(trials.I[:12], 100 * np.arange(12))
    assert (trials.both == 1).all()
    assert trials.both.attrs["units"] == "normalized"
    assert trials.state.values[:4].tolist() == ["0", "1", "0", "1"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("rolutt.M_phi_R0", "has no 'rolutt' (it holds: rolut); did you mean 'rolut'?"),
        (
            "rolut.M_phi",
            "settings/rolut@M_phi': no such attribute (it holds: M_phi_R0); did you mean",
        ),
        ("w0", "no such column (it holds: Time (ns), raw w0 (V), Corr (QL, QR) (normalized))"),
    ],
)
def test_says_what_a_file_holds_where_a_path_is_wrong(experiment, path, message):
    with pytest.raises(DataError) as caught:
        open_trials(experiment(EXPERIMENT.replace("rolut.M_phi_R0", path)))
    assert message in str(caught.value)


def test_refuses_dims(experiment):
    with pytest.raises(DataError, match="measurement 'both': found dims"):
        open_trials(experiment(EXPERIMENT + '\ndims = ["t"]'))


@NO_LAB
def test_reads_the_labs_single_shots():
    text = EXPERIMENT.replace("*.hdf5", "ssro_angle/*.hdf5").replace('"sweep"', '"pts"')
    text = text.replace("Corr (QL, QR)", "raw w1 (V)")
    trials = open_trials(parse_experiment(text, LAB / "experiment.toml"))
    assert trials.sizes["trial"] == 12 * 4092
    assert sorted(set(trials.phase.values)) == list(range(0, 360, 30))
    first = trials.isel(trial=0)
    assert first.state == "0"
    assert float(first.I) == pytest.approx(271.0, abs=0.05)


@NO_LAB
@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.name)
def test_reads_every_sweep_of_the_lab(path):
    with h5py.File(path) as file:
        table = file["Experimental Data/Data"][()]
        labels = [label.decode() for label in file["Experimental Data/Data"].attrs["column_names"]]
    text = f"""
[experiment]
name = "sweep"
[data]
files = ["{path.name}"]
reader = "pycqed"
[parameters.swept]
path = "sweep"
""" + "".join(f'[measurements.m{i}]\npath = "{label}"\n' for i, label in enumerate(labels[1:]))
    experiment = parse_experiment(text, path.parent / "experiment.toml")
    check_reader(virtlab_pycqed.reader, path, experiment)
    trials = open_trials(experiment)
    np.testing.assert_array_equal(trials.swept, table[:, 0])
    for i in range(len(labels) - 1):
        np.testing.assert_array_equal(trials[f"m{i}"], table[:, i + 1])
    assert trials.swept.attrs["units"] == labels[0].rpartition("(")[2].rstrip(")")
