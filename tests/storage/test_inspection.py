import json
import os
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from virtlab.errors import DataError
from virtlab.storage.inspection import inspect_file
from virtlab.storage.output import write_virtual_trials
from virtlab.storage.tree import every

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def lab(tmp_path):
    return tmp_path / "lab.h5"


def node(inspection, path):
    return next(each for each in every(inspection.tree, lambda each: each.path == path))


def shown(inspection, name):
    return next(line for line in inspection.lines() if line.strip().startswith(name))


def test_shows_shape_type_units_and_compression_of_a_dataset(lab):
    with h5py.File(lab, "w") as file:
        data = file.create_dataset(
            "m/trace", (600, 50), "f4", chunks=(60, 50), compression="gzip", shuffle=True
        )
        data.attrs["units"] = "mV"
        data.attrs["long_name"] = "detector voltage"
    found = inspect_file(lab)
    assert found.kind == "lab"
    line = shown(found, "trace")
    assert "600 × 50  float32  mV  chunks 60 × 50, shuffle, gzip 4" in line
    assert "@long_name  = detector voltage" in str(found)


def test_columns_stand_one_below_the_other(lab):
    with h5py.File(lab, "w") as file:
        for name, units in (("a", "mm"), ("a_longer_name", "degree")):
            file.create_dataset(name, data=np.zeros(30)).attrs["units"] = units
    found = inspect_file(lab)
    assert shown(found, "a ").index("float64") == shown(found, "a_longer").index("float64")


def test_shows_the_value_of_a_single_small_thing(lab):
    with h5py.File(lab, "w") as file:
        file["temperature"] = np.float32(4.2)
        file["operator"] = "Ada"
        file["one"] = [7]
    found = inspect_file(lab)
    assert "= 4.2" in shown(found, "temperature")
    assert "= Ada" in shown(found, "operator")
    assert "= 7" in shown(found, "one")


def test_never_loads_data_that_is_large(lab):
    with h5py.File(lab, "w") as file:
        file.create_dataset("huge", (2**20, 2**23), "f8", chunks=(1, 2**16))
    assert "1048576 × 8388608" in shown(inspect_file(lab), "huge")


def test_link_to_nothing_is_told_and_the_rest_still_shown(lab):
    with h5py.File(lab, "w") as file:
        file["gone"] = h5py.SoftLink("/nowhere")
        file["far"] = h5py.ExternalLink("other.h5", "/data")
        file["data"] = np.zeros(12)
        file["alias"] = h5py.SoftLink("/data")
    found = inspect_file(lab)
    assert "!  link to /nowhere, which is not there" in shown(found, "gone")
    assert "link into another file, which is not there: other.h5 /data" in shown(found, "far")
    assert "12  float64" in shown(found, "alias")
    assert "link to /data" in shown(found, "alias")
    assert "float64" in shown(found, "data")
    assert found.lines()[-1] == "! 2 of its objects cannot be read, or not wholly"


