"""`domainstream lag`."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Final

import click
from msgspec import Struct

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.command import argument, option
from domainstream.cli.common.durations import Duration
from domainstream.cli.common.server_command import RedisServer, server_command
from domainstream.cli.common.terminal import Columns, Terminal
from domainstream.cli.groups.ls import GROUPS
from domainstream.stream import GroupState
from domainstream.tools.common.formatting import age, moment

LAG: Final[Columns] = {name: GROUPS[name] for name in ("channel", "group", "lag#", "unread#", "pending#", "oldest")}


class LagRecord(Struct, frozen=True, kw_only=True):
    """The lag of one group on one channel, as `--json` writes it."""

    time_ms: int
    """When it was measured, by the server's clock, in milliseconds since 1970."""

    channel: str
    """The channel's value."""

    group: str
    """The group's name."""

    lag: int
    """Unread and pending entries."""

    unread: int
    """Entries not delivered yet."""

    pending: int
    """Entries delivered but not acknowledged."""

    oldest_ms: int | None
    """How long the oldest of them has been waiting, in milliseconds; None if there is none."""

    @classmethod
    def of(cls, state: GroupState, time_ms: int) -> "LagRecord":
        """Return the record of a group's state."""
        return cls(
            time_ms=time_ms,
            channel=state.channel,
            group=state.group,
            lag=state.lag,
            unread=state.unread,
            pending=state.pending,
            oldest_ms=state.oldest_ms,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class LagOptions:
    """The options of `lag`."""

    channel: Annotated[str | None, argument(required=False)]
    """The channel; None for all."""

    group: Annotated[str | None, option("--group", help="Show only this group.")]
    """The group; None for all."""

    limit: Annotated[
        int | None, option("--max", type=click.IntRange(min=0), help="Exit with code 1 if a lag is above this limit.")
    ]
    """The largest lag allowed; None for no limit."""

    max_oldest: Annotated[
        timedelta | None,
        option("--max-oldest", type=Duration(), help="Exit with code 1 if an entry waits for longer: 30s, 5m, 2h."),
    ]
    """How long the oldest entry of a lag may wait; None for no limit."""

    watch: Annotated[bool, option("--watch", is_flag=True, help="Repeat until Ctrl-C, or until a limit is exceeded.")]
    """Whether the table is refreshed."""

    every: Annotated[
        timedelta,
        option("--every", type=Duration(), default="2s", show_default=True, help="The interval of --watch."),
    ]
    """The interval of `watch`."""


@server_command(LagOptions)
async def lag(server: RedisServer, terminal: Terminal, options: LagOptions) -> int:
    """Show unread and pending entries, and fail above a limit.

    Exit code 1: a lag is above --max, or older than --max-oldest.
    """
    while True:
        states = await server.chosen_groups(options.channel, options.group)
        now = await server.streams.now_ms()
        records = [LagRecord.of(state, now) for state in states]
        _show(server, terminal, records, watch=options.watch)
        above = [warning for record in records for warning in _exceeded(record, options)]
        for warning in above:
            terminal.warn(warning)
        if above or not options.watch:
            return exits.FAILED if above else exits.OK
        await asyncio.sleep(options.every.total_seconds())


def _exceeded(record: LagRecord, options: LagOptions) -> Iterator[str]:
    if options.limit is not None and record.lag > options.limit:
        yield f"{record.group} is {record.lag:,} entries behind on {record.channel} (limit {options.limit:,})."
    if options.max_oldest is not None and record.oldest_ms is not None:
        longest = round(options.max_oldest.total_seconds() * 1000)
        if record.oldest_ms > longest:
            yield f"{record.group} is {age(record.oldest_ms)} behind on {record.channel} (limit {age(longest)})."


def _show(server: RedisServer, terminal: Terminal, records: list[LagRecord], *, watch: bool) -> None:
    if not records:
        terminal.say(f"There are no groups {server.where}.")
        return
    if watch and not terminal.as_json:
        terminal.clear()
        terminal.say(moment(records[0].time_ms))
    terminal.table(records, LAG)
