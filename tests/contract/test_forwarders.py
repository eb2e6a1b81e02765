"""Every forwarder passes the contract of the port."""

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
        dead_letters = MemoryDeadLetters(self.streams, group=GROUP)
        self.forwarder = TwoStepForwarder(self.queue, dead_letters, self.reader)

    async def deliver(self, *channels: str) -> list[Delivery]:
        """Add entries and read them."""
        added = [(channel, self.streams.add(channel, b"data")) for channel in channels]
        deliveries = {(delivery.channel, delivery.entry_id): delivery for delivery in await self.reader.read()}
        return [deliveries[key] for key in added]

    async def pending(self) -> int:
        """Count what the groups have pending."""
        return sum(len(self.streams.group(channel, GROUP).pending) for channel in (FIRST, SECOND))

    async def jobs(self, queue: str) -> list[str]:
        """Return the job ids of the queue."""
        return [job.id for job in self.queue.jobs.get(queue, ())]

    async def dead_letters(self, channel: str) -> list[str]:
        """Return the reasons of the dead letters."""
        return [dead.reason for dead in self.streams.dead if dead.delivery.channel == channel]


class TestTwoStepForwarderInMemory(ForwarderContract):
    """The forwarder in steps, in memory."""

    @pytest.fixture
    async def harness(self) -> ForwarderHarness:
        """Streams and queues in memory."""
        return MemoryForwarderHarness()


class TestTwoStepForwarderOnServers(ForwarderContract):
    """The forwarder in steps, on a real server."""

    @pytest.fixture
    async def harness(self, redis_url: str, redis: Redis, stream_prefix: str) -> AsyncIterator[ForwarderHarness]:
        """Streams and queues on a server."""
        harness: Any = RedisForwarderHarness(redis, stream_prefix)
        reader = RedisStreamReader.from_url(redis_url, [FIRST, SECOND], group=harness.group, prefix=stream_prefix)
        dead_letters = RedisDeadLetters.from_url(redis_url, group=harness.group, prefix=stream_prefix)
        queue = BullMQQueue.from_url(redis_url, bull_prefix=harness.bull_prefix)
        harness.forwarder = TwoStepForwarder(queue, dead_letters, reader)
        yield harness
        for port in (queue, dead_letters, reader):
            await port.close()


class TestBullMQForwarder(ForwarderContract):
    """The forwarder in one step, on a real server."""

    @pytest.fixture
    async def harness(self, redis_url: str, redis: Redis, stream_prefix: str) -> AsyncIterator[ForwarderHarness]:
        """Streams and queues on a server."""
        harness = RedisForwarderHarness(redis, stream_prefix)
        harness.forwarder = BullMQForwarder.from_url(
            redis_url,
            group=harness.group,
            consumer=harness.consumer,
            prefix=stream_prefix,
            bull_prefix=harness.bull_prefix,
        )
        yield harness
        await harness.forwarder.close()