def test_link_into_another_file_is_never_followed(lab, tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["data"] = "secret"
    with h5py.File(lab, "w") as file:
        file["far"] = h5py.ExternalLink("secret.h5", "/data")
        file["near"] = h5py.SoftLink("/far")
    found = inspect_file(lab)
    assert "not followed" in shown(found, "far")
    assert "= secret" not in str(found)


def test_virtual_dataset_says_which_sources_are_missing(lab, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.zeros(5)
    layout = h5py.VirtualLayout((2, 5), "f8")
    layout[0] = h5py.VirtualSource("a.h5", "x", (5,))
    layout[1] = h5py.VirtualSource("b.h5", "x", (5,))
    whole = h5py.VirtualLayout((5,), "f8")
    whole[:] = h5py.VirtualSource("a.h5", "x", (5,))
    with h5py.File(lab, "w") as file:
        file.create_virtual_dataset("torn", layout)
        file.create_virtual_dataset("whole", whole)
    found = inspect_file(lab)
    assert "virtual; of 2 sources 1 missing: b.h5" in shown(found, "torn")
    assert node(found, "/torn").faulty
    assert "virtual, assembled from 1 sources" in shown(found, "whole")
    assert not node(found, "/whole").faulty


def test_type_that_h5py_cannot_map_is_told(lab):
    with h5py.File(lab, "w") as file:
        space = h5py.h5s.create_simple((4,))
        h5py.h5d.create(file.id, b"time", h5py.h5t.UNIX_D32LE, space)
        file["fine"] = 1.0
    found = inspect_file(lab)
    assert "!  its type cannot be read by h5py" in shown(found, "time")
    assert "= 1" in shown(found, "fine")


def test_filter_that_is_not_installed_is_named(lab, monkeypatch):
    with h5py.File(lab, "w") as file:
        file.create_dataset("y", data=np.zeros(100), compression="gzip")
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda code: code != 1)
    found = inspect_file(lab)
    assert "compressed with gzip (filter 1), which is not installed" in shown(found, "y")
    assert 'pip install "virtlab[filters]"' in shown(found, "y")


def test_attribute_that_cannot_be_read_is_named_beside_the_others(lab):
    with h5py.File(lab, "w") as file:
        file.attrs["fine"] = 1
        space = h5py.h5s.create(h5py.h5s.SCALAR)
        h5py.h5a.create(file.id, b"odd", h5py.h5t.UNIX_D32LE, space)
    found = inspect_file(lab)
    assert "@fine  = 1" in str(found)
    assert "unreadable attributes: odd" in found.lines()[1]


def test_group_that_contains_itself_is_shown_once(lab):
    with h5py.File(lab, "w") as file:
        inner = file.create_group("a/b")
        inner["back"] = file["a"]
        inner["root"] = file["/"]
        file["a/data"] = np.zeros(3)
        file["copy"] = file["a/data"]
    found = inspect_file(lab)
    assert "the same as /a" in shown(found, "back/")
    assert "the same as /" in shown(found, "root/")
    assert node(found, "/a/data").same_as == "/copy"
    assert len(every(found.tree, lambda _: True)) == 7


def test_very_deep_file_is_cut_in_good_time(lab):
    with h5py.File(lab, "w") as file:
        group = file
        for _ in range(2000):
            group = group.create_group("g")
    start = time.perf_counter()
    found = inspect_file(lab)
    assert time.perf_counter() - start < 2
    assert "1 member not looked at: as deep as asked for" in str(found)


def test_depth_can_be_limited(lab):
    with h5py.File(lab, "w") as file:
        file["a/b/c"] = 1.0
    found = inspect_file(lab, max_depth=1)
    assert node(found, "/a").note == "1 member not looked at: as deep as asked for"
    assert not every(found.tree, lambda each: each.path == "/a/b")


def test_thousands_of_similar_groups_become_one_line(lab):
    with h5py.File(lab, "w") as file:
        for shot in range(3000):
            file.create_group(f"shots/shot_{shot}").attrs["power"] = shot
        file["shots/shot_7/notes"] = "bang"
        file["parameters/gain"] = np.zeros(9)
    found = inspect_file(lab)
    assert "… and 2,996 more like it, up to shot_2999" in str(found)
    assert "= bang" in str(found), "the one that is different is shown"
    assert "gain" in str(found)
    assert len(found.lines()) < 25


def test_crowded_group_leaves_room_for_its_neighbours(lab):
    with h5py.File(lab, "w") as file:
        rng = np.random.default_rng(0)
        for _ in range(500):
            name = "".join(rng.choice(list("abcdefghij"), 12))
            file[f"aaa/{name}/value"] = 1.0
        file["results/toughness"] = np.zeros(9)
    found = inspect_file(lab)
    assert len(found.lines(most=60)) <= 62
    assert any("toughness" in line for line in found.lines(most=60))
    assert any("more" in line for line in found.lines(most=60))


def test_hostile_names_cannot_drive_the_terminal(lab):
    with h5py.File(lab, "w") as file:
        file["evil\x1b[2J"] = "text\x1b]0;x\x07\r\n"
        file.attrs["at\x1b[31m"] = "v\u202ee"
        file["evil\x1b[2J"].attrs["units"] = "\x1b[0m"
    text = str(inspect_file(lab))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\r" not in text
    assert "\\x1b[2J" in text


def test_types_are_named_as_a_scientist_would(lab):
    with h5py.File(lab, "w") as file:
        file.create_dataset("s", (4,), h5py.string_dtype())
        file.create_dataset("f", (4,), "S8")
        file.create_dataset("e", (4,), h5py.enum_dtype({"OFF": 0, "ON": 1}))
        file.create_dataset("c", (4,), np.dtype([("x", "f8"), ("n", ">i4")]))
        file.create_dataset("v", (4,), h5py.vlen_dtype("f4"))
        file.create_dataset("r", (4,), h5py.ref_dtype)
        file["n"] = h5py.Empty("f8")
    found = inspect_file(lab)
    for name, text in {
        "s ": "text",
        "f ": "text[8]",
        "e ": "enum {OFF, ON}",
        "c ": "compound {x: float64, n: int32}",
        "v ": "variable length float32",
        "r ": "reference",
        "n ": "holds nothing",
    }.items():
        assert text in shown(found, name)


def test_everything_goes_into_json(lab):
    with h5py.File(lab, "w") as file:
        file.create_dataset("m/y", data=np.zeros((4, 3))).attrs["units"] = "J"
        file["gone"] = h5py.SoftLink("/nowhere")
    found = json.loads(json.dumps(inspect_file(lab).to_dict()))
    assert found["kind"] == "lab"
    members = {each["path"]: each for each in found["tree"]["children"]}
    assert members["/gone"]["faulty"] is True
    assert members["/m"]["children"][0]["shape"] == [4, 3]
    assert members["/m"]["children"][0]["units"] == "J"


@pytest.fixture
def virtual():
    return xr.Dataset(
        {"y": (("theta", "trial"), np.ones((21, 5), "f4"), {"units": "J"})},
        coords={
            "theta": ("theta", np.linspace(0, 200, 21), {"units": "degree"}),
            "base": ("theta", np.array(["KOH"] * 21, object)),
            "r": ((), 1.8, {"units": "mm"}),
        },
        attrs={"virtual_data": 1, "seed": 7, "model_sha256": "abc", "params": "trials = 5\n"},
    )


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_virtual_trials_say_that_they_are_simulated(virtual, tmp_path, suffix):
    path = tmp_path / f"v{suffix}"
    write_virtual_trials(virtual, path)
    found = inspect_file(path)
    text = str(found)
    assert found.kind == "virtual"
    assert "virtual trials, simulated" in found.lines()[0]
    assert "theta 21, trial 5" in text
    assert "0 … 200 (21)" in text
    assert "(theta, trial)" in text
    assert "seed = 7" in text
    assert "model_sha256 = abc" in text
    assert "unfinished" not in text
    about = json.loads(json.dumps(found.to_dict()))
    assert about["measurements"]["y"]["units"] == "J"


def test_unfinished_zarr_store_is_told(virtual, tmp_path):
    write_virtual_trials(virtual, tmp_path / "v.zarr")
    file = tmp_path / "v.zarr" / "zarr.json"
    root = json.loads(file.read_text())
    del root["attributes"]["complete"]
    file.write_text(json.dumps(root))
    assert "! unfinished" in str(inspect_file(tmp_path / "v.zarr"))


def _archive(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)


def test_model_file_yields_its_manifest(tmp_path):
    _archive(tmp_path / "m.virtlab", manifest_json='{"format": 1}')
    found = inspect_file(tmp_path / "m.virtlab")
    assert found.kind == "model"
    assert found.to_dict()["manifest"] == {"format": 1}
    assert "format" in str(found)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"empty \(0 bytes\)"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 60, "damaged or truncated"),
        (b"[experiment]\nname = 'x'\n", r"found text \(it starts with '\[experiment\]'\)"),
        (b"\x89PNG\r\n\x1a\n", "found a PNG picture"),
        (b"CDF\x01" + b"\0" * 60, "found a NetCDF-3 file; convert it"),
        (b"\x80\x04\x95", "found a Python pickle, which virtlab never opens"),
        (b"MATLAB 5.0 MAT-file, Platform", "save it in MATLAB with -v7.3"),
        (b"\x00\xff\xfe\xfd", "found an unknown binary format"),
        (b"PK\x03\x04junk", "damaged or truncated model file"),
    ],
)
def test_anything_else_is_refused_by_what_it_is(tmp_path, content, message):
    path = tmp_path / "thing"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        inspect_file(path)
    assert str(path) in str(caught.value)


