"""The options that commands share, each said once."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def _add(command: CommandT, *options: Callable[[CommandT], CommandT]) -> CommandT:
    for option in reversed(options):
        command = option(command)
    return command


def server_options(command: CommandT) -> CommandT:
    """Add where the server is, and what its keys begin with."""
    return _add(
        command,
        click.option("--redis-url", metavar="URL", envvar="REDIS_URL", show_envvar=True, help="The server."),
        click.option(
            "--prefix",
            default="",
            envvar="DOMAINSTREAM_PREFIX",
            show_envvar=True,
            help="What the keys of all streams begin with.",
        ),
    )


def output_options(command: CommandT) -> CommandT:
    """Add how much is said, and in which form."""
    return _add(
        command,
        click.option("--json", "as_json", is_flag=True, help="Write data as JSON, one object a line."),
        click.option("-q", "--quiet", is_flag=True, help="Say nothing beside data and errors."),
        click.option("-v", "--verbose", count=True, help="Log to stderr; -vv logs more."),
        click.option("--debug", is_flag=True, help="Show a traceback with an error."),
    )


bull_prefix_option = click.option(
    "--bull-prefix", default="bull", show_default=True, help="What the keys of all BullMQ queues begin with."
)
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
