"""Names that consumers left behind go, when nothing can get lost with them."""

from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis
from support.consuming import GROUP
from support.redis_streams import RedisHarness

from domainstream.errors import ConfigurationError, ServerUnavailableError
from domainstream.stream import RedisIdleConsumerReaper
from domainstream.testing.stream_contract import FIRST, SECOND, read_all, read_some, texts

SOON = timedelta(milliseconds=1)


def maintenance(harness: RedisHarness, idle: timedelta = SOON) -> RedisIdleConsumerReaper:
    """Open the reaper of consumer `one`; the harness closes it."""
    prefix = harness.streams.prefix
    found = RedisIdleConsumerReaper.from_url(
        harness.url, [FIRST, SECOND], group=GROUP, consumer="one", prefix=prefix, idle=idle
    )
    harness.opened.append(found)
    return found


async def consumers(harness: RedisHarness) -> set[str]:
    """Return the names that the group has on the first channel."""
    found: Any = await harness.redis.xinfo_consumers(harness.key(FIRST), GROUP)
    return {one["name"].decode() for one in found}


async def leave_behind(harness: RedisHarness, *names: str) -> None:
    """Let consumers read and settle an entry each, and stay away for a moment."""
    for name in names:
        await harness.add(FIRST, b"data")
        await read_all(harness.reader(name), 1)


async def pass_time(redis: Redis) -> None:
    """Let the server's clock go on by some milliseconds."""
    start: Any = await redis.time()
    now = start
    while (now[0] - start[0]) * 1_000_000 + now[1] - start[1] < 5_000:
        now = await redis.time()


async def test_idle_consumers_without_pending_entries_go(harness: RedisHarness, redis: Redis) -> None:
    """Others' names go once they are idle for long enough; one's own stays."""
    await leave_behind(harness, "one", "two", "three")
    await pass_time(redis)
    await maintenance(harness).run_once()
    assert await consumers(harness) == {"one"}


async def test_consumers_with_pending_entries_stay(harness: RedisHarness, redis: Redis) -> None:
    """However long they are idle: their entries would be lost. Once these are taken over, the name goes."""
    await leave_behind(harness, "one")
    await harness.add(FIRST, b"pending")
    await read_some(harness.reader("crashed"))
    await pass_time(redis)
    await maintenance(harness).run_once()
    assert await consumers(harness) == {"one", "crashed"}
    await harness.make_idle(FIRST)
    assert texts(await read_all(harness.reader("one"), 1)) == [b"pending"]
    await pass_time(redis)
    await maintenance(harness).run_once()
    assert await consumers(harness) == {"one"}


async def test_consumers_that_were_there_lately_stay(harness: RedisHarness) -> None:
    """By default an hour must pass."""
    await leave_behind(harness, "one", "two")
    await maintenance(harness, timedelta(hours=1)).run_once()
    assert await consumers(harness) == {"one", "two"}


async def test_removed_consumer_comes_back_by_reading(harness: RedisHarness, redis: Redis) -> None:
    """A reader whose name was removed while it waited gets the next entry all the same."""
    await leave_behind(harness, "one", "two")
    reader = harness.reader("two")
    await reader.read()
    await pass_time(redis)
    await maintenance(harness).run_once()
    await harness.add(FIRST, b"new")
    assert texts(await read_all(reader, 1)) == [b"new"]


async def test_channels_without_the_group_are_passed_over(harness: RedisHarness) -> None:
    """Neither a missing stream nor a missing group is an error, and none is made."""
    await harness.add(FIRST, b"data")
    await maintenance(harness).run_once()
    assert await harness.redis.exists(harness.key(SECOND)) == 0


async def test_removing_a_consumer_with_pending_entries_loses_them(harness: RedisHarness, redis: Redis) -> None:
    """Control: what the server does when somebody removes a name without looking."""
    await harness.add(FIRST, b"pending")
    await read_some(harness.reader("crashed"))
    await redis.xgroup_delconsumer(harness.key(FIRST), GROUP, "crashed")
    assert list(await harness.reader("crashed").read()) == []


async def test_mistakes_are_ours() -> None:
    """Wrong durations are named; a server that is away is unavailable."""
    with pytest.raises(ConfigurationError, match="idle is 0:00:00"):
        RedisIdleConsumerReaper.from_url("redis://localhost", [], group=GROUP, consumer="one", idle=timedelta())
    away = RedisIdleConsumerReaper.from_url("redis://127.0.0.1:1", [FIRST], group=GROUP, consumer="one")
    with pytest.raises(ServerUnavailableError):
        await away.run_once()
    await away.close()
