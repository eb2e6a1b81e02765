"""`domainstream streams`: lists channels, shows their events, and changes their partitions."""

from typing import Final

import click

from domainstream.cli.common.lazy_group import LazyCommand, LazyGroup

_HERE: Final = "domainstream.cli.streams"
COMMANDS: Final = {
    "ls": LazyCommand(f"{_HERE}.ls:ls", "List the channels that have a stream."),
    "info": LazyCommand(f"{_HERE}.info:info", "Show a channel's stream: length, memory, dead letters and groups."),
    "tail": LazyCommand(
        f"{_HERE}.tail:tail", "Show the newest events of a channel, and with -f new ones as they come."
    ),
    "repartition": LazyCommand(f"{_HERE}.repartition:repartition", "Spread a channel over another number of streams."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def streams() -> None:
    """List channels and show their events."""
