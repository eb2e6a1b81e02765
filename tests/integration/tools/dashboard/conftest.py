"""A small hospital on the server of a test."""

import pytest
from redis.asyncio import Redis
from support.dashboards import Hospital


@pytest.fixture
def hospital(redis: Redis, redis_url: str, stream_prefix: str) -> Hospital:
    """A hospital without any events."""
    return Hospital(redis, redis_url, stream_prefix)


@pytest.fixture
async def day(hospital: Hospital) -> Hospital:
    """A hospital after a day: some jobs have failed, some wait behind them, some events are unread."""
    await hospital.open()
    return hospital
