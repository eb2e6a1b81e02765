"""Each test of the consuming half has its own keys on the server."""

import pytest
from redis.asyncio import Redis
from support.consuming import BullJobs, Streams


@pytest.fixture
def streams(redis: Redis, stream_prefix: str) -> Streams:
    """The streams of this test."""
    return Streams(redis, stream_prefix)


@pytest.fixture
def bull_prefix(stream_prefix: str) -> str:
    """What begins every key of BullMQ in this test."""
    return f"{stream_prefix}bull"


@pytest.fixture
def valuation(redis: Redis, bull_prefix: str) -> BullJobs:
    """The jobs of the queue `valuation`."""
    return BullJobs(redis, bull_prefix, "valuation")
