"""A read that the server interrupts is no proof that a group is gone: failovers and slots that move do it too."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis
from support.consuming import until
from support.redis_streams import RedisHarness

from domainstream.stream import ReaderSettings
from domainstream.stream.reader import reader as redis_stream_reader
from domainstream.testing.stream_contract import FIRST, read_all, texts

SETTINGS = ReaderSettings(block=timedelta(seconds=20))


async def unblock(redis: Redis) -> None:
    """Interrupt a read that blocks, as a server does that becomes a replica."""
    waiting = await until(lambda: _blocked(redis))
    await redis.client_unblock(int(waiting), error=True)


async def _blocked(redis: Redis) -> Any:
    clients: Any = await redis.client_list()
    return next((one["id"] for one in clients if one["cmd"] == "xreadgroup" and "b" in one["flags"]), None)


async def created(redis: Redis) -> int:
    """Return how often anybody tried to create a group on this server."""
    statistics: Any = await redis.info("commandstats")
    return int(statistics.get("cmdstat_xgroup|create", {"calls": 0})["calls"])


async def test_interrupted_read_makes_no_group(harness: RedisHarness) -> None:
    """The reader reads again, as if nothing had come."""
    reader = harness.reader(settings=SETTINGS)
    reading = asyncio.create_task(read_all(reader, 1))
    await until(lambda: _blocked(harness.redis))
    before = await created(harness.redis)

    await unblock(harness.redis)
    await until(lambda: _blocked(harness.redis))
    await harness.add(FIRST, b"data")

    assert texts(await reading) == [b"data"]
    assert await created(harness.redis) == before


async def test_control_who_takes_it_for_a_vanished_group_makes_one(
    harness: RedisHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: then the group would begin at 0 wherever the stream is but the group is not, as at a stale primary."""
    monkeypatch.setattr(redis_stream_reader, "group_is_gone", lambda _: True)
    monkeypatch.setattr(redis_stream_reader, "code_of", lambda _: "")
    reader = harness.reader(settings=SETTINGS)
    await harness.add(FIRST, b"data")
    await reader.acknowledge(await read_all(reader, 1))
    reading = asyncio.create_task(read_all(reader, 1))
    await until(lambda: _blocked(harness.redis))
    before = await created(harness.redis)

    await unblock(harness.redis)
    await until(lambda: _blocked(harness.redis))

    assert await created(harness.redis) > before
    await harness.add(FIRST, b"more")
    await reading


async def test_group_that_is_gone_is_made_again(harness: RedisHarness) -> None:
    """After the interruption the reader asks once more, and NOGROUP makes it create the group."""
    reader = harness.reader(settings=SETTINGS)
    reading = asyncio.create_task(read_all(reader, 1))
    await until(lambda: _blocked(harness.redis))

    await harness.redis.delete(harness.key(FIRST))
    await harness.add(FIRST, b"data")

    assert texts(await reading) == [b"data"]
