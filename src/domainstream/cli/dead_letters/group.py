"""The group of the commands on dead letters."""

from typing import Final

import click

from domainstream.cli.common.lazy_group import LazyCommand, LazyGroup

_HERE: Final = "domainstream.cli.dead_letters"
COMMANDS: Final = {
    "ls": LazyCommand(f"{_HERE}.ls:ls", "Count the letters of each channel, or list those of one."),
    "show": LazyCommand(f"{_HERE}.show:show", "Show a letter and the data of its entry."),
    "redrive": LazyCommand(f"{_HERE}.redrive:redrive", "Put letters back into their stream, once the cause is mended."),
    "purge": LazyCommand(f"{_HERE}.purge:purge", "Throw letters away."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def dead_letters() -> None:
    """Look at what could never become a job, and mend it."""
