"""What may stand in a dataset, an attribute or a column, and what becomes of it."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from virtlab.errors import DataError
from virtlab.storage import open_trials
from virtlab.storage.arrays import read_array


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "lab.h5", "w") as file:
        yield file


def refuses(file, path, *words):
    with pytest.raises(DataError) as caught:
        read_array(file, path)
    for word in (*words, "lab.h5"):
        assert word in str(caught.value)


@pytest.mark.parametrize("dtype", ["f2", ">f4", "f8", "i1", ">i8", "u2", "bool"])
def test_reads_numbers_of_any_type(file, dtype):
    file["a"] = np.array([0, 1, 1], dtype)
    assert read_array(file, "a").values.astype(float).tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    "dtype", ["S4", h5py.string_dtype(), h5py.string_dtype("ascii"), h5py.string_dtype("utf-8", 6)]
)
def test_reads_text_of_any_type_as_str(file, dtype):
    file.create_dataset("a", data=["x", "yz"], dtype=dtype)
    file.attrs.create("a", ["x", "yz"], dtype=dtype)
    for path in ("a", "@a"):
        values = read_array(file, path).values
        assert values.tolist() == ["x", "yz"]
        assert all(type(value) is str for value in values)


def test_reads_text_in_latin_1(file):
    file["a"] = np.array(["20 °C".encode("latin-1")])
    assert read_array(file, "a").values.tolist() == ["20 °C"]


def test_reads_enums_by_their_names(file):
    kind = h5py.enum_dtype({"LOW": 0, "HIGH": 7}, basetype="u1")
    file.create_dataset("a", data=[7, 0, 7, 3], dtype=kind)
    file.attrs.create("a", 7, dtype=kind)
    assert read_array(file, "a").values.tolist() == ["HIGH", "LOW", "HIGH", ""]
    assert read_array(file, "@a").values.tolist() == "HIGH"


@pytest.mark.parametrize("value", [3.0, [3.0], "3", b"3"])
def test_reads_attributes_and_scalars(file, value):
    file["a"] = value
    file["a"].attrs["b"] = value
    for path in ("a", "a@b"):
        assert read_array(file, path).values.astype(float).ravel().tolist() == [3]


def test_reads_units_from_attributes(file):
    for name, attribute in (("a", "units"), ("b", "unit")):
        file[name] = 1.0
        file[name].attrs[attribute] = np.bytes_(b"\xb5V" if name == "a" else b"mV")
    file.attrs["c"] = 1.0
    file.attrs["c_units"] = "s"
    file["d"] = 1.0
    assert [read_array(file, p).units for p in ("a", "b", "@c", "d")] == ["µV", "mV", "s", None]


def test_reads_a_field_of_a_compound(file):
    kind = [("angle", "f4"), ("name", "S3")]
    file["a"] = np.array([(1, b"x"), (2, b"y")], kind)
    assert read_array(file, "a:angle").values.tolist() == [1, 2]
    assert read_array(file, "a:name").values.tolist() == ["x", "y"]
    refuses(file, "a:angel", "no such column", "did you mean 'angle'?")
    refuses(file, "a", "found a compound; choose a column: angle, name")


@pytest.mark.parametrize("attribute", ["column_names", "columns", "my labels"])
def test_reads_a_column_by_name_or_number(file, attribute):
    file["a"] = np.arange(6.0).reshape(2, 3)
    file["a"].attrs[attribute] = ["t (s)", "I (mV)", "Q"]
    for column in ("I", "I (mV)", "1"):
        raw = read_array(file, f"a:{column}")
        assert raw.values.tolist() == [1, 4]
        assert raw.units == "mV"
    assert read_array(file, "a:Q").units is None
    refuses(file, "a:P", "'/a:P': no such column (it holds: t (s), I (mV), Q)")
    refuses(file, "a:3", "no such column")


def test_reads_column_units_from_a_list(file):
    file["a"] = np.zeros((2, 2))
    file["a"].attrs["columns"] = ["x", "y"]
    file["a"].attrs["units"] = ["s", "V"]
    assert [read_array(file, f"a:{name}").units for name in "xy"] == ["s", "V"]


def test_refuses_columns_of_what_is_no_table(file):
    file["a"] = np.zeros(5)
    file.create_group("g")
    refuses(file, "a:x", "'/a:x': found shape (5,), expected a table")
    refuses(file, "g:x", "found a group, expected a dataset with columns")
    refuses(file, "g", "found a group, expected a dataset, or group@attribute")


def test_reads_only_chosen_fill_values(file):
    file["plain"] = np.zeros(3)
    file.create_dataset("zero", data=np.zeros(3), fillvalue=0)
    file.create_dataset("chosen", data=np.zeros(3), fillvalue=-1)
    file["named"] = np.zeros(3)
    file["named"].attrs["_FillValue"] = [np.float64(9e36)]
    file["named"].attrs["missing_value"] = -2.0
    fills = [read_array(file, name).fill for name in ("plain", "zero", "chosen", "named")]
    assert fills == [None, None, [-1], [9e36, -2]]
    kind = np.dtype([("x", "i4"), ("y", "i4")])
    file.create_dataset("compound", (3,), kind, fillvalue=np.array((0, -5), kind))
    assert [read_array(file, f"compound:{name}").fill for name in "xy"] == [None, [-5]]


@pytest.mark.parametrize(
    ("values", "dtype", "found"),
    [
        (np.ones(3, complex), None, "complex numbers"),
        (np.zeros(3, "V5"), None, "found type"),
        ([np.arange(2), np.arange(3)], h5py.vlen_dtype(float), "rows of different lengths"),
    ],
)
def test_refuses_types_that_are_neither_numbers_nor_text(file, values, dtype, found):
    dataset = file.create_dataset("a", (len(values),), dtype or values.dtype)
    for i, value in enumerate(values):
        dataset[i] = value
    refuses(file, "a", "'/a': expected numbers or text", found)


def test_refuses_references_and_nothing(file):
    file["x"] = 1.0
    file["a"] = np.array([file["x"].ref], h5py.ref_dtype)
    file.attrs["a"] = file["x"].ref
    file["b"] = h5py.Empty("f8")
    file.attrs["b"] = h5py.Empty("f8")
    refuses(file, "a", "found references")
    refuses(file, "@a", "found references")
    refuses(file, "b", "'/b': the dataset is empty (null dataspace)")
    refuses(file, "@b", "the attribute is empty (null)")


def test_refuses_values_kept_outside_the_file(file, tmp_path):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(b"0123456789abcdef")
    file.create_dataset("a", (2,), "f8", external=str(secret))
    refuses(file, "a", "its values are kept in another file")


def test_refuses_virtual_datasets_over_other_files(file, tmp_path):
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (3,))
    file.create_virtual_dataset("a", layout)
    refuses(file, "a", "a virtual dataset over other files", "other.h5")


def test_reads_virtual_datasets_within_the_file(file):
    file["x"] = np.arange(3.0)
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource(".", "x", (3,))
    file.create_virtual_dataset("a", layout)
    file.flush()
    assert read_array(file, "a").values.tolist() == [0, 1, 2]


def test_refuses_a_size_that_is_a_lie(file):
    file.create_dataset("a", (2**40,), "f8", chunks=(2**20,))
    refuses(file, "a", "says it holds 8,796,093,022,208 bytes, but only 0 are stored")


def test_refuses_damaged_values(tmp_path):
    path = tmp_path / "lab.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("a", data=np.arange(4096.0), fletcher32=True)
        offset = data.id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[offset + 100] ^= 1
    path.write_bytes(content)
    with h5py.File(path) as file:
        refuses(file, "a", "'/a': its values are damaged and cannot be read")


def test_refuses_damaged_attributes(tmp_path):
    path = tmp_path / "lab.h5"
    with h5py.File(path, "w") as file:
        file["a"] = np.arange(3.0)
        file["a"].attrs["units"] = "mV"
    path.write_bytes(path.read_bytes().replace(b"GCOL", b"GCOX"))
    with h5py.File(path) as file:
        refuses(file, "a", "'a': the file is damaged here", "copy it again")


def test_reads_compressed_values(file):
    hdf5plugin = pytest.importorskip("hdf5plugin")
    for name, filters in (("zstd", hdf5plugin.Zstd()), ("blosc", hdf5plugin.Blosc())):
        file.create_dataset(name, data=np.arange(999.0), **filters)
        np.testing.assert_array_equal(read_array(file, name).values, np.arange(999))


def test_names_a_filter_that_is_not_installed(file, monkeypatch):
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda _: False)
    file.create_dataset("a", data=np.arange(999.0), compression="lzf")
    refuses(file, "a", "compressed with filter 32000", "pip install virtlab[filters]")


# Through open_trials: what numbers and categories become.


def opened(lab, given, measured=None, **keys):
    measured = np.arange(len(given)) if measured is None else measured
    lab.write(parameters__x=given, measurements__y=measured)
    return open_trials(lab.experiment(**keys))


@pytest.mark.parametrize("written", ["{}", "{}.0", " {} ", "{}e0", "+{}", "{} mV", "{}mV"])
def test_takes_numbers_written_as_text(lab, written):
    x = [written.format(i) for i in range(12)]
    trials = opened(lab, x, x='kind = "continuous"\nunits = "mV"')
    np.testing.assert_array_equal(trials.x, np.arange(12))


def test_takes_text_for_numbers_where_bounds_or_units_ask_for_them(lab):
    trials = opened(lab, [str(i) for i in range(12)], x="bounds = [0, 20]")
    assert trials.x.attrs["kind"] == "continuous"
    assert trials.x.dtype == np.float64


def test_refuses_numbers_with_different_units_behind_them(lab):
    x = [f"{i} mV" for i in range(11)] + ["3 V"]
    with pytest.raises(DataError, match="""units 'V' and 'mV'" in 12 of 12 values"""):
        opened(lab, x, x='kind = "continuous"')


