"""Files that crash or hang the HDF5 library: a child meets them first."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from virtlab.errors import DataError
from virtlab.storage import inspect_file, open_trials, probe
from virtlab.storage.probe import probed
from virtlab.storage.starter import starter


@pytest.fixture
def crashing(lab):
    """A lab file with one changed byte in the index of its root: who lists it dies."""
    path = lab.folder / "a.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file["parameters/x"] = np.arange(12.0)
        file["measurements/y"] = np.arange(12.0)
        for number in range(20):
            file.create_group(f"log_{number}")
    content = bytearray(path.read_bytes())
    content[content.index(b"FRHP") + 8] ^= 0xFF
    path.write_bytes(content)
    listing = f"import h5py; list(h5py.File({str(path)!r}))"
    if subprocess.run([sys.executable, "-c", listing], capture_output=True).returncode >= 0:
        pytest.skip("this HDF5 library survives the damage")
    return path


@pytest.fixture
def child_runs(monkeypatch):
    """Let the child run some code instead of walking through files."""
    return lambda code: monkeypatch.setattr(probe, "_CHILD", ("-c", code))


def test_passes_on_what_can_be_walked_through(lab):
    paths = [lab.basic(f"{letter}.h5") for letter in "abc"]
    assert list(probed(paths)) == paths


def test_leaves_errors_to_who_reads(tmp_path):
    (tmp_path / "text.h5").write_text("no HDF5")
    paths = [tmp_path / "text.h5", tmp_path / "missing.h5"]
    assert list(probed(paths)) == paths


def test_names_the_file_that_crashes_the_library_after_those_that_do_not(crashing, lab):
    # What writes where it must not is now and then survived: not several times in a process.
    others = [Path(shutil.copy(crashing, crashing.with_name(f"{i}.h5"))) for i in range(5)]
    files = probed([lab.basic("good.h5"), crashing, *others])
    assert next(files).name == "good.h5"
    with pytest.raises(
        DataError, match=r"[a\d]\.h5: reading it crashed the HDF5 library \(signal \d"
    ):
        list(files)


@pytest.mark.parametrize("read", [inspect_file, lambda path: starter([path])])
def test_looking_at_a_file_that_crashes_the_library_is_an_error(crashing, read):
    with pytest.raises(DataError, match=r"a\.h5: reading it crashed the HDF5 library"):
        read(crashing)


def test_reading_trials_from_a_file_that_crashes_the_library_is_an_error(crashing, lab):
    with pytest.raises(DataError, match=r"a\.h5: reading it crashed the HDF5 library"):
        open_trials(lab.experiment())


def test_gives_up_on_a_file_that_never_ends(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "endless.h5")  # opening it waits for a writer
    monkeypatch.setattr(probe, "_MOST_SECONDS", 1)
    with pytest.raises(DataError, match=r"endless\.h5: reading it did not come to an end in 1 s"):
        list(probed([tmp_path / "endless.h5"]))


def test_says_what_killed_the_child(child_runs, tmp_path):
    child_runs("import os; print(flush=True); os.kill(os.getpid(), 11)")
    files = probed([tmp_path / "a.h5", tmp_path / "b.h5"])
    assert next(files) == tmp_path / "a.h5"
    with pytest.raises(DataError, match=r"b\.h5: reading it crashed .* \(signal 11\): the file is"):
        next(files)


@pytest.mark.parametrize("code", ["raise SystemExit(1)", "import no_such_module"])
def test_goes_on_where_no_child_can_work(child_runs, tmp_path, code):
    child_runs(code)
    paths = [tmp_path / "a.h5", tmp_path / "b.h5"]
    assert list(probed(paths)) == paths


def test_ends_its_child_when_the_caller_stops_early(child_runs, tmp_path):
    child_runs("import time; print(flush=True); time.sleep(60)")
    files = probed([tmp_path / "a.h5", tmp_path / "b.h5"])
    next(files)
    files.close()  # returns at once: a child left alone would make this wait for it


def test_takes_no_module_from_the_working_folder(lab, monkeypatch):
    (lab.folder / "h5py.py").write_text("import os; os.kill(os.getpid(), 9)")
    monkeypatch.chdir(lab.folder)
    assert list(probed([lab.basic()])) == [lab.folder / "a.h5"]


def test_opens_no_link_to_another_file_and_ends_in_a_circle(lab):
    os.mkfifo(lab.folder / "other.h5")  # would never end
    path = lab.basic()
    with lab.edit(path) as file:
        file["outside"] = h5py.ExternalLink("other.h5", "/")
        file["round"] = file["/"]
        file["nowhere"] = h5py.SoftLink("/nothing")
    assert list(probed([path])) == [path]


@pytest.mark.parametrize("mark", [b"TREE", b"HEAP", b"SNOD"])
def test_damage_in_one_group_is_told_beside_the_others(lab, mark):
    path = lab.basic()
    content = bytearray(path.read_bytes())
    content[content.rindex(mark)] ^= 0xFF  # the last group's
    path.write_bytes(content)
    text = str(inspect_file(path))
    assert "bad" in text or "wrong" in text
    assert "! 1 of its objects cannot be read" in text
    assert "parameters/" in text
    assert "x " in text
