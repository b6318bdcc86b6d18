"""C++ libraries write to file descriptor 2; users need not read it."""

import subprocess
import sys

import pytest

from virtlab.cli.noise import without_library_noise

SCRIPT = """
import os, sys
from virtlab.cli.noise import without_library_noise
try:
    with without_library_noise():
        os.write(2, b"noise ")
        print("talk", file=sys.stderr)
        raise ValueError
except ValueError:
    os.write(2, b"afterwards ")
    print("too", file=sys.stderr)
"""

COMMAND = """
import os, click
from virtlab.cli.group import Commands
from virtlab.cli.progress import showing

class OneCommand(Commands):
    def get_command(self, *_):
        return click.Command("go", callback=go)

def go():
    with showing("first", quiet=True):
        os.write(2, b"noise")

OneCommand(name="virtlab", table={"go": "Makes noise."})()
"""


def stderr_of(script, *arguments):
    run = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
    )
    return run.stderr


def test_only_python_is_heard_and_afterwards_everybody():
    assert stderr_of(SCRIPT) == "talk\nafterwards too\n"


@pytest.mark.parametrize(("options", "heard"), [([], ""), (["--debug"], "noise")])
def test_debug_lets_the_noise_through(options, heard):
    assert stderr_of(COMMAND, "go", *options) == heard


def test_stderr_that_is_not_the_process_own_is_left_alone(capsys):
    before = sys.stderr
    with without_library_noise():
        assert sys.stderr is before
    assert capsys.readouterr().err == ""
