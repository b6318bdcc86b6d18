"""Killed, interrupted, out of room: what is left is whole, or says that it is not."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import xarray as xr

from virtlab.errors import ConfigError, OutputError
from virtlab.simulation import simulate_to_file
from virtlab.storage import template
from virtlab.storage.disk import Disk
from virtlab.storage.places import Folder

SUFFIXES = ["nc", "zarr"]
RUN = """
import signal
import sys
from pathlib import Path
from virtlab.config import read_params
from virtlab.simulation import simulate_to_file
from virtlab.storage import template

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background
template.REGION_BYTES = 2**15
output, resume = Path(sys.argv[1]), "resume" in sys.argv
if sys.argv[-1].isdigit():
    import threading
    import time

    from virtlab.storage.places import Folder

    write, lock, left = Folder.write, threading.Lock(), [int(sys.argv[-1])]

    def slow(self, key, content):
        write(self, key, content)
        with lock:
            left[0] -= 1
            if left[0] == 0:
                print("now", flush=True)
                time.sleep(5)

    Folder.write = slow
try:
    simulate_to_file(read_params(Path("params.toml")), output=output, resume=resume)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.fixture
def small_regions(monkeypatch):
    """Some dozens of regions where there would be one."""
    monkeypatch.setattr(template, "REGION_BYTES", 2**15)


@pytest.fixture
def job(params, tmp_path):
    """A params.toml on the disk, of 12,000 trials."""
    made = params(trials=2000)
    (tmp_path / "params.toml").write_text(made.text)
    return made


def start(folder, *arguments):
    command = [sys.executable, "-c", RUN, *map(str, arguments)]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)


def kill_after(files, folder):
    """Have a run killed (-9) when it has written so many files of its store."""
    process = start(folder, "v.zarr", files)
    process.stdout.readline()
    process.kill()
    process.communicate()


def content(store):
    return {
        str(file.relative_to(store)): file.read_bytes()
        for file in store.rglob("*")
        if file.is_file()
    }


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("after", [1, 30, 70])
def test_a_killed_run_is_gone_on_with_to_the_same_bytes(job, tmp_path, small_regions, after):
    simulate_to_file(job, output=tmp_path / "whole.zarr")
    kill_after(after, tmp_path)
    assert "v.zarr" not in names(tmp_path)
    summary = simulate_to_file(job, output=tmp_path / "v.zarr", resume=True)
    assert content(tmp_path / "v.zarr") == content(tmp_path / "whole.zarr")
    assert names(tmp_path) == ["params.toml", "v.zarr", "whole.zarr"]
    again = simulate_to_file(job, output=tmp_path / "whole.zarr", force=True)
    assert summary.measurements == again.measurements


def test_what_is_there_is_not_drawn_again(job, tmp_path, small_regions, monkeypatch):
    simulate_to_file(job, output=tmp_path / "v.zarr")
    (tmp_path / "v.zarr").rename(tmp_path / "v.zarr.unfinished")
    root = tmp_path / "v.zarr.unfinished" / "zarr.json"
    root.write_text(root.read_text().replace(',\n    "complete": 1', ""))
    lost = tmp_path / "v.zarr.unfinished" / "trace" / "c" / "1" / "1" / "0" / "0"
    before = lost.read_bytes()
    lost.unlink()
    written, write = [], Folder.write
    monkeypatch.setattr(
        Folder, "write", lambda self, key, data: (written.append(key), write(self, key, data))
    )
    simulate_to_file(job, output=tmp_path / "v.zarr", resume=True)
    assert {key.split("/c/")[-1] for key in written} == {"1/1/0", "1/1/0/0", "zarr.json"}
    assert (tmp_path / "v.zarr" / "trace" / "c" / "1" / "1" / "0" / "0").read_bytes() == before


def test_what_a_killed_run_left_is_neither_taken_nor_lost_without_a_word(job, tmp_path):
    kill_after(1, tmp_path)
    with pytest.raises(OutputError, match=r"--resume goes on with it, --force begins anew"):
        simulate_to_file(job, output=tmp_path / "v.zarr")
    assert names(tmp_path) == ["params.toml", "v.zarr.unfinished"]
    simulate_to_file(job, output=tmp_path / "v.zarr", force=True)
    assert names(tmp_path) == ["params.toml", "v.zarr"]


def test_a_run_killed_between_its_last_file_and_its_place_is_gone_on_with(job, tmp_path):
    simulate_to_file(job, output=tmp_path / "v.zarr")
    whole = content(tmp_path / "v.zarr")
    (tmp_path / "v.zarr").rename(tmp_path / "v.zarr.unfinished")
    simulate_to_file(job, output=tmp_path / "v.zarr", resume=True)
    assert content(tmp_path / "v.zarr") == whole


def test_a_store_that_is_removed_while_it_is_written_is_no_result(job, tmp_path, small_regions):
    def remove(progress):
        if progress.stage == "writing":  # earlier, a file may miss its folder before the end does
            shutil.rmtree(tmp_path / "v.zarr.unfinished")

    with pytest.raises(OutputError, match="somebody removed it while it was written; run again"):
        simulate_to_file(job, output=tmp_path / "v.zarr", report=remove)
    assert names(tmp_path) == ["params.toml"]


