"""The doctor's checks of channels with partitions: their number, their streams, and where these lie on a cluster."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from math import ceil
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from domainstream.channel.partitions import channel_of, streams_of
from domainstream.redis.errors import code_of
from domainstream.redis.keys import stream_key
from domainstream.redis.nodes import RedisNodes
from domainstream.redis.slot_map import key_slot
from domainstream.redis.topology import Address
from domainstream.stream.inspection.groups import RedisGroupInspection
from domainstream.stream.inspection.streams import RedisStreamInspection
from domainstream.tools.common.formatting import plural
from domainstream.tools.doctor.finding import Finding, command, ok, problem, redis_cli_at, warning

UNEVEN: Final = 1.5
"""A node with so many times its share of a channel's partitions has too many; less is what chance brings."""

_NUMBER: Final = re.compile(r"\d+")
_CHANGE: Final = re.compile(r"(\d+)>(\d+)")


class ChannelLayout(Struct, frozen=True, kw_only=True):
    """Over how many streams a channel is spread, who says so, and what is in streams that are not among them."""

    channel: str
    """The channel's value."""

    written: str
    """What the server has: a number, `1` for a channel that is one stream, `8>4` during a change; empty for nothing."""

    code: int | None = None
    """The number in the code; None where that is not known."""

    left: Mapping[str, int] = {}
    """How many entries nobody has settled in each stream that the number does not have."""

    nodes: Mapping[str, Address] = {}
    """Which node has each stream of the channel."""


async def read_layouts(nodes: RedisNodes, code: Mapping[str, int], *, prefix: str) -> list[ChannelLayout]:
    """Return the channels that have partitions at the server, or in `code`, which has their numbers by value.

    Raises `ServerError`.
    """
    streams, groups = RedisStreamInspection(nodes, prefix=prefix), RedisGroupInspection(nodes, prefix=prefix)
    by_channel = {
        channel: [*names] for channel, names in groupby(await streams.channels(), key=channel_of) if channel is not None
    }
    known = {channel for channel, names in by_channel.items() if names != [channel]}
    layouts = []
    for channel in sorted(known | {*code}):
        written = await _written(nodes, stream_key(channel, prefix))
        if channel not in known and written in ("", "1") and code.get(channel, 1) == 1:
            continue
        number = int(written) if _NUMBER.fullmatch(written) else None if written else code.get(channel)
        own = streams_of(channel, number) if number else ()
        left = {}
        for name in by_channel.get(channel, ()) if number else ():
            if name not in own and (waiting := await _unsettled(streams, groups, name)):
                left[name] = waiting
        where = {name: await nodes.address_of(stream_key(name, prefix)) for name in own}
        layouts.append(ChannelLayout(channel=channel, written=written, code=code.get(channel), left=left, nodes=where))
    return layouts


async def _written(nodes: RedisNodes, key: str) -> str:
    async def get(client: Redis) -> str:
        try:
            found: Any = await client.get(key)
        except ResponseError as error:
            if code_of(error) == "WRONGTYPE":  # a stream: publishers take that for one partition
                return "1"
            raise
        return (found or b"").decode(errors="replace")

    return await nodes.run(key, get)


async def _unsettled(streams: RedisStreamInspection, groups: RedisGroupInspection, name: str) -> int:
    """Return how many entries the group that is most behind has not settled; all of them where there is no group."""
    lags = [group.lag for group in await groups.groups(name)]
    if lags:
        return max(lags)
    state = await streams.stream(name)
    return state.length if state else 0


def partition_findings(
    layouts: Sequence[ChannelLayout], *, primaries: Iterable[Address] = (), prefix: str = "", moves_slots: bool = False
) -> Iterator[Finding]:
    """Check whether server and code agree, whether old streams are read, and how partitions lie on `primaries`.

    `moves_slots` says that the servers move a slot in one step. `prefix` is that of the streams' keys.
    """
    nodes = [*primaries]
    for layout in layouts:
        yield from _disagreements(layout)
        yield from _leftovers(layout)
        slots = {key_slot(stream_key(name, prefix)) for name in layout.nodes}
        if len(nodes) > 1 and len(slots) > 1:  # a prefix with a hash tag keeps all in one slot, as somebody wants it
            yield from _crowded(layout, nodes, prefix, moves_slots=moves_slots)
    spread = [layout for layout in layouts if len(layout.nodes) > 1]
    if spread:
        yield ok("partitions", f"{plural(len(spread), 'channel')} with partitions found")


def _disagreements(layout: ChannelLayout) -> Iterator[Finding]:
    channel = layout.channel
    if change := _CHANGE.fullmatch(layout.written):
        before, after = change.groups()
        words = (
            f"{channel} is being changed from {before} to {after} partitions, and publishers are rejected meanwhile; "
            "if nobody is at it, finish it"
        )
        yield problem("partitions", words, command("streams", "repartition", channel, after))
    elif layout.written and layout.code is not None and layout.written != str(layout.code):
        words = (
            f"{channel} has {_partitions(layout.written)} at the server and {_partitions(layout.code)} in the code, "
            "whose publishers are rejected and whose subscribers do not start. Change the number in the code or, as "
            "docs/how-to/partition-a-channel.md describes, at the server"
        )
        yield problem("partitions", words, command("streams", "repartition", channel, str(layout.code)))


def _leftovers(layout: ChannelLayout) -> Iterator[Finding]:
    if not layout.left:
        return
    entries = ", ".join(f"{count:,} in {stream}" for stream, count in layout.left.items())
    most = max(int(stream.rpartition(":p")[2]) for stream in layout.left) + 1
    words = (
        f"{layout.channel} has {_partitions(len(layout.nodes))}, and entries that a group has not acknowledged are in "
        f"streams of an earlier number, which no subscriber reads: {entries}. Stop the publishers, change to {most}, "
        "run subscribers with that number until they are read, and change back"
    )
    yield problem("partitions", words, command("streams", "repartition", layout.channel, str(most)))


def _crowded(layout: ChannelLayout, nodes: Sequence[Address], prefix: str, *, moves_slots: bool) -> Iterator[Finding]:
    """Find nodes with more than their share of the partitions, and say which of them to move where."""
    total = len(layout.nodes)
    by_node = {node: [name for name, at in layout.nodes.items() if at == node] for node in nodes}
    quietest = min(nodes, key=lambda node: len(by_node[node]))
    share = total / len(nodes)
    for node, names in by_node.items():
        if len(names) <= ceil(share) or len(names) < UNEVEN * share:
            continue
        too_many = names[ceil(share) :]
        some = "the slot" if len(too_many) == 1 else "some of the slots"
        words = (
            f"{len(names)} of the {total} partitions of {layout.channel} lie on one of {len(nodes)} nodes: "
            f"{_short(names)}. Move {some} of {_short(too_many)} to a node with fewer, as {quietest}, which has "
            f"{len(by_node[quietest])}"
        )
        slot = key_slot(stream_key(too_many[0], prefix))
        fix = f"redis-cli --cluster check {node}"
        if moves_slots:
            target = f'"$({redis_cli_at(quietest)} CLUSTER MYID)"'
            fix = f"{redis_cli_at(node)} CLUSTER MIGRATESLOTS SLOTSRANGE {slot} {slot} NODE {target}"
        yield replace(warning("partitions", words, fix), node=str(node))


def _partitions(number: int | str) -> str:
    return "one stream" if str(number) == "1" else f"{number} partitions"


def _short(names: Iterable[str]) -> str:
    return ", ".join(name.rpartition(":")[2] for name in names)
