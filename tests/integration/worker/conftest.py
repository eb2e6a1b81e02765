"""A queue of its own on the server for each test of the worker."""

import pytest
from redis.asyncio import Redis
from support.consuming import BullJobs
from support.working import Valuation


@pytest.fixture
def queue(redis_url: str, redis: Redis, stream_prefix: str) -> Valuation:
    """The queue `valuation` of this test."""
    prefix = f"{stream_prefix}bull"
    return Valuation(redis_url, prefix, BullJobs(redis, prefix, "valuation"))
