"""Both publishers keep the contract of the port."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis
from support.publishing import entries

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


class TestPublisherOnCluster(PublisherContract):
    """The publisher for Redis, on a cluster."""

    @pytest.fixture
    async def harness(self, cluster_url: str, stream_prefix: str) -> AsyncIterator[PublisherHarness]:
        """Give a client of a cluster of one node, with streams of its own."""
        async with (
            Redis.from_url(cluster_url.replace("redis+cluster", "redis")) as redis,
            RedisStreamPublisherClient.from_url(cluster_url, prefix=stream_prefix) as publisher,
        ):

            async def read(channel: str) -> list[Entry]:
                return await entries(redis, stream_prefix + channel)

            yield PublisherHarness(publisher, read)


class TestRedisStreamPublisherClient(PublisherContract):
    """The publisher for Redis, on every server at hand."""

    @pytest.fixture
    async def harness(self, redis_url: str, redis: Any, stream_prefix: str) -> AsyncIterator[PublisherHarness]:
        """Give a client of a real server, with streams of its own."""

        async def read(channel: str) -> list[Entry]:
            return await entries(redis, stream_prefix + channel)

        async with RedisStreamPublisherClient.from_url(redis_url, prefix=stream_prefix) as publisher:
            yield PublisherHarness(publisher, read)
