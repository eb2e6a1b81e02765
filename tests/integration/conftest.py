"""What tests of more than one stage share."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from support.hand_over import HandOver


@pytest.fixture
async def hand_over(redis_url: str, redis: Redis, stream_prefix: str) -> AsyncIterator[HandOver]:
    """A stream, and queues on the same server."""
    scene = HandOver(redis, redis_url, stream_prefix)
    async with scene.owned:
        yield scene
