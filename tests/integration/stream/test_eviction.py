"""A server that evicts keys is refused with the command that mends it."""

import logging
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from domainstream.errors import ConfigurationError, ServerUnavailableError
from domainstream.stream import check_eviction, check_eviction_at

USER = "nosy"


@pytest.fixture
async def evicting(redis: Redis) -> AsyncIterator[None]:
    """A server that evicts, for the time of a test."""
    await redis.config_set("maxmemory-policy", "allkeys-lru")
    yield
    await redis.config_set("maxmemory-policy", "noeviction")


@pytest.fixture
async def forbidden_url(redis: Redis, redis_url: str) -> AsyncIterator[str]:
    """The URL of a user who may not call INFO."""
    await redis.acl_setuser(USER, enabled=True, passwords=["+pass"], keys=["*"], commands=["+@all", "-info"])
    yield redis_url.replace("redis://", f"redis://{USER}:pass@")
    await redis.acl_deluser(USER)


async def test_server_that_keeps_everything_is_fine(redis: Redis, redis_url: str) -> None:
    """`noeviction` is what streams and queues need."""
    await check_eviction(redis)
    await check_eviction_at(redis_url)


@pytest.mark.usefixtures("evicting")
async def test_server_that_evicts_is_refused(redis: Redis, redis_url: str) -> None:
    """The error names the policy and what to type."""
    with pytest.raises(ConfigurationError, match="maxmemory-policy is allkeys-lru") as raised:
        await check_eviction(redis)
    assert "redis-cli CONFIG SET maxmemory-policy noeviction" in str(raised.value)
    with pytest.raises(ConfigurationError):
        await check_eviction_at(redis_url)


async def test_who_may_not_ask_is_warned(forbidden_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """A least-privilege user is no reason not to start; the log says what to make sure of."""
    with caplog.at_level(logging.WARNING):
        await check_eviction_at(forbidden_url)
    assert "stream.eviction_unknown" in caplog.text
    assert "noeviction" in caplog.text


async def test_server_that_is_not_there_is_unavailable() -> None:
    """Nobody listening is no statement about eviction."""
    with pytest.raises(ServerUnavailableError):
        await check_eviction_at("redis://127.0.0.1:1")
