"""`domainstream pending`."""

from datetime import timedelta
from typing import Final

import click

from domainstream.cli.common.durations import Duration
from domainstream.cli.common.formatting import age, number, printable
from domainstream.cli.common.queries import inspection_of, states_of
from domainstream.cli.common.redis_server import RedisServer
from domainstream.cli.common.server_command import server_command
from domainstream.cli.common.tables import Columns
from domainstream.cli.common.terminal import Terminal
from domainstream.stream import PendingEntry

PENDING: Final[Columns] = {
    "channel": lambda one: printable(one.channel),
    "group": lambda one: printable(one.group),
    "entry": lambda one: one.entry_id,
    "consumer": lambda one: printable(one.consumer),
    "idle": lambda one: age(one.idle_ms),
    "deliveries#": lambda one: number(one.deliveries),
}


@click.command()
@click.argument("channel", required=False)
@click.option("--group", help="Look at this group alone.")
@click.option("--consumer", help="Look at this consumer alone.")
@click.option("--idle", type=Duration(), help="Leave out what was delivered more lately: 30s, 5m, 2h.")
@click.option("--count", type=click.IntRange(min=1), default=100, show_default=True, help="So many of each group.")
@server_command
async def pending(
    server: RedisServer,
    terminal: Terminal,
    *,
    channel: str | None,
    group: str | None,
    consumer: str | None,
    idle: timedelta | None,
    count: int,
) -> None:
    """List entries that were delivered and not acknowledged, the oldest first."""
    states = await states_of(server, await server.chosen_channels(channel), group)
    inspection = inspection_of(server)
    found: list[PendingEntry] = []
    for state in states:
        entries = await inspection.pending(state.channel, state.group, consumer=consumer, idle=idle, count=count)
        found.extend(entries)
        if len(entries) == count < state.pending:
            terminal.say(f"{state.group} has {state.pending:,} pending on {state.channel}; for more, add: --count")
    if not found:
        terminal.say(f"Nothing is pending {server.where}.")
        return
    terminal.table(found, PENDING)
