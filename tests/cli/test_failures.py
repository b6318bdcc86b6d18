"""Errors become one message on stderr and an exit code, never an unasked traceback."""

import errno
import os
import pty
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from virtlab import errors
from virtlab.cli import main
from virtlab.cli.group import Commands


class OneCommand(Commands):
    """A command line with the command ``go``, which raises."""

    def __init__(self, error):
        super().__init__(name="virtlab", table={"go": "Raises."})
        self.error = error

    def get_command(self, *_):
        def raises():
            raise self.error

        return click.Command("go", callback=raises)


def run(error, *options):
    return CliRunner().invoke(OneCommand(error), ["go", *options])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.VirtlabError("x"), 1),
        (errors.ConfigError("x"), 2),
        (errors.SettingError("x"), 2),
        (errors.DataError("x"), 1),
        (errors.PluginError("x"), 1),
        (errors.ModelFileError("x"), 1),
        (errors.OutputError("x"), 1),
    ],
)
def test_our_own_error_is_its_message_and_its_exit_code(error, code):
    result = run(error)
    assert (result.stdout, result.stderr, result.exit_code) == ("", "error: x\n", code)


def test_unexpected_error_is_one_line_that_names_debug():
    result = run(KeyError("no\nsuch"))
    assert result.exit_code == 1
    assert result.stderr == (
        "internal error: KeyError: 'no\\nsuch' (run with --debug for the traceback)\n"
    )


@pytest.mark.parametrize("error", [KeyError("x"), errors.DataError("x")])
def test_debug_shows_the_traceback_wherever_it_stands(error):
    result = run(error, "--debug")
    assert "Traceback (most recent call last)" in result.stderr
    assert "raise self.error" in result.stderr
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "not enough memory; ask for fewer trials, or run on a machine with more"),
        (PermissionError(errno.EACCES, "Permission denied", "lab.h5"), "lab.h5: Permission denied"),
        (OSError(errno.ENOSPC, "No space left on device"), "output: No space left on device"),
    ],
)
def test_what_the_machine_refuses_is_said_without_traceback(error, message):
    result = run(error)
    assert (result.stderr, result.exit_code) == (f"error: {message}\n", 1)


def test_interrupt_leaves_with_130():
    result = run(KeyboardInterrupt())
    assert result.exit_code == 130
    assert result.stderr.strip() == "error: interrupted"


def test_message_cannot_steer_the_terminal():
    assert run(errors.DataError("a\x1b[2Jb\x07")).stderr == "error: a\ufffd[2Jb\ufffd\n"


def test_several_lines_stay_several_lines():
    assert run(errors.ConfigError("a.toml:\n  x: no\n  y: no")).stderr.count("\n") == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "error: no command 'trian'; did you mean 'train'?\ntry 'virtlab --help'\n"),
        (["xyz"], "error: no command 'xyz'; known: inspect, init, train, simulate, "),
        (["train"], "error: Missing argument 'EXPERIMENT'.\ntry 'virtlab train --help'\n"),
        (["simulate", "p.toml", "--trials", "0"], "error: Invalid value for '--trials': 0"),
        (["simulate", "p.toml", "--seed", "-1"], "error: Invalid value for '--seed': -1"),
        (["simulate", "p.toml", "--ouput", "x"], "error: No such option '--ouput'"),
    ],
)
def test_wrong_command_line_says_what_to_do(arguments, message):
    result = CliRunner().invoke(main, arguments)
    assert result.stderr.startswith(message)
    assert (result.stdout, result.exit_code) == ("", 2)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")  # noqa: PTH110
@pytest.mark.parametrize("arguments", [["--help"], ["plugins"], ["plugins", "--json"]])
def test_full_disk_behind_stdout_is_one_line(arguments):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        result = subprocess.run(
            [sys.executable, "-m", "virtlab", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert result.stderr == "error: output: No space left on device\n"
    assert result.returncode == 1


@pytest.mark.parametrize("arguments", [["--help"], ["plugins"]])
def test_reader_that_has_gone_is_no_news(arguments):
    process = subprocess.Popen(
        [sys.executable, "-m", "virtlab", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    with process.stderr as stderr:
        assert stderr.read() == b""
    assert process.wait() == 1


@pytest.mark.parametrize(
    ("variable", "value", "colored"),
    [("NO_COLOR", "1", False), ("TERM", "dumb", False), ("TERM", "xterm", True)],
)
def test_color_only_where_the_terminal_wants_it(variable, value, colored):
    terminal, inner = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm"}
    subprocess.run(
        [sys.executable, "-m", "virtlab", "trian"],
        stderr=inner,
        stdout=subprocess.DEVNULL,
        check=False,
        env=environment | {variable: value},
    )
    os.close(inner)
    shown = os.read(terminal, 10_000)
    os.close(terminal)
    assert b"no command 'trian'" in shown
    assert (b"\x1b[" in shown) is colored
