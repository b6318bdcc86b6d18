"""Opening lab files and finding what a path names."""

from __future__ import annotations

import time

import h5py
import numpy as np
import pytest

from virtlab.errors import DataError
from virtlab.storage.hdf5 import find, locate, match_groups, open_lab_file


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "lab.h5", "w") as file:
        file["a/b/c"] = np.arange(3.0)
        file["a"].attrs["power"] = 3.0
        file["odd:name@here"] = 1.0
        yield file


@pytest.mark.parametrize("path", ["a/b/c", "/a/b/c", "//a/./b//c", "a/b/c/"])
def test_finds_a_dataset(file, path):
    assert find(file, path).name == "/a/b/c"


def test_finds_relative_to_a_group_unless_the_path_begins_with_a_slash(file):
    assert find(file["a"], "b/c") == find(file["a/b"], "/a/b/c")


def test_tells_attributes_and_columns_from_names_that_hold_their_marks(file):
    assert locate(file, "odd:name@here").text == "/odd:name@here"
    assert locate(file, "a@power").attribute == "power"
    assert locate(file, "@power").item.name == "/"
    address = locate(file, "odd:name@here:x@y")
    assert (address.item.name, address.column) == ("/odd:name@here", "x@y")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("a/bb/c", "no 'a/bb/c': '/a' has no 'bb' (it holds: b); did you mean 'b'?"),
        ("x", "'/' has no 'x' (it holds: a, odd:name@here)"),
        ("a/b/c/d", "'/a/b/c' is a dataset, not a group"),
        ("aa@power", "'/' has no 'aa'"),
    ],
)
def test_says_how_far_a_path_exists(file, path, words):
    with pytest.raises(DataError) as caught:
        locate(file, path)
    assert words in str(caught.value)
    assert "lab.h5" in str(caught.value)


def test_lists_no_more_names_than_one_can_read(file):
    for i in range(500):
        file[f"many/{i:03}"] = i
    with pytest.raises(DataError) as caught:
        find(file, "many/x")
    assert "(500 in all)" in str(caught.value)
    assert len(str(caught.value)) < 300


def test_follows_soft_links(file):
    file["here"] = h5py.SoftLink("/a/b")
    file["a/near"] = h5py.SoftLink("b/c")
    assert find(file, "here/c").name == "/a/b/c"
    assert find(file, "a/near").name == "/a/b/c"


def test_refuses_soft_links_in_a_circle(file):
    file["one"] = h5py.SoftLink("/two")
    file["two"] = h5py.SoftLink("/one")
    with pytest.raises(DataError, match="'one/x': its soft links lead in a circle"):
        find(file, "one/x")


def test_says_where_a_dangling_link_leads(file):
    file["gone"] = h5py.SoftLink("/a/away")
    with pytest.raises(DataError, match="'/a' has no 'away'"):
        find(file, "gone")


def test_refuses_links_to_other_files_however_they_are_reached(file, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = 42.0
    file["out"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/")
    file["hidden"] = h5py.SoftLink("/out/secret")
    for path in ("out/secret", "hidden", "out"):
        with pytest.raises(DataError, match="'out' is a link into another file"):
            find(file, path)


def test_survives_groups_that_hold_themselves(file):
    file["a/again"] = file["a"]
    assert find(file, "a/again/again/again/b/c").shape == (3,)
    with pytest.raises(DataError, match="has no 'nothing'"):
        find(file, "a/again/again/nothing")


def test_survives_very_deep_groups(file):
    group = file
    for _ in range(2000):
        group = group.create_group("g")
    start = time.perf_counter()
    assert find(file, "g/" * 2000).name.count("g") == 2000
    assert time.perf_counter() - start < 5


def test_matches_groups_in_natural_order(file):
    for i in (10, 2, 1):
        file.create_group(f"runs/run_a/shot_{i}")
    file.create_group("runs/run_b/shot_0")
    file["runs/note"] = "no group"
    names = [group.name for group in match_groups(file, "/runs/run_*/shot_*")]
    assert names == [
        "/runs/run_a/shot_1",
        "/runs/run_a/shot_2",
        "/runs/run_a/shot_10",
        "/runs/run_b/shot_0",
    ]


@pytest.mark.parametrize("pattern", ["/runs/*", "/a/b/*", "/a/x*"])
def test_refuses_a_pattern_that_matches_no_group(file, pattern):
    with pytest.raises(DataError):
        match_groups(file, pattern)


def test_opens_for_reading_only(tmp_path, file):
    file.close()
    path = tmp_path / "lab.h5"
    before = path.read_bytes()
    with open_lab_file(path) as opened:
        assert opened.mode == "r"
    assert path.read_bytes() == before


def test_refuses_a_file_that_somebody_writes(tmp_path):
    import subprocess
    import sys

    path = tmp_path / "busy.h5"
    code = (
        "import h5py, sys; f = h5py.File(sys.argv[1], 'w'); f['a'] = 1; f.flush(); "
        "print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout.readline() == b"ready\n"
        with (
            pytest.raises(DataError, match="another program is writing this file"),
            open_lab_file(path),
        ):
            pass
        writer.stdin.close()
