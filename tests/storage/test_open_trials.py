"""What comes out of open_trials, and the words in which bad input is refused."""

from __future__ import annotations

import os
import re

import h5py
import numpy as np
import pytest

from virtlab import plugins
from virtlab.errors import DataError, PluginError, VirtlabError
from virtlab.plugins import RawArray, RawTrials, Reader
from virtlab.storage import data_digest, open_trials


def refuses(experiment, *words):
    """Open trials, expect one DataError, and return nothing unless all words are in it."""
    with pytest.raises(DataError) as caught:
        open_trials(experiment)
    for word in words:
        assert word in str(caught.value)


def test_gives_parameters_as_coords_and_measurements_as_float64(lab):
    lab.basic(x="s", y="V")
    trials = open_trials(lab.experiment(y="support = [0, inf]"))
    assert trials.sizes == {"trial": 12}
    assert trials.x.dtype == trials.y.dtype == np.float64
    assert trials.x.dims == trials.y.dims == ("trial",)
    assert trials.x.attrs == {"units": "s", "kind": "continuous", "missing": 0}
    assert trials.y.attrs == {
        "units": "V", "kind": "continuous", "missing": 0, "missing_trials": 0,
        "support": (0.0, np.inf),
    }  # fmt: skip
    assert trials.attrs["experiment"] == "basic"
    assert trials.attrs["files"] == ["a.h5"]
    assert trials.attrs["dropped_trials"] == trials.attrs["missing"] == 0
    np.testing.assert_array_equal(trials.y, 2 * trials.x)


def test_takes_the_path_of_an_experiment(lab):
    lab.basic()
    path = lab.folder / "experiment.toml"
    path.write_text(
        '[experiment]\nname = "p"\n[data]\nfiles = ["a.h5"]\n'
        '[parameters.x]\npath = "parameters/x"\n[measurements.y]\npath = "measurements/y"\n'
    )
    assert open_trials(str(path)).sizes["trial"] == 12


def test_joins_files_in_sorted_order_and_reports_each(lab):
    lab.basic("b.h5", 6)
    lab.basic("a.h5", 12)
    told = []
    trials = open_trials(
        lab.experiment(), report=lambda message, done: told.append((message, done))
    )
    assert trials.attrs["files"] == ["a.h5", "b.h5"]
    np.testing.assert_array_equal(trials.x, [*range(12), *range(6)])
    assert told[0] == ("reading a.h5 (1 of 2)", 0.0)
    assert told[1] == ("reading b.h5 (2 of 2)", 0.5)
    assert told[-1] == ("read 18 trials from 2 files", 1.0)


def test_reads_a_file_named_by_two_globs_once(lab):
    lab.basic()
    trials = open_trials(lab.experiment(BASIC_TWICE))
    assert trials.sizes["trial"] == 12


BASIC_TWICE = """
[experiment]
name = "twice"
[data]
files = ["a.h5", "*.h5"]
[parameters.x]
path = "parameters/x"
[measurements.y]
path = "measurements/y"
"""


def test_converts_units_that_differ_between_files(lab):
    lab.basic("a.h5", x="s", y="mV")
    lab.basic("b.h5", x="ms", y="V")
    trials = open_trials(lab.experiment(x='units = "ms"'))
    np.testing.assert_allclose(trials.x[:12], 1000 * np.arange(12))
    np.testing.assert_allclose(trials.x[12:], np.arange(12))
    assert trials.y.attrs["units"] == "mV"
    np.testing.assert_allclose(trials.y[12:], 2000 * np.arange(12))


def test_counts_missing_values_and_keeps_their_trials(lab):
    values = np.arange(24.0).reshape(12, 2)
    values[0, 0], values[1, 1], values[2, 0], values[3, 0] = np.nan, np.inf, -np.inf, -999
    lab.write(parameters__x=np.arange(12.0), measurements__y=values)
    trials = open_trials(lab.experiment(data="missing = [-999]", y='dims = ["t"]'))
    assert trials.sizes == {"trial": 12, "t": 2}
    assert trials.y.attrs["missing"] == trials.attrs["missing"] == 4
    assert np.isnan(trials.y.values).sum() == 4


