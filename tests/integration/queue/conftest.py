"""Each test of the consuming half has its own keys on the server."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from support.consuming import BullJobs, Streams
from support.hand_over import HandOver
from support.stepped_queue import SteppedQueue


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


@pytest.fixture
async def queue(request: pytest.FixtureRequest, hand_over: HandOver) -> AsyncIterator[SteppedQueue]:
    """A queue where a job that has failed for good holds its key, or another rule is given."""
    async with SteppedQueue(hand_over, getattr(request, "param", "hold")) as queue:
        yield queue


@pytest.fixture
async def skipping(hand_over: HandOver) -> AsyncIterator[SteppedQueue]:
    """A queue where jobs pass one that has failed for good."""
    async with SteppedQueue(hand_over, "skip") as queue:
        yield queue
