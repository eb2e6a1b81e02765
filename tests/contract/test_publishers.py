"""Both publishers keep the contract of the port."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from domainstream import MemoryPublisher, RedisStreamPublisherClient
from domainstream.testing.publisher_contract import Entry, PublisherContract, PublisherHarness


class TestMemoryPublisher(PublisherContract):
    """The publisher without a server."""

    @pytest.fixture
    async def harness(self) -> AsyncIterator[PublisherHarness]:
        """Give a memory publisher."""
        async with MemoryPublisher() as publisher:

            async def read(channel: str) -> list[Entry]:
                return publisher.streams.get(channel, [])

            yield PublisherHarness(publisher, read)


class TestRedisStreamPublisherClient(PublisherContract):
    """The publisher for Redis, on every server at hand."""

    @pytest.fixture
    async def harness(self, redis_url: str, redis: Any, stream_prefix: str) -> AsyncIterator[PublisherHarness]:
        """Give a client of a real server, with streams of its own."""

        async def read(channel: str) -> list[Entry]:
            entries = await redis.xrange(stream_prefix + channel)
            return [(entry_id.decode(), fields[b"data"]) for entry_id, fields in entries]

        async with RedisStreamPublisherClient.from_url(redis_url, prefix=stream_prefix) as publisher:
            yield PublisherHarness(publisher, read)
