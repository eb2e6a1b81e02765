"""`domainstream dead-letters`: inspects, redrives or purges dead-lettered entries."""

from typing import Final

import click

from domainstream.cli.common.lazy_group import LazyCommand, LazyGroup

_HERE: Final = "domainstream.cli.dead_letters"
COMMANDS: Final = {
    "ls": LazyCommand(f"{_HERE}.ls:ls", "Count the dead letters of each channel, or list those of one."),
    "show": LazyCommand(f"{_HERE}.show:show", "Show a dead letter with the data and the other fields of its entry."),
    "redrive": LazyCommand(f"{_HERE}.redrive:redrive", "Put dead letters back into their stream."),
    "purge": LazyCommand(f"{_HERE}.purge:purge", "Delete dead letters permanently."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def dead_letters() -> None:
    """Inspect, redrive or purge dead-lettered entries."""