def test_refuses_what_is_not_there_or_is_no_file(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        inspect_file(tmp_path / "nowhere.h5")
    with pytest.raises(DataError, match="found a folder"):
        inspect_file(tmp_path)
    (tmp_path / "e.toml").write_text("a = 1")
    with pytest.raises(DataError, match="found a TOML file"):
        inspect_file(tmp_path / "e.toml")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a_txt": "x"}, r"found a zip archive \(of a\.txt\), no virtlab model"),
        ({"manifest_json": "{"}, "is not JSON"),
        ({"manifest_json": "[1]"}, "expected a JSON object"),
        ({"manifest_json": " " * (16 * 2**20 + 1)}, "larger than"),
        ({"manifest_json": "[" * 200_000}, "is not JSON"),
    ],
)
def test_archives_that_are_no_models_are_refused(tmp_path, members, message):
    _archive(tmp_path / "m.virtlab", **members)
    with pytest.raises(DataError, match=message):
        inspect_file(tmp_path / "m.virtlab")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_truncated_file_is_refused(lab, part):
    with h5py.File(lab, "w") as file:
        file["y"] = np.zeros(10_000)
    os.truncate(lab, int(lab.stat().st_size * part))
    with pytest.raises(DataError, match="truncated"):
        inspect_file(lab)


@pytest.mark.skipif(not SHARED.exists(), reason="shared data are not here")
def test_every_real_file_is_described_in_few_lines():
    files = [each for each in SHARED.rglob("*.*") if each.suffix in (".h5", ".hdf5", ".nxs")]
    assert len(files) > 20
    for path in files:
        lines = inspect_file(path).lines()
        assert 5 < len(lines) < 140, path
        assert max(map(len, lines)) < 400


@pytest.mark.skipif(not SHARED.exists(), reason="shared data are not here")
def test_table_of_shots_is_not_hidden_by_a_thousand_settings():
    text = str(inspect_file(SHARED / "ssro_angle" / "182809_SSRO_90_10.00.hdf5"))
    assert "4092 × 3  float64" in text
    assert "[pts (arb. unit), raw w0 (V), raw w1 (V)]" in text
