"""Looks at consumer groups: their progress, their consumers, and what they have not settled."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from math import inf
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import ResponseError

from domainstream.errors import ServerRefusedError
from domainstream.redis.asking import Ask, ask_each, clocks_of
from domainstream.redis.connection import replies_of
from domainstream.redis.keys import lease_key, stream_key
from domainstream.redis.nodes import RedisNodes
from domainstream.redis.scripts import Script
from domainstream.stream.inspection.streams import NO_STREAM, RedisStreamInspection
from domainstream.stream.reader.turns import CONSUMER
from domainstream.stream.state import (
    ConsumerState,
    GroupState,
    LeaseState,
    PendingEntry,
    StreamState,
    id_order,
    ms_of,
)
from domainstream.validation import plain_name

PAGE: Final = 500

SUBSCRIPTIONS: Final = " with subscriptions "
"""What an owner's name in a lease has in front of the digest of its subscriptions."""

# Entries are counted on the server, so that none crosses the network; 1,000 at a time do not hold it up.
_COUNT: Final = Script.of("""
local page = redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', 1000)
if #page == 0 then return {0, ''} end
return {#page, page[#page][1]}
""")


class RedisGroupInspection:
    """The groups of the streams below a prefix.

    For one task. Raises the same errors as `StreamReader`.
    """

    def __init__(self, client: Redis | RedisNodes, *, prefix: str = "") -> None:
        """Look through `client`, which the caller closes."""
        self._nodes = RedisNodes.of(client)
        self._prefix = prefix
        self._streams = RedisStreamInspection(self._nodes, prefix=prefix)

    async def groups(self, channel: str) -> list[GroupState]:
        """Return the state of each group on a channel; none where the channel has no stream."""
        return await self.groups_of(await self._streams.streams([channel]))

    async def groups_of(self, streams: Sequence[StreamState], *, count_at_most: int | None = None) -> list[GroupState]:
        """Return the states of all groups of these streams, in few round trips.

        `unread` is at least `count_at_most` where the server does not know it and it is more; None counts all.
        """
        keys = {stream.channel: stream_key(stream.channel, self._prefix) for stream in streams}
        infos = await ask_each(self._nodes, {key: [_ask_groups(key)] for key in keys.values()}, missing=NO_STREAM)
        groups = [(stream, info) for stream in streams for info in infos[keys[stream.channel]][0] or ()]
        asks: dict[str, list[Ask]] = {}
        for stream, info in groups:
            key = keys[stream.channel]
            asks.setdefault(key, []).extend(_ask_oldest(key, info["name"], info["last-delivered-id"].decode()))
        # One that was removed since has nothing that waits.
        waiting = {
            key: iter(replies)
            for key, replies in (await ask_each(self._nodes, asks, missing=(*NO_STREAM, "NOGROUP"))).items()
        }
        clocks = await clocks_of(self._nodes, asks)
        states = []
        for stream, info in groups:
            key = keys[stream.channel]
            oldest = _oldest(next(waiting[key]), next(waiting[key]))
            age = None if oldest is None else max(0, clocks[key] - oldest)
            states.append(await self._group(stream, info, age, count_at_most))
        return states

    async def consumers(self, channel: str) -> list[ConsumerState]:
        """Return the consumers of all groups on a channel."""
        names = [info["name"] for info in await self._infos("xinfo_groups", channel)]
        owners: dict[str, str] = {}
        with suppress(ServerRefusedError):  # a user may see consumers, but no leases
            owners = {lease.group: lease.owner for lease in await self._leases(channel, names)}
        return [
            ConsumerState(
                channel=plain_name(channel),
                group=_text(group),
                consumer=_text(info["name"]),
                pending=info["pending"],
                idle_ms=info["idle"],
                owner=owners.get(_text(group), "") if _text(info["name"]) == CONSUMER else "",
            )
            for group in names
            for info in await self._infos("xinfo_consumers", channel, group)
        ]

    async def leases(self, channel: str) -> list[LeaseState]:
        """Return who reads a channel, for each group that somebody reads it for now."""
        return await self._leases(channel, [info["name"] for info in await self._infos("xinfo_groups", channel)])

    async def _leases(self, channel: str, names: Sequence[bytes]) -> list[LeaseState]:
        key, groups = stream_key(channel, self._prefix), [_text(name) for name in names]

        async def read(redis: Redis) -> list[Any]:
            async with redis.pipeline(transaction=False) as pipe:
                pipe.time()
                for group in groups:
                    pipe.hmget(lease_key(key, group), ["owner", "until"])
                return await replies_of(pipe)

        (seconds, _), *found = await self._nodes.run(key, read)
        leases = []
        for group, (owner, until) in zip(groups, found, strict=True):
            if owner and int(until or 0) > int(seconds) * 1000:
                name, _, digest = _text(owner).partition(SUBSCRIPTIONS)
                leases.append(LeaseState(channel=plain_name(channel), group=group, owner=name, subscriptions=digest))
        return leases

    async def pending(
        self, channel: str, group: str, *, consumer: str | None = None, idle: timedelta | None = None, count: int = 100
    ) -> list[PendingEntry]:
        """Return the oldest pending entries of a group, of one consumer, or idle for at least `idle`."""
        min_idle_ms = None if idle is None else round(idle.total_seconds() * 1000)
        key, name = stream_key(channel, self._prefix), await self.stored(channel, group)

        async def oldest(redis: Any) -> Any:
            return await redis.xpending_range(key, name, "-", "+", count, consumername=consumer, idle=min_idle_ms)

        return [
            PendingEntry(
                channel=plain_name(channel),
                group=plain_name(group),
                entry_id=entry["message_id"].decode(),
                consumer=_text(entry["consumer"]),
                idle_ms=entry["time_since_delivered"],
                deliveries=entry["times_delivered"],
            )
            for entry in await self._nodes.run(key, oldest)
        ]

    async def unsettled(self, channel: str, entry_ids: Sequence[str]) -> list[tuple[str, str, str]]:
        """Return which of these entries a group has not read or acknowledged: entry, group, and which of the two."""
        key, found = stream_key(channel, self._prefix), list[tuple[str, str, str]]()
        for info in await self._infos("xinfo_groups", channel):
            last = id_order(info["last-delivered-id"].decode())
            unread = [entry_id for entry_id in entry_ids if id_order(entry_id) > last]
            found += [(entry_id, _text(info["name"]), "not read") for entry_id in unread]
            read = [entry_id for entry_id in entry_ids if id_order(entry_id) <= last] if info["pending"] else []
            asks = {key: [partial(_ask_pending, key=key, group=info["name"], entry_id=entry_id) for entry_id in read]}
            replies = (await ask_each(self._nodes, asks, missing=(*NO_STREAM, "NOGROUP")))[key] if read else ()
            found += [
                (entry_id, _text(info["name"]), "not acknowledged")
                for entry_id, pending in zip(read, replies, strict=True)
                if pending
            ]
        return found

    async def stored(self, channel: str, group: str) -> bytes:
        """Return the name of a group as the server has it: one that is not UTF-8 is shown in another form."""
        if "\\x" not in group:
            return group.encode()
        names = [info["name"] for info in await self._infos("xinfo_groups", channel)]
        return next((name for name in names if _text(name) == group), group.encode())

    async def _infos(self, command: str, channel: str, *more: bytes) -> list[dict[str, Any]]:
        key = stream_key(channel, self._prefix)

        async def infos(redis: Redis) -> list[dict[str, Any]]:
            try:
                return list(await getattr(redis, command)(key, *more))
            except ResponseError as error:
                if "no such key" in str(error):
                    return []
                raise

        return await self._nodes.run(key, infos)

    async def _group(
        self, stream: StreamState, info: dict[str, Any], oldest_ms: int | None, count_at_most: int | None
    ) -> GroupState:
        last, pending = info["last-delivered-id"].decode(), info["pending"]
        lost, unread = 0, info.get("lag")
        if not stream.length:
            lost, unread = unread or 0, 0
        elif id_order(stream.first_id) > id_order(last):
            # Everything in the stream is unread. What the server counts beyond that has been trimmed.
            lost, unread = max(0, (unread or 0) - stream.length), stream.length
        elif unread is None:
            unread = await self._count(stream.channel, last, inf if count_at_most is None else count_at_most)
        return GroupState(
            channel=stream.channel,
            group=_text(info["name"]),
            consumers=info["consumers"],
            unread=unread,
            pending=pending,
            lag=unread + pending,
            lost=lost,
            oldest_ms=oldest_ms,
            last_delivered_id=last,
        )

    async def _count(self, channel: str, last: str, at_most: float) -> int:
        after = last
        total = 0
        while True:
            count, newest = await self._nodes.call(_COUNT, [stream_key(channel, self._prefix)], f"({after}")
            total += int(count)
            if count < 1000 or total >= at_most:
                return total
            after = newest.decode()


def _ask_groups(key: str) -> Ask:
    return lambda pipe: pipe.xinfo_groups(key)


def _ask_oldest(key: str, group: bytes, last: str) -> list[Ask]:
    """Ask for what is pending, and for the first entry that is unread."""
    return [lambda pipe: pipe.xpending(key, group), lambda pipe: pipe.xrange(key, f"({last}", "+", count=1)]


def _oldest(pending: dict[str, Any] | None, unread: Sequence[Any] | None) -> int | None:
    """Return when the oldest entry was added that is pending or unread."""
    waiting = [pending["min"]] if pending and pending["min"] else []
    waiting += [entry_id for entry_id, _ in unread or ()]
    return min((ms_of(entry_id.decode()) for entry_id in waiting), default=None)


def _text(name: bytes) -> str:
    """Return the name of a group or consumer as text; bytes that are not UTF-8 are escaped with a backslash."""
    return name.decode(errors="backslashreplace")


def _ask_pending(pipe: Pipeline, *, key: str, group: bytes, entry_id: str) -> Any:
    return pipe.xpending_range(key, group, entry_id, entry_id, 1)
