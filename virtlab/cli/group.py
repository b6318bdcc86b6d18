"""The group of commands: each found in its own module, imported only when it is needed."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from virtlab.cli.failures import Terminated, fail
from virtlab.cli.output import wants_color


class Commands(click.Group):
    """Commands by name, with the one-line helps that the group's own help shows.

    Parameters
    ----------
    table
        Command name to one-line help. The command ``x`` is ``virtlab.cli.x.x``.
    """

    def __init__(self, *, table: Mapping[str, str], **attrs: Any) -> None:
        super().__init__(**attrs)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names, in the order in which a user meets them."""
        return list(self.table)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """Import a command, None where there is no such command."""
        if cmd_name not in self.table:
            return None
        command = getattr(importlib.import_module(f"virtlab.cli.{cmd_name}"), cmd_name)
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name the nearest one."""
        name = args[0]
        if name not in self.table and not name.startswith("-") and not ctx.resilient_parsing:
            import difflib

            close = difflib.get_close_matches(name, self.table, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(self.table)}"
            ctx.fail(f"no command {name!r}; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.table.items()))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run, say in one message what went wrong if anything did, and leave."""
        _open_closed_streams()
        given = list(sys.argv[1:] if args is None else args)
        arguments = [argument for argument in given if argument != "--debug"]
        prog_name = prog_name or self.name
        debug = len(arguments) < len(given)
        extra |= {"color": wants_color(), "obj": debug}
        if not standalone_mode:
            return super().main(arguments, prog_name, complete_var, False, **extra)
        with contextlib.suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGTERM, _terminate)  # batch systems: as polite as Ctrl-C
        try:
            code = super().main(arguments, prog_name, complete_var, False, **extra)
            sys.stdout.flush()
        except Exception as error:  # the one place where an error becomes text
            code = fail(error, debug=debug)
        sys.exit(code if isinstance(code, int) else 0)


def _terminate(*_: object) -> None:
    raise Terminated


def _open_closed_streams() -> None:
    """Give the standard streams that were closed to nobody: no file of ours may get their place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            handle = os.open(os.devnull, os.O_RDWR)  # the lowest that is free: the stream's own
            setattr(sys, name, open(handle, mode))  # noqa: PTH123, SIM115 - for the whole process
