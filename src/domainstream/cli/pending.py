"""`domainstream pending`."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Final

import click

from domainstream.cli.common.command import argument, option
from domainstream.cli.common.durations import Duration
from domainstream.cli.common.server_command import RedisServer, server_command
from domainstream.cli.common.terminal import Columns, Terminal
from domainstream.stream import PendingEntry
from domainstream.tools.common.formatting import age, number

PENDING: Final[Columns] = {
    "channel": lambda entry: entry.channel,
    "group": lambda entry: entry.group,
    "entry": lambda entry: entry.entry_id,
    "consumer": lambda entry: entry.consumer,
    "idle": lambda entry: age(entry.idle_ms),
    "deliveries#": lambda entry: number(entry.deliveries),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PendingOptions:
    """The options of `pending`."""

    channel: Annotated[str | None, argument(required=False)]
    """The channel; None for all."""

    group: Annotated[str | None, option("--group", help="Show only this group.")]
    """The group; None for all."""

    consumer: Annotated[str | None, option("--consumer", help="Show only this consumer.")]
    """The consumer; None for all."""

    idle: Annotated[
        timedelta | None,
        option("--idle", type=Duration(), help="Only entries idle for at least this long: 30s, 5m, 2h."),
    ]
    """The shortest idle time; None for any."""

    count: Annotated[
        int,
        option("--count", type=click.IntRange(min=1), default=100, show_default=True, help="Limit per group."),
    ]
    """The limit per group."""


@server_command(PendingOptions)
async def pending(server: RedisServer, terminal: Terminal, options: PendingOptions) -> None:
    """List entries delivered but not acknowledged.

    The oldest come first.
    """
    listed: list[PendingEntry] = []
    for state in await server.chosen_groups(options.channel, options.group):
        entries = await server.groups.pending(
            state.channel, state.group, consumer=options.consumer, idle=options.idle, count=options.count
        )
        listed.extend(entries)
        if len(entries) == options.count < state.pending:
            terminal.say(f"{state.group} has {state.pending:,} pending on {state.channel}; for more, add: --count")
    if not listed:
        terminal.say(f"Nothing is pending {server.where}.")
        return
    terminal.table(listed, PENDING)