def test_takes_some_texts_for_missing_numbers(lab):
    x = ["None", "n/a", "", "nan", *map(str, range(10))]
    assert opened(lab, x, x='kind = "continuous"').sizes["trial"] == 10


def test_takes_text_booleans_and_enums_for_categories(lab):
    kind = h5py.enum_dtype({"OFF": 0, "ON": 1})
    lab.write(parameters__x=["a ", "b"] * 6, measurements__y=[True, False] * 6)
    with lab.edit(lab.folder / "a.h5") as file:
        file.create_dataset("z", data=[0, 1] * 6, dtype=kind)
    trials = open_trials(lab.experiment(y='[measurements.z]\npath = "z"'))
    assert trials.x.values.tolist() == ["a", "b"] * 6
    assert trials.y.values.tolist() == ["True", "False"] * 6
    assert trials.z.values.tolist() == ["OFF", "ON"] * 6
    assert {v.attrs["kind"] for v in trials.variables.values()} == {"categorical"}
    assert {v.dtype for v in trials.variables.values()} == {np.dtype(object)}


@pytest.mark.parametrize("dtype", ["i4", "f4", "f8"])
def test_takes_numbers_for_categories_where_asked(lab, dtype):
    trials = opened(lab, np.array([3, 7] * 6, dtype), x='kind = "categorical"')
    assert trials.x.values.tolist() == ["3", "7"] * 6


