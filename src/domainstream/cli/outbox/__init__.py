"""`domainstream outbox`: looks at the outbox of a service, and repairs it."""

from typing import Final

import click

from domainstream.cli.common.lazy_group import LazyCommand, LazyGroup

_HERE: Final = "domainstream.cli.outbox"
COMMANDS: Final = {
    "status": LazyCommand(f"{_HERE}.status:status", "Show the backlog, the active relay, and what makes events wait."),
    "retry": LazyCommand(f"{_HERE}.retry:retry", "Try held channels again at once."),
    "discard": LazyCommand(f"{_HERE}.discard:discard", "Delete events that are not published yet."),
    "replay": LazyCommand(f"{_HERE}.replay:replay", "Publish events of the archive again."),
    "purge": LazyCommand(f"{_HERE}.purge:purge", "Delete old events from the archive."),
    "ddl": LazyCommand(f"{_HERE}.ddl:ddl", "Print the SQL that creates an outbox's tables."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def outbox() -> None:
    """Look at an outbox, and retry, discard or replay its events."""