def test_drops_trials_without_parameters_or_measurements_and_says_why(lab):
    x, y = np.arange(15.0), np.arange(15.0)
    x[[0, 3]] = np.nan
    y[7] = np.nan
    lab.write(parameters__x=x, measurements__y=y)
    trials = open_trials(lab.experiment())
    assert trials.sizes["trial"] == 12
    assert trials.attrs["dropped_trials"] == 3
    assert trials.attrs["dropped_reasons"] == [
        "2 without parameter 'x'", "1 without any measurement"
    ]  # fmt: skip


def test_derives_parameters_from_the_row_within_its_file(lab):
    lab.basic("a.h5", 7)
    lab.basic("b.h5", 5)
    more = '[parameters.state]\nindex = "parity"\n[parameters.step]\nmodulo = 3\nkind = "integer"'
    trials = open_trials(lab.experiment(x=more))
    assert "".join(trials.state.values) == "0101010" + "01010"
    assert trials.state.attrs["kind"] == "categorical"
    assert trials.step.values.tolist() == [0, 1, 2, 0, 1, 2, 0, 0, 1, 2, 0, 1]
    assert trials.step.attrs["kind"] == "integer"


def test_gives_coordinates_of_own_dims(lab):
    lab.write(
        parameters__x=np.arange(12.0),
        measurements__y=np.zeros((12, 4)),
        axes__time=[0.0, 1, 2, 3],
    )
    with lab.edit(lab.folder / "a.h5") as file:
        file["axes/time"].attrs["units"] = "ms"
    keys = 'dims = ["time"]\ncoords.time = { path = "axes/time", units = "us" }'
    trials = open_trials(lab.experiment(y=keys))
    np.testing.assert_allclose(trials.time, [0, 1000, 2000, 3000])
    assert trials.time.attrs["units"] == "us"
    assert "time" in trials.indexes


def test_takes_centres_where_a_coordinate_gives_bin_edges(lab):
    lab.write(
        parameters__x=np.arange(12.0), measurements__y=np.zeros((12, 2)), axes__t=[0.0, 1.0, 3.0]
    )
    trials = open_trials(lab.experiment(y='dims = ["t"]\ncoords.t = { path = "axes/t" }'))
    np.testing.assert_array_equal(trials.t, [0.5, 2.0])


@pytest.mark.parametrize("name", ["x_position", "column"])
def test_gives_two_dimensional_coordinates_as_coords_without_index(lab, name):
    lab.write(
        parameters__x=np.arange(12.0),
        measurements__y=np.zeros((12, 2, 3)),
        axes__p=np.arange(6.0).reshape(2, 3),
    )
    keys = f'dims = ["row", "column"]\ncoords.{name} = {{ path = "axes/p" }}'
    trials = open_trials(lab.experiment(y=keys))
    assert trials[name].dims == ("row", "column")
    assert name not in trials.indexes


def test_refuses_a_coordinate_that_fits_no_dim(lab):
    lab.write(
        parameters__x=np.arange(12.0), measurements__y=np.zeros((12, 2)), axes__t=np.arange(5.0)
    )
    refuses(
        lab.experiment(y='dims = ["t"]\ncoords.t = { path = "axes/t" }'),
        "'/axes/t': coordinate 't': found shape (5,), expected 2 values along 't'",
    )


def test_refuses_coordinates_that_differ_between_files(lab):
    for name, stop in (("a.h5", 2.0), ("b.h5", 3.0)):
        lab.write(
            name,
            parameters__x=np.arange(12.0), measurements__y=np.zeros((12, 2)), axes__t=[0, stop],
        )  # fmt: skip
    refuses(
        lab.experiment(y='dims = ["t"]\ncoords.t = { path = "axes/t" }'),
        "b.h5: '/axes/t': coordinate 't' differs from the one in",
        "a.h5; all files need the same",
    )


