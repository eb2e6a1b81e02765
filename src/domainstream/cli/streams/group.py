"""The group of the commands on streams."""

from typing import Final

import click

from domainstream.cli.common.lazy_group import LazyCommand, LazyGroup

_HERE: Final = "domainstream.cli.streams"
COMMANDS: Final = {
    "ls": LazyCommand(f"{_HERE}.ls:ls", "List the channels that have a stream."),
    "info": LazyCommand(f"{_HERE}.info:info", "Tell all there is to know of one channel's stream."),
    "tail": LazyCommand(f"{_HERE}.tail:tail", "Show the newest events of a channel, and with -f each one as it comes."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def streams() -> None:
    """Look at channels and the events in them."""
