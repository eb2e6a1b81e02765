"""Each test of the stream stage has its own keys on the server."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from support.consuming import Streams
from support.redis_streams import RedisHarness


@pytest.fixture
async def harness(redis_url: str, redis: Redis, stream_prefix: str) -> AsyncIterator[RedisHarness]:
    """Streams of this test on a real server."""
    harness = RedisHarness(redis_url, Streams(redis, stream_prefix))
    yield harness
    await harness.close()
