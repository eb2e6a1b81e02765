"""The streams of a test, and the command line with its server and prefix."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result
from redis.asyncio import Redis
from support.consuming import EVALUATED, BullJobs, Streams
from support.working import Valuation

from domainstream.cli.main import cli

COMMAND = [sys.executable, "-m", "domainstream"]

Type = Callable[..., Awaitable[Result]]


@pytest.fixture
def streams(redis: Redis, stream_prefix: str) -> Streams:
    """The streams of this test."""
    return Streams(redis, stream_prefix)


@pytest.fixture
def typed(redis_url: str, stream_prefix: str) -> Type:
    """A function that runs `domainstream` with these words and the server in the environment."""
    environment = {"REDIS_URL": redis_url, "DOMAINSTREAM_PREFIX": stream_prefix}

    async def type_words(*words: str, **more: str | None) -> Result:
        # Commands have an event loop of their own, so they run in a thread.
        return await asyncio.to_thread(CliRunner().invoke, cli, words, env={**environment, **more})

    return type_words


async def store(streams: Streams, *contents: bytes | None) -> list[str]:
    """Store dead letters of the evaluated channel as subscribers do, and return their ids; None has no data."""
    ids = []
    for number, content in enumerate(contents):
        fields = {"error": "HostileJsonError", "reason": "not JSON", "channel": str(EVALUATED)}
        fields |= {"group": "domain-events", "entry_id": f"1700000000000-{number}"}
        dead_letter: dict[Any, Any] = {**fields, **({} if content is None else {"data": content})}
        dead_letter_id: Any = await streams.redis.xadd(f"{streams.key(EVALUATED)}:dead", dead_letter)
        ids.append(dead_letter_id.decode())
    return ids


@pytest.fixture
def bull(stream_prefix: str) -> str:
    """What begins every key of BullMQ in this test."""
    return f"{stream_prefix}bull"


@pytest.fixture
def valuation(redis_url: str, redis: Redis, bull: str) -> Valuation:
    """The queue `valuation` of this test."""
    return Valuation(redis_url, bull, BullJobs(redis, bull, "valuation"))


def records(result: Result, exit_code: int = 0) -> list[dict[str, Any]]:
    """Return the objects that a command wrote."""
    assert result.exit_code == exit_code, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]
