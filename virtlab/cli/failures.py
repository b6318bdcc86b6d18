"""Errors as text: one message on stderr, an exit code, never an unasked traceback."""

from __future__ import annotations

import errno
import os
import sys

import click

from virtlab.cli.output import plain, wants_color
from virtlab.errors import VirtlabError

INTERRUPTED, TERMINATED = 130, 143  # 128 and the signal's number


class Terminated(KeyboardInterrupt):
    """SIGTERM: what cleans up after Ctrl-C cleans up after it, too."""


def fail(error: Exception, *, debug: bool) -> int:
    """Say what went wrong and return the exit code.

    Parameters
    ----------
    debug
        Show the traceback too.
    """
    reason = _broken_stdout()
    if reason == errno.EPIPE or (isinstance(error, OSError) and error.errno == errno.EPIPE):
        return 1  # whoever read our output has gone: nobody to tell
    if debug:
        import traceback

        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    if reason is not None:
        kind, message, code = "error", f"cannot write to stdout: {os.strerror(reason)}", 1
    else:
        kind, message, code = _explain(error)
    label = click.style(f"{kind}:", fg="red")
    click.echo(f"{label} {plain(message)}", err=True, color=wants_color())
    return code


def _explain(error: Exception) -> tuple[str, str, int]:
    """Kind of error, message, exit code."""
    match error:
        case VirtlabError():
            return "error", str(error), error.exit_code
        case click.UsageError():
            hint = f"\ntry '{error.ctx.command_path} --help'" if error.ctx else ""
            return "error", error.format_message() + hint, error.exit_code
        case click.ClickException():
            return "error", error.format_message(), error.exit_code
        case click.Abort(__cause__=Terminated()):
            return "error", "terminated", TERMINATED
        case click.Abort():
            return "error", "interrupted", INTERRUPTED
        case MemoryError():
            advice = "ask for fewer trials, or run on a machine with more"
            return "error", f"not enough memory{_detail(error)}; {advice}", 1
        case OSError(strerror=str() as reason):
            where = "output" if error.filename is None else os.fsdecode(error.filename)
            return "error", f"{where}: {reason}", 1
    advice = "run with --debug for the traceback"
    return "internal error", f"{type(error).__name__}{_detail(error)} ({advice})", 1


def _detail(error: Exception) -> str:
    """Return ": its first line", or nothing."""
    text = str(error).strip()
    return f": {text.splitlines()[0]}" if text else ""


def _broken_stdout() -> int | None:
    """Errno of a stdout that takes no more, made harmless for the interpreter's last flush."""
    try:
        sys.stdout.flush()
    except OSError as error:
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - a device, not a path of ours
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return error.errno
    return None
