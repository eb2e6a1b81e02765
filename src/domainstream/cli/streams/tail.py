"""`domainstream streams tail`."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any, Final

import click
from msgspec import Struct

from domainstream.cli.common.command import argument, option
from domainstream.cli.common.durations import Since, StartPoint, entry_id_since
from domainstream.cli.common.server_command import RedisServer, server_command
from domainstream.cli.common.terminal import Terminal, data_fields, data_line
from domainstream.stream import Delivery
from domainstream.stream.state import id_order
from domainstream.tools.common.formatting import moment

BLOCK_MS: Final = 1000


class EntryRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An entry as `--json` writes it."""

    channel: str
    """The channel's value."""

    entry_id: str
    """The entry's id."""

    data: Any = None
    """Its data, if that is JSON."""

    data_base64: str | None = None
    """Its data, if that is not JSON."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TailOptions:
    """The options of `streams tail`."""

    channel: Annotated[str, argument()]
    """The channel's value."""

    count: Annotated[
        int,
        option(
            "-n", "--count", type=click.IntRange(min=0), default=10, show_default=True, help="How many of the newest."
        ),
    ]
    """How many of the newest entries are shown."""

    since: Annotated[
        StartPoint | None,
        option("--since", type=Since(), help="Show all entries since 2h, 2026-01-31T12:00, or an entry id."),
    ]
    """Where to start; None shows the newest `count`."""

    follow: Annotated[
        bool, option("-f", "--follow", is_flag=True, help="Keep printing new events as they come, until Ctrl-C.")
    ]
    """Whether new entries are shown as they come."""


@server_command(TailOptions)
async def tail(server: RedisServer, terminal: Terminal, options: TailOptions) -> None:
    """Show the newest events of a channel, and with -f new ones as they come.

    Reads without a consumer group, so it takes no event from any subscriber. With --follow, the channel need not exist
    yet.
    """
    channel = options.channel
    if not options.follow:
        await server.require_channel(channel)
    state = await server.streams.stream(channel)
    last = state.last_id if state else "0-0"
    async for delivery in _stored(server, options):
        _show(terminal, delivery)
        # Entries may have been added since `last` was read, or the newest ones deleted.
        last = max(last, delivery.entry_id, key=id_order)
    while options.follow:
        for delivery in await server.streams.new_entries(channel, after=last, block_ms=BLOCK_MS):
            _show(terminal, delivery)
            last = delivery.entry_id


async def _stored(server: RedisServer, options: TailOptions) -> AsyncIterator[Delivery]:
    if options.since is None:
        for delivery in await server.streams.latest(options.channel, options.count) if options.count else ():
            yield delivery
        return
    start = entry_id_since(options.since, now_ms=await server.streams.now_ms())
    async for delivery in server.streams.entries(options.channel, since=start):
        yield delivery


def _show(terminal: Terminal, delivery: Delivery) -> None:
    record = EntryRecord(channel=delivery.channel, entry_id=delivery.entry_id, **data_fields(delivery.data))
    terminal.line(record, f"{moment(delivery.timestamp_ms)}  {delivery.entry_id}  {data_line(delivery.data)}")
