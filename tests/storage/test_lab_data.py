"""Real labs' files, where they are at hand: by the built-in readers, with all their quirks."""

from __future__ import annotations

import numpy as np
import pytest

from virtlab.storage import open_trials

SSRO = """
[experiment]
name = "ssro"
[data]
files = ["ssro_angle/*.hdf5"]
reader = "files"
[parameters.phase]
path = "Instrument settings/rolut@M_phi_R0"
units = "degree"
kind = "cyclic"
period = 360
[parameters.state]
index = "parity"
[measurements.I]
path = "Experimental Data/Data:raw w0"
units = "mV"
[measurements.Q]
path = "Experimental Data/Data:2"
"""


def test_ssro_angle_by_the_reader_files(shared_experiment):
    trials = open_trials(shared_experiment(SSRO))
    assert trials.sizes == {"trial": 12 * 4092}
    assert sorted(set(trials.phase.values)) == list(range(0, 360, 30))
    assert (trials.state == "1").sum() == trials.sizes["trial"] // 2
    assert trials.I.attrs["units"], trials.Q.attrs["units"] == ("mV", "V")
    assert np.abs(trials.I).max() > 100 * np.abs(trials.Q).max()
    means = trials.I.groupby("phase").mean()
    assert float(means.max() - means.min()) > 100


STXM = """
[experiment]
name = "stxm"
[data]
files = ["stxm/mm.nxs"]
[parameters.theta]
path = "entry1/stxm_entry/data/theta"
units = "degrees"
[measurements.image]
path = "entry1/stxm_entry/data/data"
dims = ["y", "x"]
coords.x_position = { path = "entry1/stxm_entry/data/x", units = "um" }
coords.y = { path = "entry1/stxm_entry/data/y" }
"""


def test_stxm_with_two_dimensional_coordinates(shared_experiment):
    trials = open_trials(shared_experiment(STXM))
    assert trials.sizes == {"trial": 52, "y": 7, "x": 101}
    assert trials.x_position.dims == trials.y.dims == ("y", "x")
    assert trials.theta.min() == -140
    assert trials.y.attrs["units"] == "mm"


TABLE = """
[experiment]
name = "table"
[data]
files = ["{file}"]
"""


def table(file, parameters, measurement, more=""):
    text = TABLE.format(file=file)
    for name in parameters:
        text += f'[parameters.{name}]\npath = "parameters/{name}"\n'
    return f'{text}[measurements.m]\npath = "measurements/{measurement}"\n{more}'


@pytest.mark.parametrize(
    ("file", "parameters", "measurement", "trials", "units"),
    [
        ("crossed_barrel/*.h5", ["n", "theta", "r", "t"], "toughness", 1800, "J"),
        ("battery/*.h5", ["C1", "C2", "C3"], "cycle_life", 45, "1"),
        ("concrete/*.h5", ["age", "cement", "water"], "strength", 1030, "MPa"),
        ("direct_arylation/*.h5", ["base", "ligand", "solvent"], "yield", 1728, "percent"),
    ],
)
def test_tables(shared_experiment, file, parameters, measurement, trials, units):
    opened = open_trials(shared_experiment(table(file, parameters, measurement)))
    assert opened.sizes == {"trial": trials}
    assert opened.m.attrs["units"] == units
    assert opened.attrs["missing"] == opened.attrs["dropped_trials"] == 0


def test_direct_arylation_knows_its_categories_and_zeros(shared_experiment):
    opened = open_trials(shared_experiment(table("direct_arylation/*.h5", ["base"], "yield")))
    assert opened.base.attrs["kind"] == "categorical"
    assert len(set(opened.base.values)) == 4
    assert float((opened.m == 0).mean()) == pytest.approx(0.286, abs=0.001)


def test_meats_has_a_spectrum(shared_experiment):
    more = 'dims = ["wavelength"]\ncoords.wavelength = { path = "axes/wavelength" }\n'
    opened = open_trials(shared_experiment(table("meats/*.h5", ["fat"], "absorbance", more)))
    assert opened.sizes == {"trial": 215, "wavelength": 100}
    assert opened.wavelength.attrs["units"] == "nm"
    assert float(opened.wavelength[0]) == 850


FLIPPING = """
[experiment]
name = "flipping"
[data]
files = ["pycqed_sweeps/*Flipping*.hdf5"]
[parameters.pulses]
path = "Experimental Data/Data:Number of Pulses"
kind = "integer"
[parameters.frequency]
path = "Instrument settings/Qubit_LO@frequency"
kind = "continuous"
units = "GHz"
[measurements.w0]
path = "Experimental Data/Data:w0"
units = "mV"
"""


def test_sweeps_with_a_constant_setting_beside_a_column(shared_experiment):
    opened = open_trials(shared_experiment(FLIPPING))
    assert opened.sizes == {"trial": 93}
    assert opened.pulses.attrs["units"] == "#"


NEXUS = """
[experiment]
name = "lrcs"
[data]
files = ["layouts/lrcs3701.nx5"]
[parameters.angle]
path = "Histogram1/data/polar_angle"
units = "rad"
[measurements.counts]
path = "Histogram1/data/data"
kind = "count"
dims = ["time_of_flight"]
coords.time_of_flight = { path = "Histogram1/data/time_of_flight", units = "ms" }
"""


def test_nexus_with_bin_edges(shared_experiment):
    opened = open_trials(shared_experiment(NEXUS))
    assert opened.sizes == {"trial": 148, "time_of_flight": 750}
    assert opened.counts.attrs["units"] == "counts"
    assert opened.indexes["time_of_flight"].is_monotonic_increasing
