"""``virtlab explore``."""

from __future__ import annotations

from pathlib import Path

import click

from virtlab.cli.output import plain, quiet_option, say
from virtlab.cli.progress import showing


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--trials",
    type=click.IntRange(1, 100_000),
    default=1000,
    show_default=True,
    help="Virtual trials per setting.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="The same one shows the same trials.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=0,
    help="Where to serve the page.  [default: a port that is free]",
)
@click.option("--no-browser", is_flag=True, help="Only print the page's address.")
@quiet_option
def explore(model: Path, trials: int, seed: int, port: int, no_browser: bool, quiet: bool) -> None:
    """Try settings of MODEL (a .virtlab file) on a page with a slider per parameter.

    The page shows virtual trials at one setting or two, whether each lies inside the data, and
    the params.toml that simulates them. It is served to this machine alone, at an address that
    nobody can guess, until Ctrl-C.
    """
    with showing(f"loading {model}", quiet=quiet):
        from virtlab.explorer import explore as serve_page

        def ready(address: str) -> None:
            click.echo(plain(address))
            if not quiet:
                say("Ctrl-C ends")

        serve_page(model, trials=trials, seed=seed, port=port, browser=not no_browser, ready=ready)