def test_other_trials_are_not_mixed_with_those_that_are_there(job, tmp_path, small_regions):
    kill_after(40, tmp_path)
    with pytest.raises(OutputError, match=r"left by a run of other trials .*--force begins anew"):
        simulate_to_file(job, output=tmp_path / "v.zarr", resume=True, seed=4)
    assert (tmp_path / "v.zarr.unfinished").exists()


def test_nothing_to_go_on_with_is_a_beginning(job, tmp_path):
    simulate_to_file(job, output=tmp_path / "v.zarr", resume=True)
    assert names(tmp_path) == ["params.toml", "v.zarr"]


def test_a_netcdf_file_cannot_be_gone_on_with(job, tmp_path):
    with pytest.raises(ConfigError, match=r"only a Zarr store"):
        simulate_to_file(job, output=tmp_path / "v.nc", resume=True)


@pytest.mark.parametrize(("resume", "left"), [(False, []), (True, ["v.zarr.unfinished"])])
def test_ctrl_c_leaves_only_what_was_asked_for(job, tmp_path, resume, left):
    process = start(tmp_path, "v.zarr", *(["resume"] if resume else []), 30)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    assert names(tmp_path) == ["params.toml", *left]
    assert not list(tmp_path.rglob("*.partial-*"))


def test_sigterm_leaves_nothing_half_written_and_143(job, tmp_path):
    options = ["params.toml", "-q", "-o", "v.nc", "--trials", "1000000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "virtlab", "simulate", *options],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(tmp_path.glob(".v.nc.partial-*")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate()
    assert (process.returncode, said.strip()) == (143, "error: terminated")
    assert names(tmp_path) == ["params.toml"]


def test_two_runs_never_write_to_one_store(job, tmp_path):
    process = start(tmp_path, "v.zarr", "resume", 1)
    process.stdout.readline()

    try:
        with pytest.raises(OutputError, match="another process is writing it"):
            simulate_to_file(job, output=tmp_path / "v.zarr", resume=True)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("room", [0, 40_000, 300_000])
def test_a_full_disk_is_told_and_leaves_nothing(
    job, tmp_path, small_regions, monkeypatch, suffix, room
):
    left = [room]

    def limited(write):
        def call(self, data, *more):
            size = len(memoryview(more[0] if more else data).cast("B"))
            left[0] -= size
            if left[0] < 0:
                raise OSError(28, "No space left on device")
            return write(self, data, *more)

        return call

    class Full:
        """A disk's file that fills up."""

        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        write = limited(lambda self, data: self.file.write(data))

    begin = Disk.__init__

    def made(self, path):
        begin(self, path)
        self._file = Full(self._file)

    monkeypatch.setattr(Disk, "__init__", made)
    monkeypatch.setattr(Folder, "write", limited(Folder.write))
    with pytest.raises(OutputError, match="No space left on device"):
        simulate_to_file(job, output=tmp_path / f"v.{suffix}")
    assert names(tmp_path) == ["params.toml"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_old_output_stays_until_the_new_one_is_whole(job, tmp_path, monkeypatch, suffix):
    path = tmp_path / f"v.{suffix}"
    simulate_to_file(job, output=path, trials=3)

    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match="Input/output error"):
        simulate_to_file(job, output=path, force=True)
    monkeypatch.undo()
    opened = xr.open_dataset(path) if suffix == "nc" else xr.open_zarr(path, consolidated=False)
    with opened as found:
        assert found.sizes["trial"] == 3
    assert names(tmp_path) == ["params.toml", path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_regions_of_any_size_hold_the_same_trials(job, tmp_path, monkeypatch, tiny, suffix):
    made = tiny.simulate(
        {"power": [1, 2.5, 4], "material": ["glass", "steel"]}, trials=2000, seed=3
    )
    for limit in (2**12, 2**17):
        monkeypatch.setattr(template, "REGION_BYTES", limit)
        path = tmp_path / f"{limit}.{suffix}"
        simulate_to_file(job, output=path)
        opened = xr.open_dataset(path) if suffix == "nc" else xr.open_zarr(path, consolidated=False)
        with opened as found:
            for name in ("light", "clicks", "trace", "member"):
                np.testing.assert_array_equal(found[name], made[name], err_msg=name)
            np.testing.assert_array_equal(found["state"].values.astype(object), made["state"])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_same_bytes_at_another_time_with_other_threads(
    job, tmp_path, small_regions, monkeypatch, suffix
):
    from virtlab.simulation import drawing

    for name, cores in (("a", 1), ("b", 3)):
        monkeypatch.setattr(drawing, "cores", lambda cores=cores: cores)
        simulate_to_file(job, output=tmp_path / f"{name}.{suffix}")
        time.sleep(1.1)  # HDF5 counts times in seconds
    a, b = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    assert (a.read_bytes() == b.read_bytes()) if suffix == "nc" else (content(a) == content(b))
