"""``virtlab init``."""

from __future__ import annotations

from pathlib import Path

import click

from virtlab.cli.output import say


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("experiment.toml"),
    show_default=True,
    help="Where to write it; never overwrites.",
)
def init(files: tuple[Path, ...], output: Path) -> None:
    """Write a commented experiment.toml from what FILES hold.

    Parameters, measurements, dims and units are guesses to be read and corrected by hand.
    """
    from virtlab.storage.starter import write_starter

    if len(files) > 1:
        say(f"looking into {len(files)} files")
    write_starter(list(files), output)
    say("read it, correct it, then: virtlab train " + str(output))
    click.echo(output)
