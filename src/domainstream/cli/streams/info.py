"""`domainstream streams info`."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Struct

from domainstream.cli.common.options import argument
from domainstream.cli.common.redis_server import RedisServer
from domainstream.cli.common.server_command import server_command
from domainstream.cli.common.terminal import Terminal
from domainstream.redis.keys import stream_key
from domainstream.stream import GroupState, StreamState
from domainstream.stream.dead_letters import RedisDeadLetterInspection
from domainstream.stream.inspection.groups import RedisGroupInspection
from domainstream.stream.state import ms_of
from domainstream.text import printable
from domainstream.tools.common.formatting import NONE, age, moment, number


class StreamRecord(Struct, frozen=True, kw_only=True):
    """A channel's stream, as `--json` writes it."""

    key: str
    """The stream's key."""

    stream: StreamState
    """Its state on the server."""

    memory_bytes: int
    """Its estimated memory on the server."""

    dead_letters: int
    """How many dead letters the channel has."""

    groups: list[GroupState]
    """The groups that read it, with their progress."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InfoOptions:
    """The options of `streams info`."""

    channel: Annotated[str, argument()]
    """The channel's value."""


@server_command(InfoOptions)
async def info(server: RedisServer, terminal: Terminal, options: InfoOptions) -> None:
    """Show a channel's stream: length, memory, dead letters and groups."""
    channel = options.channel
    await server.require_channel(channel)
    state = await server.streams.stream(channel)
    if state is None:
        return  # it was deleted in between
    dead = await RedisDeadLetterInspection(server.client, prefix=server.prefix).state(channel)
    record = StreamRecord(
        key=stream_key(channel, server.prefix),
        stream=state,
        memory_bytes=await server.streams.memory_bytes(channel),
        dead_letters=dead.letters if dead else 0,
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
