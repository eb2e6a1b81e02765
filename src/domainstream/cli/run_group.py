"""The group of the commands that run programs."""

from typing import Final

import click

from domainstream.cli.common.lazy_group import LazyCommand, LazyGroup

_HERE: Final = "domainstream.cli.run"
COMMANDS: Final = {
    "subscriber": LazyCommand(f"{_HERE}:subscriber", "Deliver the events of streams to queues."),
    "worker": LazyCommand(f"{_HERE}:worker", "Handle the jobs of a queue."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def run() -> None:
    """Run a program until SIGTERM or Ctrl-C; what it has in hand is finished."""
