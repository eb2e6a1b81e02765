"""Each test of the stream stage has its own keys on the server."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis
from support.consuming import Streams, until
from support.redis_streams import RedisHarness


@pytest.fixture
async def harness(redis_url: str, redis: Redis, stream_prefix: str) -> AsyncIterator[RedisHarness]:
    """Streams of this test on a real server."""
    harness = RedisHarness(redis_url, Streams(redis, stream_prefix))
    yield harness
    await harness.close()


@pytest.fixture
async def blocked(redis: Redis) -> Callable[[], Awaitable[str]]:
    """A function that waits until a reader of this test blocks on the server, and returns its client id."""

    async def ids() -> set[str]:
        clients: Any = await redis.client_list()
        return {client["id"] for client in clients if client["cmd"] == "xreadgroup" and "b" in client["flags"]}

    before = await ids()

    async def wait() -> str:
        async def new() -> set[str]:
            return await ids() - before

        found: set[str] = await until(new)
        return found.pop()

    return wait
