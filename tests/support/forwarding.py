"""Streams with one consumer and BullMQ queues on a real server, for tests of forwarders."""

from typing import Any

from redis.asyncio import Redis
from support.consuming import BullJobs

from domainstream.stream import Delivery
from domainstream.testing.forwarder_contract import FIRST, SECOND, ForwarderHarness


class RedisForwarderHarness(ForwarderHarness):
    """Reads with plain commands, so that nothing but the forwarder is under test."""

    group = "group"
    consumer = "consumer"

    def __init__(self, redis: Redis, prefix: str) -> None:
        self.redis = redis
        self.prefix = prefix
        self.bull_prefix = f"{prefix}bull"

    def key(self, channel: str) -> str:
        """Return the key of a channel's stream."""
        return f"{self.prefix}{channel}"

    async def deliver(self, *channels: str) -> list[Delivery]:
        """Add entries and read them."""
        await self._make_groups()
        added = [(channel, await self._add(channel)) for channel in channels]
        streams: Any = {self.key(channel): ">" for channel in (FIRST, SECOND)}
        await self.redis.xreadgroup(self.group, self.consumer, streams)
        return [Delivery(channel, entry_id, b"data") for channel, entry_id in added]

    async def pending(self) -> int:
        """Count what the groups have pending."""
        summaries: Any = [await self.redis.xpending(self.key(channel), self.group) for channel in (FIRST, SECOND)]
        return sum(summary["pending"] for summary in summaries)

    async def jobs(self, queue: str) -> list[str]:
        """Return the job ids of the queue."""
        return await self.queue(queue).ids()

    async def dead_letters(self, channel: str) -> list[str]:
        """Return the reasons of the dead letters."""
        entries: Any = await self.redis.xrange(f"{self.key(channel)}:dead")
        return [fields[b"reason"].decode() for _, fields in entries]

    def queue(self, name: str) -> BullJobs:
        """Return the jobs of a queue."""
        return BullJobs(self.redis, self.bull_prefix, name)

    async def _make_groups(self) -> None:
        for channel in (FIRST, SECOND):
            if not await self.redis.exists(self.key(channel)):
                await self.redis.xgroup_create(self.key(channel), self.group, id="0", mkstream=True)

    async def _add(self, channel: str) -> str:
        entry_id: Any = await self.redis.xadd(self.key(channel), {"data": "data"})
        return str(entry_id.decode())
