"""``virtlab init`` on the examples' lab files."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import virtlab
from virtlab.cli import main

EXAMPLES = Path(__file__).parents[2] / "example_experiments"


@pytest.fixture(params=["damped_oscillator", "reaction_yield"])
def example(request, tmp_path):
    shutil.copytree(EXAMPLES / request.param / "lab", tmp_path / "lab")
    return request.param, sorted(map(str, tmp_path.glob("lab/*.h5"))), tmp_path


def init(files, output):
    return CliRunner().invoke(main, ["init", *files, "-o", str(output)])


def test_starter_reads_the_same_trials_as_the_examples_own(example):
    name, files, folder = example
    output = folder / "starter.toml"
    result = init(files, output)
    assert (result.exit_code, result.stdout) == (0, f"{output}\n")
    found = virtlab.open_trials(output)
    wanted = virtlab.open_trials(EXAMPLES / name / "experiment.toml")
    assert found.sizes["trial"] == wanted.sizes["trial"]
    assert set(map(str, wanted.variables)) == set(map(str, found.variables))
    assert set(map(str, wanted.data_vars)) == set(map(str, found.data_vars))


def test_a_disk_that_is_full_leaves_nothing_behind(example):
    _, files, folder = example
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); "
        "from virtlab.cli import main; main(['init', *sys.argv[1:], '-o', 'starter.toml'])"
    )
    command = [sys.executable, "-c", script, *files]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: starter.toml: cannot be written: ")
    assert not (folder / "starter.toml").exists()


def test_never_overwrites(example):
    _, files, folder = example
    output = folder / "experiment.toml"
    output.write_text("mine\n")
    result = init(files, output)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith(f"error: {output} exists and is left as it is")
    assert output.read_text() == "mine\n"


def test_file_that_is_no_lab_file_is_refused_and_nothing_written(tmp_path):
    (tmp_path / "notes.txt").write_text("hello\n")
    result = init([str(tmp_path / "notes.txt")], tmp_path / "experiment.toml")
    assert result.exit_code == 1
    assert str(tmp_path / "notes.txt") in result.stderr
    assert not (tmp_path / "experiment.toml").exists()


def test_without_files_it_says_what_is_missing():
    result = CliRunner().invoke(main, ["init"])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: Missing argument 'FILES...'")
