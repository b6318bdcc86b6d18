"""The command line starts fast, and loads only what the command needs."""

import json
import subprocess
import sys
import time

import click
import pytest

import virtlab
from virtlab.cli import main

HEAVY = ("numpy", "xarray", "h5py", "pydantic", "rich", "tensorflow", "keras", "ai_edge_litert")


def loaded_by(*arguments):
    """Names of the top-level modules that a run of the command line has loaded."""
    code = (
        "import json, sys\n"
        "from virtlab.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as done: assert not done.code, done.code\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return set(json.loads(run.stdout.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"]])
def test_help_loads_no_heavy_library(arguments):
    assert not loaded_by(*arguments) & set(HEAVY)


@pytest.mark.parametrize("command", list(main.table))
def test_help_of_every_command_loads_no_heavy_library(command):
    with click.Context(main) as context:
        assert main.get_command(context, command).help
    assert not loaded_by(command, "-h") & set(HEAVY)


def test_plugins_loads_neither_tensorflow_nor_xarray():
    assert not loaded_by("plugins") & {"tensorflow", "keras", "xarray", "h5py"}


def test_help_answers_within_a_second():
    def seconds():
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "virtlab", "--help"], capture_output=True, check=True)
        return time.perf_counter() - start

    assert min(seconds() for _ in range(3)) < 1.0


def test_python_m_virtlab_is_the_same_program():
    run = subprocess.run(
        [sys.executable, "-m", "virtlab", "--version"], capture_output=True, text=True, check=True
    )
    assert run.stdout == f"virtlab {virtlab.__version__}\n"


def test_completion_knows_the_commands():
    run = subprocess.run(
        [sys.executable, "-m", "virtlab"],
        capture_output=True,
        text=True,
        check=False,
        env={"_VIRTLAB_COMPLETE": "bash_complete", "COMP_WORDS": "virtlab si", "COMP_CWORD": "1"},
    )
    assert run.stdout == "plain,simulate\n"


def test_help_in_the_table_is_the_commands_own_subject():
    """The table's one-line helps cannot drift to commands that are not there."""
    with click.Context(main) as context:
        assert [main.get_command(context, name).name for name in main.table] == list(main.table)
