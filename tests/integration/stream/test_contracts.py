"""The streams on a real server, and on a cluster of each kind of server, keep the contracts of the ports."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from support.consuming import Streams
from support.redis_streams import RedisHarness

from domainstream.testing.dead_letter_contract import DeadLetterContract
from domainstream.testing.stream_contract import StreamContract
from domainstream.testing.stream_lease_contract import StreamLeaseContract


class TestRedisStream(StreamContract):
    """The contract of readers."""


class TestRedisLeases(StreamLeaseContract):
    """The contract of leases."""


class TestRedisDeadLetters(DeadLetterContract):
    """The contract of dead letters."""


class OnACluster:
    """Streams on a cluster of one node."""

    @pytest.fixture
    async def harness(self, cluster_url: str, stream_prefix: str) -> AsyncIterator[RedisHarness]:
        """Streams of this test."""
        async with Redis.from_url(cluster_url.replace("redis+cluster", "redis")) as redis:
            harness = RedisHarness(cluster_url, Streams(redis, stream_prefix))
            yield harness
            await harness.close()


class TestStreamOnACluster(OnACluster, StreamContract):
    """The contract of readers."""


class TestLeasesOnACluster(OnACluster, StreamLeaseContract):
    """The contract of leases."""


class TestDeadLettersOnACluster(OnACluster, DeadLetterContract):
    """The contract of dead letters."""
