"""Streams of a test on a real server, as the contracts of the stream stage ask for them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from redis.asyncio import Redis
from support.consuming import GROUP, Streams

from domainstream.redis.keys import lease_key
from domainstream.stream import ReaderSettings, RedisDeadLetterRedrive, RedisStreamReader
from domainstream.stream.port import Fields
from domainstream.testing.stream_contract import FIRST, SECOND, StreamHarness

SETTINGS: Final = ReaderSettings(lease=timedelta(minutes=1), claim_after=timedelta(minutes=1))


class RedisHarness(StreamHarness):
    """Streams on a real server."""

    def __init__(self, url: str, streams: Streams) -> None:
        self.url = url
        self.streams = streams
        self.redis: Redis = streams.redis
        self.opened: list[Any] = []

    async def add(self, channel: str, data: bytes | None, other: Fields = ()) -> str:
        """Put an entry into a stream."""
        fields: dict[Any, Any] = {} if data is None else {"data": data}
        fields |= dict(other or (() if fields else ((b"other", b"field"),)))
        entry_id: Any = await self.redis.xadd(self.key(channel), fields)
        return str(entry_id.decode())

    async def add_many(self, channel: str, count: int, data: bytes = b"data") -> None:
        """Put many equal entries into a stream, fast."""
        add = "for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'data', ARGV[2]) end"
        for start in range(0, count, 10_000):
            arguments: list[Any] = [min(10_000, count - start), data]
            await self.redis.eval(add, 1, self.key(channel), *arguments)

    async def trim(self, channel: str, *, keep: int) -> None:
        """Drop the oldest entries, exactly."""
        await self.redis.xtrim(self.key(channel), maxlen=keep, approximate=False)

    async def delete(self, channel: str, entry_id: str) -> None:
        """Drop an entry."""
        await self.redis.xdel(self.key(channel), entry_id)

    async def read_as(self, consumer: str, channel: str = FIRST) -> None:
        """Deliver what is new to a consumer; make the group if there is none."""
        if not await self.redis.exists(lease_key(self.key(channel), GROUP)):
            await self.redis.xgroup_create(self.key(channel), GROUP, id="0", mkstream=True)
        await self.redis.xreadgroup(GROUP, consumer, {self.key(channel): ">"})

    async def make_idle(self, channel: str) -> None:
        """Make what is pending in a channel an hour old, without delivering it."""
        key = self.key(channel)
        pending: Any = await self.redis.xpending_range(key, GROUP, "-", "+", 10_000)
        for consumer in {one["consumer"] for one in pending}:
            ids = [one["message_id"] for one in pending if one["consumer"] == consumer]
            await self.redis.xclaim(key, GROUP, consumer, 0, ids, idle=3_600_000, justid=True)

    async def pending(self, channel: str = FIRST) -> list[str]:
        """Return what is pending."""
        rows: Any = await self.redis.xpending_range(self.key(channel), GROUP, "-", "+", 10_000)
        return [row["message_id"].decode() for row in rows]

    async def expire(self, channel: str = FIRST) -> None:
        """Let the lease run out."""
        mapping: Any = {"until": "1"}
        await self.redis.hset(lease_key(self.key(channel), GROUP), mapping=mapping)

    async def destroy_group(self, channel: str) -> None:
        """Let the group vanish."""
        await self.redis.xgroup_destroy(self.key(channel), GROUP)

    async def set_back(self, channel: str) -> None:
        """Let the group begin again."""
        await self.redis.xgroup_setid(self.key(channel), GROUP, "0")

    def reader(
        self,
        instance: str = "one",
        *,
        channels: Sequence[str] = (FIRST, SECOND),
        settings: ReaderSettings = SETTINGS,
    ) -> RedisStreamReader:
        """Open a reader."""
        reader = RedisStreamReader.from_url(
            self.url, channels, group=GROUP, instance=instance, prefix=self.streams.prefix, settings=settings
        )
        self.opened.append(reader)
        return reader

    def redrive(self) -> RedisDeadLetterRedrive:
        """Open the redrive of the dead letters."""
        redrive = RedisDeadLetterRedrive.from_url(self.url, prefix=self.streams.prefix)
        self.opened.append(redrive)
        return redrive

    def key(self, channel: str) -> str:
        """Return the key of a channel's stream."""
        return self.streams.key(channel)

    async def group(self, channel: str) -> dict[str, Any]:
        """Return what the server knows of the group on a channel."""
        (group,) = await self.redis.xinfo_groups(self.key(channel))
        return dict(group)

    async def length(self, channel: str) -> int:
        """Return how many entries a channel has."""
        return int(await self.redis.xlen(self.key(channel)))

    async def close(self) -> None:
        """Close what was opened."""
        for port in self.opened:
            await port.close()
