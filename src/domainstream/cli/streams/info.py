"""`domainstream streams info`."""

import click
from msgspec import Struct

from domainstream.cli.common.formatting import NONE, age, moment, number, printable
from domainstream.cli.common.redis_server import RedisServer
from domainstream.cli.common.server_command import server_command
from domainstream.cli.common.terminal import Terminal
from domainstream.redis.keys import stream_key
from domainstream.stream import GroupState, StreamState
from domainstream.stream.dead_letters.inspection import RedisDeadLetterInspection
from domainstream.stream.inspection.groups import RedisGroupInspection
from domainstream.stream.state import ms_of


class StreamRecord(Struct, frozen=True, kw_only=True):
    """All there is to know of a channel's stream."""

    key: str
    """The stream's key."""

    stream: StreamState
    """What the server says of it."""

    memory_bytes: int
    """What it takes of the server's memory, estimated."""

    dead_letters: int
    """How many letters lie beside it."""

    groups: list[GroupState]
    """Who reads it, and how far each has come."""


@click.command()
@click.argument("channel")
@server_command
async def info(server: RedisServer, terminal: Terminal, *, channel: str) -> None:
    """Tell all there is to know of one channel's stream."""
    await server.require_channel(channel)
    state = await server.streams.stream(channel)
    if state is None:
        return  # it vanished just now
    letters = await RedisDeadLetterInspection(server.client, prefix=server.prefix).state(channel)
    record = StreamRecord(
        key=stream_key(channel, server.prefix),
        stream=state,
        memory_bytes=await server.streams.memory_bytes(channel),
        dead_letters=letters.letters if letters else 0,
        groups=await RedisGroupInspection(server.client, prefix=server.prefix).groups(channel),
    )
    terminal.facts(record, _shown(record))


def _shown(record: StreamRecord) -> dict[str, str]:
    state = record.stream
    return {
        "channel": state.channel,
        "key": record.key,
        "entries": number(state.length),
        "ever added": number(state.added),
        "oldest": _entry(state.first_id),
        "newest": _entry(state.last_id if state.length else ""),
        "memory": f"{number(record.memory_bytes)} bytes",
        "dead letters": number(record.dead_letters),
        "groups": "\n              ".join(map(_group, record.groups)) or NONE,
    }


def _entry(entry_id: str) -> str:
    return f"{entry_id} ({moment(ms_of(entry_id))})" if entry_id else NONE


def _group(group: GroupState) -> str:
    waiting = f"unread {number(group.unread)}, pending {number(group.pending)}, oldest {age(group.oldest_ms)}"
    return f"{printable(group.group)}: {waiting}" + (f", lost {number(group.lost)}" if group.lost else "")
