"""The command line, ``virtlab COMMAND …``: one file per command; parse, call, echo.

Importing this must stay cheap: click and nothing else. A command's module is imported when
the command is invoked, and imports the rooms it needs inside its function.
"""

from __future__ import annotations

import click

from virtlab import __version__
from virtlab.cli.group import Commands

main = Commands(
    name="virtlab",
    help="Learn p(measurement | parameters) from lab HDF5 files and simulate virtual trials.",
    context_settings={"help_option_names": ["-h", "--help"]},
    table={
        "inspect": "Show what a lab file, a model file or virtual trials hold.",
        "init": "Write a commented experiment.toml from lab files.",
        "train": "Learn a model from the trials that experiment.toml names.",
        "simulate": "Simulate the virtual trials that params.toml describes.",
        "evaluate": "Say how far a model can be trusted, and write a report.",
        "screen": "Rank the settings of params.toml by its objective.",
        "power": "Tell how many trials detect the difference between two settings.",
        "explore": "Try settings on a page with sliders, in the browser.",
        "plugins": "List the installed conditioners and readers.",
    },
)
click.version_option(__version__, message="%(prog)s %(version)s")(main)
main.params.append(
    click.Option(
        ["--debug"],
        is_flag=True,
        expose_value=False,
        help="Show the traceback of an error. May stand anywhere.",
    )
)

__all__ = ["main"]
