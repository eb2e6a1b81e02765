"""Looks at consumer groups: their progress, their consumers, and what they have not settled."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from domainstream.errors import ServerRefusedError
from domainstream.redis.connection import replies_of
from domainstream.redis.keys import lease_key, stream_key
from domainstream.redis.nodes import RedisNodes
from domainstream.redis.scripts import Script
from domainstream.stream.inspection.streams import RedisStreamInspection
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
        stream, found = await self._streams.stream(channel), await self._infos("xinfo_groups", channel)
        if stream is None or not found:
            return []
        now = await self._streams.now_ms(channel)
        return [await self._group(stream, info, now) for info in found]

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

    async def _group(self, stream: StreamState, info: dict[str, Any], now: int) -> GroupState:
        last, pending = info["last-delivered-id"].decode(), info["pending"]
        lost, unread = 0, info.get("lag")
        if not stream.length:
            lost, unread = unread or 0, 0
        elif id_order(stream.first_id) > id_order(last):
            # Everything in the stream is unread. What the server counts beyond that has been trimmed.
            lost, unread = max(0, (unread or 0) - stream.length), stream.length
        elif unread is None:
            unread = await self._count(stream.channel, last)
        oldest = await self._oldest(stream.channel, info["name"], last)
        return GroupState(
            channel=stream.channel,
            group=_text(info["name"]),
            consumers=info["consumers"],
            unread=unread,
            pending=pending,
            lag=unread + pending,
            lost=lost,
            oldest_ms=None if oldest is None else max(0, now - oldest),
            last_delivered_id=last,
        )

    async def _oldest(self, channel: str, group: bytes, last: str) -> int | None:
        """Return when the oldest entry was added that is pending or unread."""
        key = stream_key(channel, self._prefix)

        async def both(redis: Redis) -> list[Any]:
            async with redis.pipeline(transaction=False) as pipe:
                pipe.xpending(key, group)
                pipe.xrange(key, f"({last}", "+", count=1)
                return await replies_of(pipe)

        summary, unread = await self._nodes.run(key, both)
        waiting = [summary["min"]] if summary["min"] else []
        waiting += [entry_id for entry_id, _ in unread]
        return min((ms_of(entry_id.decode()) for entry_id in waiting), default=None)

    async def _count(self, channel: str, last: str) -> int:
        after = last
        total = 0
        while True:
            count, newest = await self._nodes.call(_COUNT, [stream_key(channel, self._prefix)], f"({after}")
            total += int(count)
            if count < 1000:
                return total
            after = newest.decode()


def _text(name: bytes) -> str:
    """Return the name of a group or consumer as text; bytes that are not UTF-8 are escaped with a backslash."""
    return name.decode(errors="backslashreplace")
