"""All hand-overs keep the contract of the port."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis
from support.forwarding import RedisForwarderHarness

from domainstream.queue import BullMQForwarder, BullMQQueue, MemoryQueue, TwoStepForwarder
from domainstream.stream import (
    Delivery,
    MemoryDeadLetters,
    MemoryStreamReader,
    MemoryStreams,
    RedisDeadLetters,
    RedisStreamReader,
)
from domainstream.testing.forwarder_contract import FIRST, SECOND, ForwarderContract, ForwarderHarness

GROUP, CONSUMER = "group", "consumer"


class MemoryForwarderHarness(ForwarderHarness):
    """Streams and queues in memory."""

    def __init__(self) -> None:
        self.streams = MemoryStreams()
        self.reader = MemoryStreamReader(self.streams, [FIRST, SECOND], group=GROUP)
        self.queue = MemoryQueue()
        letters = MemoryDeadLetters(self.streams, group=GROUP)
        self.forward = TwoStepForwarder(self.queue, letters, self.reader)

    async def deliver(self, *channels: str) -> list[Delivery]:
        """Add entries and read them."""
        added = [(channel, self.streams.add(channel, b"data")) for channel in channels]
        found = {(delivery.channel, delivery.entry_id): delivery for delivery in await self.reader.read()}
        return [found[key] for key in added]

    async def pending(self) -> int:
        """Ask the groups."""
        return sum(len(self.streams.group(channel, GROUP).pending) for channel in (FIRST, SECOND))

    async def jobs(self, queue: str) -> list[str]:
        """Look into the queue."""
        return [job.id for job in self.queue.jobs.get(queue, ())]

    async def letters(self, channel: str) -> list[str]:
        """Look at the dead letters."""
        return [letter.reason for letter in self.streams.dead if letter.delivery.channel == channel]


class TestTwoStepForwarderInMemory(ForwarderContract):
    """Steps on the ports in memory."""

    @pytest.fixture
    async def place(self) -> ForwarderHarness:
        """Streams and queues in memory."""
        return MemoryForwarderHarness()


class TestTwoStepForwarderOnServers(ForwarderContract):
    """Steps on a real server."""

    @pytest.fixture
    async def place(self, redis_url: str, redis: Redis, stream_prefix: str) -> AsyncIterator[ForwarderHarness]:
        """Streams and queues on a server."""
        place: Any = RedisForwarderHarness(redis, stream_prefix)
        reader = RedisStreamReader.from_url(redis_url, [FIRST, SECOND], group=place.group, prefix=stream_prefix)
        letters = RedisDeadLetters.from_url(redis_url, group=place.group, prefix=stream_prefix)
        queue = BullMQQueue.from_url(redis_url, bull_prefix=place.bull_prefix)
        place.forward = TwoStepForwarder(queue, letters, reader)
        yield place
        await place.forward.close()
        await reader.close()


class TestBullMQForwarder(ForwarderContract):
    """One step on a real server."""

    @pytest.fixture
    async def place(self, redis_url: str, redis: Redis, stream_prefix: str) -> AsyncIterator[ForwarderHarness]:
        """Streams and queues on a server."""
        place = RedisForwarderHarness(redis, stream_prefix)
        place.forward = BullMQForwarder.from_url(
            redis_url, group=place.group, consumer=place.consumer, prefix=stream_prefix, bull_prefix=place.bull_prefix
        )
        yield place
        await place.forward.close()
