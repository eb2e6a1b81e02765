"""`domainstream streams tail`."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, Final

import click
from msgspec import Struct

from domainstream.cli.common.durations import Since, entry_id_since
from domainstream.cli.common.formatting import moment
from domainstream.cli.common.payload_output import content_of, text_of
from domainstream.cli.common.redis_server import RedisServer
from domainstream.cli.common.server_command import server_command
from domainstream.cli.common.terminal import Terminal
from domainstream.stream import Delivery
from domainstream.stream.state import id_order

BLOCK_MS: Final = 1000


class EntryRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An entry as `--json` writes it."""

    channel: str
    """The channel's value."""

    entry_id: str
    """The entry."""

    data: Any = None
    """Its data, where that is JSON."""

    data_base64: str | None = None
    """Its data, where that is no JSON."""


@click.command()
@click.argument("channel")
@click.option("-n", "--count", type=click.IntRange(min=0), default=10, show_default=True, help="Show so many, newest.")
@click.option("--since", type=Since(), help="Show all from then on: 2h, 2026-01-31T12:00, or an entry's id.")
@click.option("-f", "--follow", is_flag=True, help="Go on with each event as it comes, until Ctrl-C.")
@server_command
async def tail(
    server: RedisServer,
    terminal: Terminal,
    *,
    channel: str,
    count: int,
    since: timedelta | datetime | str | None,
    follow: bool,
) -> None:
    """Show the newest events of a channel, with their data, as no group's reading: nothing is taken from anybody.

    With --follow, the channel need not exist yet.
    """
    if not follow:
        await server.require_channel(channel)
    state = await server.streams.stream(channel)
    last = state.last_id if state else "0-0"
    async for delivery in _there(server, channel, count, since):
        _show(terminal, delivery)
        # The newest may be newer than `last`, which was asked for before; or older, where somebody deleted entries.
        last = max(last, delivery.entry_id, key=id_order)
    while follow:
        for delivery in await server.streams.new_entries(channel, after=last, block_ms=BLOCK_MS):
            _show(terminal, delivery)
            last = delivery.entry_id


async def _there(
    server: RedisServer, channel: str, count: int, since: timedelta | datetime | str | None
) -> AsyncIterator[Delivery]:
    if since is None:
        for delivery in await server.streams.latest(channel, count) if count else ():
            yield delivery
        return
    start = entry_id_since(since, now_ms=await server.streams.now_ms())
    async for delivery in server.streams.entries(channel, since=start):
        yield delivery


def _show(terminal: Terminal, delivery: Delivery) -> None:
    content = content_of(delivery.data)
    record = EntryRecord(
        channel=delivery.channel, entry_id=delivery.entry_id, data=content.data, data_base64=content.data_base64
    )
    terminal.line(record, f"{moment(delivery.timestamp_ms)}  {delivery.entry_id}  {text_of(delivery.data)}")
