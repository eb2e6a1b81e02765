"""`domainstream groups`."""

from collections.abc import Sequence
from typing import Any, Final

import click

from domainstream.cli.common.formatting import age, number, printable
from domainstream.cli.common.queries import inspection_of, states_of
from domainstream.cli.common.redis_server import RedisServer
from domainstream.cli.common.server_command import server_command
from domainstream.cli.common.tables import Columns
from domainstream.cli.common.terminal import Terminal

GROUPS: Final[Columns] = {
    "channel": lambda one: printable(one.channel),
    "group": lambda one: printable(one.group),
    "lag#": lambda one: number(one.lag),
    "unread#": lambda one: number(one.unread),
    "pending#": lambda one: number(one.pending),
    "lost#": lambda one: number(one.lost),
    "oldest": lambda one: age(one.oldest_ms),
    "consumers#": lambda one: number(one.consumers),
}
CONSUMERS: Final[Columns] = {
    "channel": lambda one: printable(one.channel),
    "group": lambda one: printable(one.group),
    "consumer": lambda one: printable(one.consumer),
    "pending#": lambda one: number(one.pending),
    "idle": lambda one: age(one.idle_ms),
}


@click.command()
@click.argument("channel", required=False)
@click.option("--consumers", is_flag=True, help="List each group's consumers instead.")
@server_command
async def groups(server: RedisServer, terminal: Terminal, *, channel: str | None, consumers: bool) -> None:
    """Tell how far each consumer group has come, on one channel or on all.

    \b
    unread   entries that were not delivered yet
    pending  delivered, not acknowledged
    lag      both together: what is not settled
    lost     left the stream unread, since the group's last read
    oldest   for how long the oldest entry of the lag has been waiting
    """  # noqa: D301 - click's sign for lines that stay lines
    channels = await server.chosen_channels(channel)
    if consumers:
        inspection = inspection_of(server)
        found = [one for name in channels for one in await inspection.consumers(name)]
        _show(server, terminal, found, "consumers", CONSUMERS)
    else:
        _show(server, terminal, await states_of(server, channels, None), "groups", GROUPS)


def _show(server: RedisServer, terminal: Terminal, found: Sequence[Any], what: str, columns: Columns) -> None:
    if found:
        terminal.table(found, columns)
    else:
        terminal.say(f"There are no {what} {server.where}.")
