"""``virtlab inspect`` on real files."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from virtlab.cli import main


@pytest.fixture
def lab_file(tmp_path):
    path = tmp_path / "lab.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("measurements/signal", data=np.zeros((20, 64), "f4"))
        data.attrs["units"] = "mV"
        file.attrs["evil"] = "\x1b[2Jwiped"
        file["gone"] = h5py.SoftLink("/nowhere")
    return path


def inspect(*arguments):
    return CliRunner().invoke(main, ["inspect", *map(str, arguments)])


def test_shows_objects_shapes_types_and_units(lab_file):
    result = inspect(lab_file)
    assert (result.exit_code, result.stderr) == (0, "")
    line = next(line for line in result.stdout.splitlines() if "signal" in line)
    assert all(part in line for part in ("20", "64", "float32", "mV"))
    assert "gone" in result.stdout
    assert "\x1b" not in result.stdout


def test_json_is_one_object(lab_file):
    found = json.loads(inspect(lab_file, "--json").stdout)
    assert (found["schema_version"], found["kind"]) == (1, "lab")
    assert found["size"] == lab_file.stat().st_size


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "no such file"), (b"", "empty"), (b"a,b\n1,2\n", "text"), (b"\x80\x04N.", "pickle")],
)
def test_what_is_no_lab_file_is_refused_by_name(tmp_path, content, said):
    path = tmp_path / "lab.h5"
    if content is not None:
        path.write_bytes(content)
    result = inspect(path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {path}: ")
    assert said in result.stderr


def test_reading_leaves_the_file_as_it_was(lab_file):
    before = lab_file.read_bytes(), lab_file.stat().st_mtime_ns
    inspect(lab_file)
    assert (lab_file.read_bytes(), Path(lab_file).stat().st_mtime_ns) == before
