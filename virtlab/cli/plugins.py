"""``virtlab plugins``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from virtlab.cli.output import as_json_option, emit, table

if TYPE_CHECKING:
    from virtlab.plugins import PluginInfo


@click.command()
@as_json_option
def plugins(as_json: bool) -> None:
    """List the installed conditioners and readers, and which distribution each is from."""
    from dataclasses import asdict

    from virtlab.plugins import installed

    found = installed()
    emit({"plugins": [asdict(plugin) for plugin in found]}, _lines(found), as_json=as_json)


def _lines(plugins: Sequence[PluginInfo]) -> list[str]:
    """One line per plugin: kind, name, distribution, what it does or why it cannot."""
    rows = [
        (
            plugin.group.removeprefix("virtlab.").removesuffix("s"),
            plugin.name,
            f"{plugin.distribution} {plugin.version}",
            f"error: {plugin.error}" if plugin.error else plugin.about,
        )
        for plugin in plugins
    ]
    return table([("kind", "name", "from", "what it does"), *rows])
