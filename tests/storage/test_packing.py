"""Numbers that NetCDF and CF tools packed, and which of them are valid."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from virtlab.errors import DataError
from virtlab.storage import open_trials
from virtlab.storage.arrays import read_array

NAN = float("nan")


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "lab.h5", "w") as file:
        yield file


def read(file, stored, dtype="i2", **attributes):
    """Values as read, where a dataset with these attributes stores these numbers."""
    file["a"] = np.array(stored, dtype)
    file["a"].attrs.update(attributes)
    return np.asarray(read_array(file, "a").values).tolist()


def test_scales_and_shifts_what_is_packed(file):
    values = read(file, [0, 100, -100], scale_factor=0.25, add_offset=10.0)
    assert values == [10, 35, -15]


@pytest.mark.parametrize(
    ("attributes", "expected"), [({"scale_factor": 2.0}, [2, 6]), ({"add_offset": 5}, [6, 8])]
)
def test_needs_only_one_of_scale_and_offset(file, attributes, expected):
    assert read(file, [1, 3], **attributes) == expected


def test_masks_fill_values_before_scaling(file):
    # 5 * 2 - 11 = -1: what a fill value would match if it were compared too late
    values = read(file, [5, -1], _FillValue=np.int16(-1), scale_factor=2.0, add_offset=-11.0)
    np.testing.assert_equal(values, [-1, NAN])
    file.create_dataset("b", data=np.array([5, -7], "i2"), fillvalue=-7)
    file["b"].attrs["scale_factor"] = 2.0
    raw = read_array(file, "b")
    np.testing.assert_equal(raw.values, [10, NAN])
    assert raw.fill is None


def test_takes_a_zero_chosen_as_fill_value_for_missing_where_values_are_packed(file):
    values = read(file, [0, 4], "u1", _FillValue=np.uint8(0), add_offset=-40.0)
    np.testing.assert_equal(values, [NAN, -36])


def test_takes_a_float32_factor_for_the_decimal_that_was_written(file):
    values = read(file, [300], scale_factor=np.float32(0.01), add_offset=np.float32(0.1))
    assert values == [pytest.approx(3.1, rel=1e-12)]


@pytest.mark.parametrize(
    "attributes",
    [
        {"valid_range": np.array([2, 4], "i2")},
        {"valid_min": np.int16(2), "valid_max": np.int16(4)},
        {"valid_range": np.array([0, 4], "i2"), "valid_min": np.int16(2)},
    ],
)
def test_masks_what_is_not_valid(file, attributes):
    np.testing.assert_equal(read(file, [1, 2, 4, 5], **attributes), [NAN, 2, 4, NAN])


def test_compares_limits_with_what_is_stored(file):
    values = read(file, [1, 2, 3], scale_factor=10.0, valid_max=np.int16(2))
    np.testing.assert_equal(values, [10, 20, NAN])


def test_compares_float_limits_of_packed_integers_with_the_values(file):
    values = read(file, [1, 2, 3], scale_factor=10.0, valid_max=25.0)
    np.testing.assert_equal(values, [10, 20, NAN])


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"scale_factor": "2"}, "attribute 'scale_factor': found '2', expected one number"),
        ({"add_offset": [1.0, 2.0]}, "attribute 'add_offset': found '[1. 2.]', expected one"),
        ({"scale_factor": 0.0}, "attribute 'scale_factor' is 0"),
        ({"scale_factor": np.inf}, "attribute 'scale_factor' is inf"),
        ({"valid_range": 3}, "attribute 'valid_range': found '3', expected 2 numbers"),
    ],
)
def test_refuses_packing_that_it_cannot_undo(file, attributes, words):
    with pytest.raises(DataError) as caught:
        read(file, [1, 2], **attributes)
    assert "lab.h5: '/a': " + words in str(caught.value)


def test_leaves_text_and_numbers_without_packing_as_they_are(file):
    file["text"] = ["1", "2"]
    file["text"].attrs["scale_factor"] = 2.0
    assert read_array(file, "text").values.tolist() == ["1", "2"]
    file["plain"] = np.array([1, 2], "i2")
    assert read_array(file, "plain").values.dtype == "i2"


def test_unpacks_a_column(file):
    file["a"] = np.array([[1, 2], [3, 4]], "i2")
    file["a"].attrs.update({"columns": ["x", "y"], "scale_factor": 0.5})
    assert read_array(file, "a:y").values.tolist() == [1, 2]


def test_trials_hold_unpacked_values_in_the_units_of_the_experiment(lab):
    path = lab.write(parameters__x=np.arange(12.0), measurements__y=np.arange(12, dtype="i2"))
    with lab.edit(path) as file:
        attributes = {"scale_factor": 0.5, "_FillValue": np.int16(3), "units": "mV"}
        file["measurements/y"].attrs.update(attributes)
    trials = open_trials(lab.experiment(y='units = "V"\nsupport = [0, 0.0055]'))
    np.testing.assert_allclose(trials.y, np.delete(np.arange(12), 3) * 0.0005, rtol=1e-12)
    assert trials.attrs["dropped_reasons"] == ["1 without any measurement"]


def test_reads_packed_values_as_xarray_does(tmp_path):
    xr = pytest.importorskip("xarray")
    values = xr.Dataset({"t": ("trial", [20.0, NAN, 21.5, 19.25])})
    packing = {"dtype": "i2", "scale_factor": 0.25, "add_offset": 20.0, "_FillValue": -32767}
    values.to_netcdf(tmp_path / "lab.nc", engine="h5netcdf", encoding={"t": packing})
    with h5py.File(tmp_path / "lab.nc") as file:
        np.testing.assert_equal(read_array(file, "t").values, values.t.values)


def test_unpacks_each_group_by_its_own_attributes(lab):
    path = lab.folder / "a.h5"
    with h5py.File(path, "w") as file:
        for shot in range(12):
            group = file.create_group(f"shots/{shot:02}")
            group.attrs["x"] = float(shot)
            group["y"] = np.int16(10)
            group["y"].attrs["scale_factor"] = float(shot + 1)
    trials = open_trials(
        lab.experiment(
            '[experiment]\nname = "g"\n[data]\nfiles = ["a.h5"]\nreader = "groups"\n'
            'groups = "/shots/*"\n[parameters.x]\npath = "@x"\n[measurements.y]\npath = "y"\n'
        )
    )
    assert trials.y.values.tolist() == [10.0 * (shot + 1) for shot in range(12)]
