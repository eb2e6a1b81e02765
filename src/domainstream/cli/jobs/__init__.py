"""`domainstream jobs`: finds out why jobs failed, and retries or removes them."""

from typing import Final

import click

from domainstream.cli.common.lazy_group import LazyCommand, LazyGroup

_HERE: Final = "domainstream.cli.jobs"
COMMANDS: Final = {
    "ls": LazyCommand(f"{_HERE}.ls:ls", "List the jobs of a queue, grouped by what failed and where."),
    "show": LazyCommand(f"{_HERE}.show:show", "Show a job with its event, its failures, and what follows."),
    "retry": LazyCommand(f"{_HERE}.repair:retry", "Start failed jobs again, or delayed jobs now."),
    "rm": LazyCommand(f"{_HERE}.repair:rm", "Delete jobs permanently."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def jobs() -> None:
    """Find out why jobs failed, and retry or remove them."""