def test_makes_trials_of_a_gridded_scan(lab):
    y = np.arange(3 * 5 * 2.0).reshape(3, 5, 2)
    readback = np.arange(15.0).reshape(3, 5) / 10
    lab.write(a=[1.0, 2, 3], b=np.arange(5.0), y=y, readback=readback, temperature=[300.0])
    trials = open_trials(lab.experiment(GRID))
    assert trials.sizes == {"trial": 15, "channel": 2}
    point = trials.isel(trial=7)
    assert (point.a, point.b) == (2, 2)
    np.testing.assert_array_equal(point.y, y[1, 2])
    assert point.readback == readback[1, 2]
    assert (trials.temperature == 300).all()


GRID = """
[experiment]
name = "scan"
[data]
files = ["*.h5"]
grid = ["a", "b"]
[parameters.a]
path = "a"
[parameters.b]
path = "b"
[parameters.readback]
path = "readback"
[parameters.temperature]
path = "temperature"
[measurements.y]
path = "y"
dims = ["channel"]
"""


def test_takes_a_grid_from_two_dimensional_parameters(lab):
    a, b = np.meshgrid(np.arange(3.0), np.arange(5.0), indexing="ij")
    lab.write(a=a, b=b, y=np.zeros((3, 5, 2)), readback=a, temperature=1.0)
    trials = open_trials(lab.experiment(GRID))
    np.testing.assert_array_equal(trials.a, a.ravel())
    np.testing.assert_array_equal(trials.b, b.ravel())


def test_refuses_a_grid_that_the_measurement_does_not_have(lab):
    lab.write(a=[1.0, 2], b=np.arange(5.0), y=np.zeros((3, 5, 2)), readback=1.0, temperature=1.0)
    refuses(
        lab.experiment(GRID),
        "'/y': measurement 'y': found shape (3, 5, 2), expected it to begin with the grid (2, 5)",
    )


# What is refused, in which words.


def test_refuses_a_missing_file(lab):
    lab.basic()
    text = BASIC_TWICE.replace('"a.h5", "*.h5"', '"run1.h5"')
    refuses(lab.experiment(text), "no such file as 'run1.h5' in folder", str(lab.folder))


def test_refuses_a_glob_without_match(lab):
    refuses(
        lab.experiment(), "experiment.toml: data.files: no file matches '*.h5' in folder",
        str(lab.folder),
    )  # fmt: skip


def test_refuses_what_is_no_hdf5(lab):
    (lab.folder / "a.h5").write_text("x,y\n1,2\n")
    refuses(lab.experiment(), "a.h5: not an HDF5 file (it starts with b'x,y\\n1,2\\n')")


def test_refuses_an_empty_file(lab):
    (lab.folder / "a.h5").touch()
    refuses(lab.experiment(), "a.h5: the file is empty (0 bytes), expected an HDF5 file")


def test_refuses_a_truncated_file(lab):
    path = lab.basic(n=2000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refuses(lab.experiment(), "a.h5: the file is truncated", "copy it again")


def test_refuses_every_shortened_file_without_a_crash(lab):
    path = lab.basic(n=200)
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=re.escape(str(path))):
            open_trials(lab.experiment())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_refuses_a_file_without_permission(lab):
    lab.basic().chmod(0)
    refuses(lab.experiment(), "a.h5: cannot be read: Permission denied")


def test_refuses_a_folder(lab):
    (lab.folder / "a.h5").mkdir()
    refuses(lab.experiment(), "a.h5: found a folder, expected an HDF5 file")


def test_refuses_a_wrong_path_and_suggests_the_nearest(lab):
    lab.basic()
    text = BASIC_TWICE.replace("measurements/y", "measurement/y")
    refuses(
        lab.experiment(text),
        "a.h5: no 'measurement/y': '/' has no 'measurement' (it holds: measurements, parameters); "
        "did you mean 'measurements'?",
    )


def test_refuses_different_numbers_of_trials(lab):
    lab.write(parameters__x=np.arange(12.0), measurements__y=np.arange(13.0))
    refuses(
        lab.experiment(),
        "a.h5: numbers of trials differ: measurement 'y' (/measurements/y) has 13, "
        "parameter 'x' (/parameters/x) has 12",
    )


