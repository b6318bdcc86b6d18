"""Trials that memory does not hold: the same trials, part by part, and a sample of them."""

import h5py
import numpy as np
import pytest
import xarray as xr

from virtlab import plugins
from virtlab.errors import DataError
from virtlab.plugins import Reader
from virtlab.storage import LargeTrials, data_digest, open_trials, open_within
from virtlab.storage.sample import Sample

MIXED = """
[experiment]
name = "mixed"
[data]
files = ["*.h5"]
reader = "{reader}"
[parameters.heat]
path = "heat"
[parameters.gas]
path = "@gas"
[parameters.load]
path = "table:load"
[parameters.state]
modulo = 3
[measurements.trace]
path = "trace"
units = "V"
dims = ["time"]
trial_dim = 1
coords.time = {{ path = "time" }}
[measurements.peak]
path = "table:peak"
[measurements.kind]
path = "kind"
"""


def write_mixed(path, n, gas, seed):
    """A constant attribute, a column vector, a compound, text, gaps, trials along axis 1."""
    rng = np.random.default_rng(seed)
    table = np.zeros(n, dtype=[("load", "f4"), ("peak", "i2")])
    table["load"], table["peak"] = rng.random(n), rng.integers(0, 9, n)
    trace = rng.random((5, n)).astype("f4")
    trace[:, 3], trace[2, 7], trace[4, 11] = np.nan, np.nan, 50
    with h5py.File(path, "w") as file:
        file.attrs["gas"] = gas
        file["heat"] = rng.random((n, 1))
        file["heat"][2] = np.nan
        file["table"] = table
        file["trace"], file["time"] = trace, np.arange(5.0)
        file["trace"].attrs["units"] = "mV"
        file["kind"] = rng.choice(["up", "down", ""], n).astype("S4")


@pytest.fixture
def mixed(lab):
    def make(reader="table"):
        write_mixed(lab.folder / "a.h5", 40, "argon", 1)
        write_mixed(lab.folder / "b.h5", 25, "neon", 2)
        return lab.experiment(MIXED.format(reader=reader))

    return make


def together(large):
    return xr.concat(list(large.parts()), "trial", data_vars="minimal", coords="minimal")


@pytest.mark.parametrize("reader", ["table", "files"])
@pytest.mark.parametrize("memory", [100, 2000])
def test_parts_are_the_same_trials(mixed, reader, memory):
    experiment = mixed(reader)
    whole, large = open_trials(experiment), open_within(experiment, memory, seed=0)
    assert isinstance(large, LargeTrials)
    assert len(list(large.parts())) > 2
    xr.testing.assert_equal(together(large), whole)
    assert (large.trials, large.digest) == (whole.sizes["trial"], data_digest(whole))
    np.testing.assert_array_equal(large.sample.attrs.pop("origin"), whole.attrs.pop("origin"))
    assert large.sample.attrs == whole.attrs
    for name in whole.variables:
        assert large.sample[name].attrs == whole[name].attrs
        assert large.sample[name].dims == whole[name].dims


def test_trials_that_fit_are_read_as_ever(mixed):
    experiment = mixed()
    found = open_within(experiment, 10**6, seed=0)
    whole = open_trials(experiment)
    np.testing.assert_array_equal(found.attrs.pop("origin"), whole.attrs.pop("origin"))
    xr.testing.assert_identical(found, whole)
    assert found.attrs["files"] == ["a.h5", "b.h5"]


def test_groups_come_part_by_part(lab):
    with h5py.File(lab.folder / "a.h5", "w") as file:
        for i in range(30):
            group = file.create_group(f"shots/{i}")
            group.attrs["x"], group["y"] = float(i), np.arange(4.0) + i
    experiment = lab.experiment(data='reader = "groups"\ngroups = "/shots/*"', y='dims = ["t"]')
    text = experiment.text.replace("parameters/x", "@x").replace("measurements/y", "y")
    experiment = lab.experiment(text)
    large = open_within(experiment, 1100, seed=0)
    assert [part.sizes["trial"] for part in large.parts()] == [2] * 15
    xr.testing.assert_equal(together(large), open_trials(experiment))


