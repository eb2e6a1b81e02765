"""`domainstream order`: shows what holds up jobs that are handled in order, and lets them go on."""

from typing import Final

import click

from domainstream.cli.common.lazy_group import LazyCommand, LazyGroup

_HERE: Final = "domainstream.cli.order"
COMMANDS: Final = {
    "ls": LazyCommand(f"{_HERE}.ls:ls", "List the keys that a failed job holds, with the jobs that wait behind it."),
    "retry": LazyCommand(
        f"{_HERE}.go_on:retry", "Start the failed jobs again that hold keys; the rest follows in order."
    ),
    "skip": LazyCommand(f"{_HERE}.go_on:skip", "Let the jobs pass that wait behind failed ones."),
    "drop": LazyCommand(f"{_HERE}.drop:drop", "Delete all failed and waiting jobs of keys permanently."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def order() -> None:
    """Show what holds up jobs that are handled in order, and let them go on."""
