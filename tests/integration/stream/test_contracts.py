"""The streams on a real server keep the contracts of the ports."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from support.consuming import Streams
from support.redis_streams import RedisHarness

from domainstream.testing.dead_letter_contract import DeadLetterContract
from domainstream.testing.stream_contract import StreamContract


class TestRedisStream(StreamContract):
    """The contract of readers, on each kind of server."""


class TestRedisStreamOnACluster(StreamContract):
    """The contract of readers, on a cluster of each kind of server."""

    @pytest.fixture
    async def harness(self, cluster_url: str, stream_prefix: str) -> AsyncIterator[RedisHarness]:
        """Streams of this test on a cluster of one node."""
        async with Redis.from_url(cluster_url.replace("redis+cluster", "redis")) as redis:
            harness = RedisHarness(cluster_url, Streams(redis, stream_prefix))
            yield harness
            await harness.close()


class TestRedisDeadLetters(DeadLetterContract):
    """The contract of dead letters, on each kind of server."""