def test_reader_that_knows_whole_files_only_is_cut_afterwards(lab, monkeypatch):
    table = plugins.reader("table")
    monkeypatch.setattr(plugins, "reader", lambda name: Reader(name, "a test", table.read))
    lab.basic(n=400)
    large = open_within(lab.experiment(), 1600, seed=0)
    assert all(part.nbytes <= 160 for part in large.parts())
    xr.testing.assert_equal(together(large), open_trials(lab.experiment()))


def test_grid_is_read_whole_and_cut_afterwards(lab):
    lab.write(parameters__x=np.arange(4.0), parameters__z=np.arange(50.0), m=np.ones((4, 50)))
    text = """
[experiment]
name = "grid"
[data]
files = ["a.h5"]
grid = ["x", "z"]
[parameters]
x = { path = "parameters/x" }
z = { path = "parameters/z" }
[measurements]
m = { path = "m" }
"""
    experiment = lab.experiment(text)
    large = open_within(experiment, 800, seed=0)
    xr.testing.assert_equal(together(large), open_trials(experiment))


def test_fault_in_a_late_part_is_found(lab):
    lab.basic(n=400)
    with lab.edit(lab.folder / "a.h5") as file:
        file["measurements/y"][333] = -1
    with pytest.raises(DataError, match=r"outside its support \[0, inf\], the worst -1"):
        open_within(lab.experiment(y="support = [0, inf]"), 800, seed=0)


def test_different_numbers_of_trials_are_refused(lab):
    lab.write(parameters__x=np.arange(400.0), measurements__y=np.arange(398.0))
    with pytest.raises(DataError, match=r"\) has 398, .*\) has 400"):
        open_within(lab.experiment(), 800, seed=0)


def test_measurement_of_which_nothing_was_measured_is_refused(mixed, lab):
    experiment = mixed()
    for name in ("a.h5", "b.h5"):
        with lab.edit(lab.folder / name) as file:
            file["trace"][...] = np.nan
    with pytest.raises(DataError, match=r"measurement 'trace': all .* values are missing"):
        open_within(experiment, 1000, seed=0)


def test_too_few_usable_trials_are_refused(lab):
    x = np.full(400, np.nan)
    x[:3] = 1
    lab.write(parameters__x=x, measurements__y=np.arange(400.0))
    with pytest.raises(DataError, match=r"found 3 trials .* left out: 397 without parameter 'x'"):
        open_within(lab.experiment(), 800, seed=0)


# the sample


def parts(n=30_000, size=1000):
    x = np.arange(n) / n
    y = np.where(np.arange(n) == n // 3, 7.0, np.sin(5 * x))
    kind = np.where(np.arange(n) == n // 2, "rare", "common").astype(object)
    trials = xr.Dataset({"y": ("trial", y), "kind": ("trial", kind)}, {"x": ("trial", x)})
    return [trials.isel(trial=slice(i, i + size)) for i in range(0, n, size)]


def sampled(memory=48_000, seed=0):
    sample = Sample(memory, np.random.default_rng(seed))
    for part in parts():
        sample.add(part)
    return sample.dataset()


def test_sample_is_drawn_evenly_from_all_parts():
    x = np.concatenate([sampled(seed=seed).x.values for seed in range(5)])
    shares = np.histogram(x, bins=5, range=(0, 1))[0] / len(x)
    np.testing.assert_allclose(shares, 0.2, atol=0.02)


def test_sample_takes_the_memory_it_may():
    assert 2000 <= sampled().sizes["trial"] < 2100
    assert 1000 <= sampled(memory=10).sizes["trial"] < 1100


def test_sample_holds_extremes_and_every_category():
    found = sampled()
    assert float(found.y.max()) == 7
    assert (float(found.x.min()), float(found.x.max())) == (0, 29_999 / 30_000)
    assert set(found.kind.values) == {"rare", "common"}


def test_sample_is_in_order_and_follows_the_seed():
    assert (np.diff(sampled().x) > 0).all()
    xr.testing.assert_identical(sampled(), sampled())
    assert not np.isin(sampled().x, sampled(seed=1).x).all()