def test_refuses_axes_that_no_dims_name(lab):
    lab.write(parameters__x=np.arange(12.0), measurements__y=np.zeros((12, 5)))
    refuses(
        lab.experiment(),
        "measurement 'y': found shape (12, 5), expected 1 axes (trials); "
        'list its own axes in dims, e.g. dims = ["time"]',
    )


def test_refuses_text_where_numbers_belong(lab):
    lab.write(parameters__x=["1", "two", "two", *"456789012"], measurements__y=np.arange(12.0))
    refuses(
        lab.experiment(x='kind = "continuous"'),
        "'/parameters/x': parameter 'x': expected numbers (continuous), found 'two' "
        "in 2 of 12 values",
        'kind = "categorical"',
    )


def test_refuses_a_measurement_that_is_all_missing(lab):
    lab.write(parameters__x=np.arange(12.0), measurements__y=np.full(12, np.nan))
    refuses(
        lab.experiment(),
        "a.h5: 'measurements/y': measurement 'y': all 12 values are missing (NaN",
    )


def test_refuses_fewer_than_ten_trials(lab):
    x = np.arange(11.0)
    x[:2] = np.nan
    lab.write(parameters__x=x, measurements__y=np.arange(11.0))
    refuses(
        lab.experiment(),
        "found 9 trials in the files of [data], expected at least 10; "
        "left out: 2 without parameter 'x'",
    )


def test_refuses_units_that_cannot_be_converted(lab):
    lab.basic(y="V")
    refuses(
        lab.experiment(y='units = "s"'),
        "'/measurements/y': measurement 'y': units 'V' cannot be converted to 's'",
    )


def test_refuses_own_shapes_that_differ_between_files(lab):
    lab.write("a.h5", parameters__x=np.arange(12.0), measurements__y=np.zeros((12, 5)))
    lab.write("b.h5", parameters__x=np.arange(12.0), measurements__y=np.zeros((12, 6)))
    refuses(
        lab.experiment(y='dims = ["t"]'),
        "b.h5: '/measurements/y': measurement 'y': found shape (6,) per trial, expected (5,) as in",
        "a.h5",
    )


def test_refuses_one_dim_with_two_lengths(lab):
    lab.write(parameters__x=np.arange(12.0), measurements__y=np.zeros((12, 5)), z=np.zeros((12, 6)))
    more = 'dims = ["t"]\n[measurements.z]\npath = "z"\ndims = ["t"]'
    refuses(
        lab.experiment(y=more),
        "dim 't' has length 6 in measurement 'z' and 5 in 'y'; give them dims of different names",
    )


def test_refuses_counts_that_are_not_whole(lab):
    lab.write(parameters__x=np.arange(12.0), measurements__y=np.arange(12) + 0.5)
    refuses(
        lab.experiment(y='kind = "count"'),
        "measurement 'y': expected whole numbers (count), found 0.5; 12 of 12 values are not whole",
    )


def test_refuses_negative_counts(lab):
    lab.write(parameters__x=np.arange(12.0), measurements__y=np.arange(12) - 2)
    refuses(
        lab.experiment(y='kind = "count"'),
        "measurement 'y': 2 of 12 values outside its support [0, inf], the worst -2",
    )


def test_refuses_measurements_outside_their_support(lab):
    lab.basic()
    refuses(
        lab.experiment(y="support = [0, 19]"),
        "measurement 'y': 2 of 12 values outside its support [0, 19], the worst 22",
    )


def test_refuses_parameters_outside_their_bounds(lab):
    lab.basic(x="mm")
    refuses(
        lab.experiment(x="bounds = [0, 10]"),
        "'/parameters/x': parameter 'x': 1 of 12 values outside its bounds [0, 10] mm, "
        "the worst 11",
    )


def test_forgives_what_unit_conversion_rounds(lab):
    lab.write(parameters__x=np.arange(12) / 100, measurements__y=np.arange(12.0))
    with lab.edit(lab.folder / "a.h5") as file:
        file["parameters/x"].attrs["units"] = "1"
    trials = open_trials(lab.experiment(x='units = "percent"\nkind = "integer"\nbounds = [0, 11]'))
    assert trials.x.values.tolist() == list(range(12))


