"""What only the writer of NetCDF knows: chunks are compressed and written by its own hands."""

import subprocess
import sys
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from virtlab.storage import disk
from virtlab.storage.netcdf import NetcdfWriter, deflated
from virtlab.storage.template import Regions, Template, Variable


def signals(trials=4000):
    """A template of one signal, in regions of a thousand trials."""
    variable = Variable(("trial", "time"), (trials, 8), np.dtype(np.float32), {})
    return Template({"s": variable}, {}, {}, Regions((trials,), (1000,)))


def write(path, template, values):
    writer = NetcdfWriter(path, template)
    for region in template.regions:
        writer.write(writer.pack(region, {"s": values[region[-1]]}))
    writer.commit()


def test_what_the_disk_is_handed_early_is_what_was_written(tmp_path, monkeypatch):
    values = np.random.default_rng(0).standard_normal((4000, 8)).astype(np.float32)
    write(tmp_path / "late.nc", signals(), values)
    handed = []
    monkeypatch.setattr(disk, "hand_over", handed.append)
    monkeypatch.setattr(disk, "AHEAD", 10_000)
    write(tmp_path / "early.nc", signals(), values)
    assert len(handed) > 3
    assert (tmp_path / "early.nc").read_bytes() == (tmp_path / "late.nc").read_bytes()
    with h5py.File(tmp_path / "early.nc") as file:
        np.testing.assert_array_equal(file["s"][:], values)


@pytest.mark.parametrize(
    ("values", "most"),
    [
        (np.random.default_rng(0).standard_normal(50_000).astype(np.float32), 3.5),
        (np.arange(50_000) % 10, 0.2),  # repeats
        (np.random.default_rng(0).poisson(3.0, 50_000), 0.6),  # few values, no repeats
        (np.random.default_rng(0).standard_normal(3), 12),
    ],
)
def test_a_chunk_is_one_stream_of_zlibs_and_short_where_it_can_be(values, most):
    found = deflated(values)
    planes = np.frombuffer(zlib.decompress(found), np.uint8).reshape(values.itemsize, -1)
    np.testing.assert_array_equal(np.ascontiguousarray(planes.T).view(values.dtype)[:, 0], values)
    assert len(found) <= most * values.size + 80


RACE = """
import sys, threading
import h5py, numpy as np
sys.path.insert(0, {tests!r})
from test_netcdf import signals, write
done = threading.Event()
def others():
    with h5py.File("beside", "w", driver="core", backing_store=False) as file:
        file["x"] = np.arange(10)
        while not done.is_set():
            file["x"][...]
threads = [threading.Thread(target=others) for _ in range(2)]
[thread.start() for thread in threads]
try:
    from pathlib import Path
    values = np.random.default_rng(0).standard_normal((1_200_000, 8), np.float32)
    write(Path({path!r}), signals(1_200_000), values)
finally:
    done.set()
"""


def test_other_threads_may_use_hdf5_while_a_file_is_written(tmp_path):
    """h5py 3.14 forgets its lock around chunks that are written directly: its issue 2764."""
    path = tmp_path / "a.nc"
    code = RACE.format(tests=str(Path(__file__).parent), path=str(path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with h5py.File(path) as file:
        assert file["s"].shape == (1_200_000, 8)