def test_drops_trials_with_a_missing_category(lab):
    trials = opened(lab, ["a", "b", ""] * 5)
    assert trials.sizes["trial"] == 10
    assert trials.attrs["dropped_reasons"] == ["5 without parameter 'x'"]


def test_takes_missing_categories_of_measurements_for_missing(lab):
    y = np.array([[1.0, np.nan], [2.0, -9]] * 6)
    keys = {"data": "missing = [-9]", "y": 'kind = "categorical"\ndims = ["t"]'}
    trials = opened(lab, np.arange(12.0), y, **keys)
    assert trials.y.values.tolist() == [["1", ""], ["2", ""]] * 6
    assert trials.y.attrs["missing"] == 12


def test_takes_fill_values_for_missing_in_the_type_they_are_stored_in(lab):
    lab.write(parameters__x=np.arange(12.0))
    y = np.arange(12, dtype="f4").reshape(12, 1).repeat(2, axis=1)
    y[3, 0] = 9.96921e36
    with lab.edit(lab.folder / "a.h5") as file:
        file["measurements/y"] = y
        file["measurements/y"].attrs["_FillValue"] = np.float64(9.96921e36)
    trials = open_trials(lab.experiment(y='dims = ["t"]'))
    assert np.argwhere(np.isnan(trials.y.values)).tolist() == [[3, 0]]


def test_takes_integer_fill_values_for_missing(lab):
    lab.write(parameters__x=np.arange(12.0))
    with lab.edit(lab.folder / "a.h5") as file:
        file.create_dataset("measurements/y", data=[[1, -1]] * 12, fillvalue=-1)
    trials = open_trials(lab.experiment(y='dims = ["t"]\nkind = "count"'))
    assert np.isnan(trials.y[:, 1]).all()
    assert (trials.y[:, 0] == 1).all()
