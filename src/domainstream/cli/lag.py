"""`domainstream lag`."""

import asyncio
from datetime import timedelta
from typing import Final

import click
from msgspec import Struct

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.durations import Duration
from domainstream.cli.common.formatting import moment
from domainstream.cli.common.queries import states_of
from domainstream.cli.common.redis_server import RedisServer
from domainstream.cli.common.server_command import server_command
from domainstream.cli.common.tables import Columns
from domainstream.cli.common.terminal import Terminal
from domainstream.cli.groups import GROUPS
from domainstream.stream import GroupState

LAG: Final[Columns] = {name: GROUPS[name] for name in ("channel", "group", "lag#", "unread#", "pending#", "oldest")}


class LagRecord(Struct, frozen=True, kw_only=True):
    """The lag of one group on one channel, as `--json` writes it."""

    time_ms: int
    """When it was looked at, by the server's clock, in milliseconds since 1970."""

    channel: str
    """The channel's value."""

    group: str
    """The group's name."""

    lag: int
    """Unread and pending entries."""

    unread: int
    """Entries that were not delivered yet."""

    pending: int
    """Entries that were delivered and not acknowledged."""

    oldest_ms: int | None
    """For how long the oldest of them has been waiting, in milliseconds; None without any."""

    @classmethod
    def of(cls, state: GroupState, time_ms: int) -> "LagRecord":
        """Return what is written of a group's state."""
        return cls(
            time_ms=time_ms,
            channel=state.channel,
            group=state.group,
            lag=state.lag,
            unread=state.unread,
            pending=state.pending,
            oldest_ms=state.oldest_ms,
        )


@click.command()
@click.argument("channel", required=False)
@click.option("--group", help="Look at this group alone.")
@click.option("--max", "most", type=click.IntRange(min=0), help="Exit with 1 when a lag is above.")
@click.option("--watch", is_flag=True, help="Look again and again, until Ctrl-C or a lag above --max.")
@click.option("--every", type=Duration(), default="2s", show_default=True, help="The pause of --watch.")
@server_command
async def lag(
    server: RedisServer,
    terminal: Terminal,
    *,
    channel: str | None,
    group: str | None,
    most: int | None,
    watch: bool,
    every: timedelta,
) -> int:
    """Tell what is not settled yet: per channel and group, how many entries are unread or pending.

    Exit code 1: a lag is above --max.
    """
    while True:
        records = await _look(server, channel, group)
        _show(server, terminal, records, watch=watch)
        above = [record for record in records if most is not None and record.lag > most]
        for record in above:
            terminal.warn(f"{record.group} is {record.lag:,} entries behind on {record.channel}; allowed are {most:,}.")
        if above or not watch:
            return exits.FAILED if above else exits.OK
        await asyncio.sleep(every.total_seconds())


async def _look(server: RedisServer, channel: str | None, group: str | None) -> list[LagRecord]:
    states = await states_of(server, await server.chosen_channels(channel), group)
    now = await server.streams.now_ms()
    return [LagRecord.of(state, now) for state in states]


def _show(server: RedisServer, terminal: Terminal, records: list[LagRecord], *, watch: bool) -> None:
    if not records:
        terminal.say(f"There are no groups {server.where}.")
        return
    if watch and not terminal.as_json:
        terminal.clear()
        terminal.say(moment(records[0].time_ms))
    terminal.table(records, LAG)