def test_refuses_a_parameter_with_an_axis_too_many(lab):
    lab.write(parameters__x=np.zeros((12, 3)), measurements__y=np.arange(12.0))
    refuses(
        lab.experiment(),
        "'/parameters/x': parameter 'x': found shape (12, 3), expected one value per trial",
        "set data.grid",
    )


@pytest.mark.parametrize("shape", [(12, 1), (1, 12)])
def test_takes_columns_and_rows_of_programs_that_know_only_matrices(lab, shape):
    y = np.arange(12.0).reshape(shape)
    lab.write(parameters__x=np.arange(12.0).reshape(shape), measurements__y=y)
    trials = open_trials(lab.experiment(y=f"trial_dim = {shape.index(12)}"))
    np.testing.assert_array_equal(trials.y, np.arange(12))


def test_takes_a_trial_axis_that_is_not_the_first(lab):
    y = np.arange(36.0).reshape(3, 12)
    lab.write(parameters__x=np.arange(12.0), measurements__y=y)
    trials = open_trials(lab.experiment(y='dims = ["t"]\ntrial_dim = 1'))
    np.testing.assert_array_equal(trials.y, y.T)


# Readers of others.


def reading(monkeypatch, read):
    monkeypatch.setattr(plugins, "reader", lambda name: Reader(name, "a test", read))


def test_turns_a_readers_own_exception_into_a_message(lab, monkeypatch):
    def read(path, experiment):
        raise KeyError("scan")

    reading(monkeypatch, read)
    path = lab.basic()
    with pytest.raises(PluginError, match="reader 'table' failed: KeyError: 'scan'") as caught:
        open_trials(lab.experiment())
    assert str(path) in str(caught.value)


def test_refuses_a_reader_that_leaves_something_out(lab, monkeypatch):
    def read(path, experiment):
        return RawTrials({}, {"y": RawArray(np.zeros(12))})

    reading(monkeypatch, read)
    lab.basic()
    with pytest.raises(PluginError, match="returned no parameter x"):
        open_trials(lab.experiment())


def test_lets_a_readers_own_message_through(lab, monkeypatch):
    def read(path, experiment):
        raise DataError("the shutter was closed")

    reading(monkeypatch, read)
    lab.basic()
    with pytest.raises(VirtlabError, match=r"^the shutter was closed$"):
        open_trials(lab.experiment())


# The digest.


def test_digest_depends_on_values_only(lab):
    lab.basic("a.h5")
    first = data_digest(open_trials(lab.experiment()))
    (lab.folder / "a.h5").rename(lab.folder / "z.h5")
    assert data_digest(open_trials(lab.experiment())) == first
    with lab.edit(lab.folder / "z.h5") as file:
        file["measurements/y"][3] = 6.5
    assert data_digest(open_trials(lab.experiment())) != first


def test_digest_tells_names_and_strings_apart(lab):
    lab.write(parameters__x=[*"abcabcabcabc"], measurements__y=np.arange(12.0))
    trials = open_trials(lab.experiment())
    renamed = trials.rename(x="z")
    joined = trials.assign_coords(x=("trial", np.array(["ab", "", *trials.x.values[2:]], object)))
    assert len({data_digest(each) for each in (trials, renamed, joined)}) == 3


def test_digest_is_stable(lab):
    lab.basic()
    digest = data_digest(open_trials(lab.experiment()))
    assert digest == data_digest(open_trials(lab.experiment()).copy(deep=True))
    assert re.fullmatch("[0-9a-f]{64}", digest)


def test_reads_with_little_more_memory_than_the_data(lab):
    import tracemalloc

    path = lab.folder / "a.h5"
    with h5py.File(path, "w") as file:
        file["parameters/x"] = np.arange(400.0)
        file["measurements/y"] = np.ones((400, 5000))
    tracemalloc.start()
    trials = open_trials(lab.experiment(y='dims = ["t"]'))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2.3 * trials.y.nbytes
