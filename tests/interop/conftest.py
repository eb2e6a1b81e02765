"""What the tests with Node.js need: Node.js, and a queue that programs of both languages use."""

import pytest
from interop.node_process import missing
from interop.shared_queue import SharedQueue
from redis.asyncio import Redis
from support.consuming import Streams


@pytest.fixture(autouse=True, scope="session")
def node_is_there() -> None:
    """Skip every test of this folder, with the reason, where Node.js programs cannot run."""
    problem = missing()
    if problem:
        pytest.skip(problem)


@pytest.fixture
def streams(redis: Redis, stream_prefix: str) -> Streams:
    """The streams of this test."""
    return Streams(redis, stream_prefix)


@pytest.fixture
def queue(redis_url: str, streams: Streams) -> SharedQueue:
    """The queue `valuation` of this test."""
    return SharedQueue(redis_url, streams)


@pytest.fixture
async def own_database(redis_url: str) -> str:
    """The URL of an empty database, for programs whose keys have no prefix."""
    url = f"{redis_url}/1"
    async with Redis.from_url(url) as redis:
        await redis.flushdb()
    return url
