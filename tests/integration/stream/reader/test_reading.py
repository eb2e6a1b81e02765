"""The reader on a real server: what servers and networks do to it, and what it costs them."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import monotonic
from typing import Any

import pytest
from redis.asyncio import Redis
from support.consuming import GROUP
from support.redis_streams import RedisHarness

from domainstream.errors import ConfigurationError, ServerRefusedError, ServerUnavailableError
from domainstream.stream import ReaderSettings, RedisStreamReader
from domainstream.testing.stream_contract import FIRST, SECOND, read_all, read_some, texts

Blocked = Callable[[], Awaitable[str]]
HEALED_WITHIN = 2.0


async def test_lost_reply_is_looked_for_before_anything_new(
    harness: RedisHarness, redis: Redis, blocked: Blocked
) -> None:
    """Entries that the server delivered into a broken connection come before new ones."""
    reader = harness.reader(settings=ReaderSettings())
    reading = asyncio.create_task(reader.read())
    await redis.client_kill_filter(_id=await blocked())
    with pytest.raises(ServerUnavailableError):
        await reading
    await harness.add(FIRST, b"lost")
    # What the server had sent in the consumer's name when the connection broke.
    await redis.xreadgroup(GROUP, "one", {harness.key(FIRST): ">"})
    await harness.add(FIRST, b"new")
    assert texts(await read_all(reader, 2)) == [b"lost", b"new"]


async def test_cancelled_read_loses_nothing(harness: RedisHarness, redis: Redis, blocked: Blocked) -> None:
    """What the server delivered to a read that was cancelled comes with the next one, before news."""
    reader = harness.reader(settings=ReaderSettings(block=timedelta(seconds=5)))
    reading = asyncio.create_task(reader.read())
    await blocked()
    reading.cancel()
    await asyncio.wait([reading])
    await harness.add(FIRST, b"lost")
    # Unless the server has not noticed yet, and has done this by itself.
    await redis.xreadgroup(GROUP, "one", {harness.key(FIRST): ">"})
    await harness.add(FIRST, b"new")
    before = monotonic()
    assert texts(await read_all(reader, 2)) == [b"lost", b"new"]
    assert monotonic() - before < HEALED_WITHIN


async def test_acknowledging_does_not_wait_for_a_blocked_read(harness: RedisHarness, blocked: Blocked) -> None:
    """A batch can be settled while the next read waits on the server."""
    reader = harness.reader(settings=ReaderSettings(block=timedelta(seconds=5)))
    await harness.add(FIRST, b"data")
    deliveries = await read_some(reader)
    reading = asyncio.create_task(reader.read())
    await blocked()
    await reader.acknowledge(deliveries)
    assert reading.done() is False
    assert await harness.streams.pending(FIRST) == 0
    await reader.close()
    await reading


async def delete(harness: RedisHarness) -> None:
    """Delete one of the streams."""
    await harness.redis.delete(harness.key(FIRST))


async def destroy(harness: RedisHarness) -> None:
    """Destroy the group on one of the streams."""
    await harness.destroy_group(FIRST)


async def flush(harness: RedisHarness) -> None:
    """Delete everything."""
    await harness.redis.flushall()


@pytest.mark.parametrize(("accident", "groups"), [(delete, 1), (destroy, 1), (flush, 2)])
@pytest.mark.parametrize("while_blocked", [True, False])
async def test_what_vanishes_heals_within_two_seconds(
    harness: RedisHarness,
    blocked: Blocked,
    accident: Callable[[RedisHarness], Awaitable[None]],
    groups: int,
    while_blocked: bool,
) -> None:
    """Entries flow again soon after; only the missing groups are made again, and each is counted."""
    reader = harness.reader(settings=ReaderSettings())
    if while_blocked:
        reading = asyncio.create_task(reader.read())
        await blocked()
        await accident(harness)
        assert list(await reading) == []
    else:
        await harness.add(SECOND, b"other")
        await read_all(reader, 1)
        await accident(harness)
    before = monotonic()
    await harness.add(FIRST, b"new")
    assert texts(await read_all(reader, 1)) == [b"new"]
    assert monotonic() - before < HEALED_WITHIN
    assert reader.stats.recreated == groups


@pytest.mark.parametrize("accident", [delete, destroy, flush])
@pytest.mark.parametrize("disturbed", [True, False])
async def test_what_vanishes_heals_while_looking_back(
    harness: RedisHarness, redis: Redis, accident: Callable[[RedisHarness], Awaitable[None]], disturbed: bool
) -> None:
    """After a failed read, or when it is time to look for what was left alone, a group may be missing too."""
    reader = harness.reader()
    await reader.read()
    reader._must_recover, reader._next_sweep = disturbed, 0.0
    await accident(harness)
    await harness.add(FIRST, b"new")
    assert texts(await read_all(reader, 1)) == [b"new"]
    assert reader.stats.recreated >= 1


async def test_options_in_the_url_do_not_change_what_is_read(harness: RedisHarness) -> None:
    """Options that others like in a URL neither change the replies nor cut a blocked read short."""
    harness.url += "?protocol=3&decode_responses=true&socket_timeout=0.1"
    reader = harness.reader()
    assert list(await reader.read()) == []
    await harness.add(FIRST, b"new")
    assert texts(await read_all(reader, 1)) == [b"new"]


async def test_key_of_another_type_is_named(harness: RedisHarness, redis: Redis) -> None:
    """A key that is not a stream is rejected with the channel's name and what to do."""
    await redis.set(harness.key(FIRST), "text")
    with pytest.raises(ServerRefusedError, match=f"key of channel {FIRST} is not a stream; choose another prefix"):
        await harness.reader().read()


async def test_server_that_is_not_there_is_unavailable() -> None:
    """Nobody listening is an error of ours, and the reader can still be closed."""
    reader = RedisStreamReader.from_url("redis://127.0.0.1:1", [FIRST], group=GROUP)
    with pytest.raises(ServerUnavailableError, match="does not answer"):
        await reader.read()
    await reader.close()


async def test_closed_reader_reads_no_more(harness: RedisHarness) -> None:
    """A read after `close` says so, and opens no connection."""
    reader = harness.reader()
    await reader.close()
    with pytest.raises(ServerUnavailableError, match="the reader is closed"):
        await reader.read()


def test_reader_without_a_group_or_channels_is_refused() -> None:
    """An empty group and missing channels are named at once, with what to do."""
    with pytest.raises(ConfigurationError) as raised:
        RedisStreamReader.from_url("redis://localhost", [], group=" ")
    assert ["group='domain-events'" in problem for problem in raised.value.problems] == [True, False]


async def test_500_channels_take_two_connections(harness: RedisHarness, redis: Redis) -> None:
    """One connection reads all channels and another acknowledges; entries of every channel come."""
    name = harness.streams.prefix.rstrip(":")
    harness.url += f"?client_name={name}"
    channels = [f"channel_{number}" for number in range(500)]
    reader = harness.reader(channels=channels)
    await reader.read()
    for channel in channels:
        await harness.add(channel, channel.encode())
    found = await read_all(reader, 500)
    clients: Any = await redis.client_list()
    assert {(delivery.channel, delivery.data) for delivery in found} == {(one, one.encode()) for one in channels}
    assert len([client for client in clients if client["name"] == name]) <= 2


async def test_backlog_is_read_in_few_reads(harness: RedisHarness) -> None:
    """Nobody waits for 16 entries at a time: after some reads each one is as large as it may be."""
    await harness.add_many(FIRST, 50_000)
    reader = harness.reader()
    sizes: list[int] = []
    while sum(sizes) < 50_000:
        deliveries = await read_some(reader)
        await reader.acknowledge(deliveries)
        sizes.append(len(deliveries))
    assert (max(sizes), len(sizes)) <= (1_000, 60)


async def test_replies_are_bounded(harness: RedisHarness) -> None:
    """Neither entries nor bytes of a reply go far beyond the settings, and small entries come in few reads."""
    settings = ReaderSettings(block=timedelta(seconds=0.2), max_entries=200, max_bytes=20_000)
    await harness.add_many(FIRST, 5_000, b"small")
    await harness.add_many(FIRST, 500, b"x" * 1_000)
    reader = harness.reader(settings=settings)
    sizes: list[tuple[int, int]] = []
    while sum(entries for entries, _ in sizes) < 5_500:
        deliveries = await read_some(reader)
        await reader.acknowledge(deliveries)
        sizes.append((len(deliveries), sum(len(one.data or b"") for one in deliveries)))
    assert max(entries for entries, _ in sizes) <= 200
    # Where entries suddenly grow, that is learned from a reply that is too large, and from a mixed one before it.
    assert len([size for _, size in sizes if size > 20_000]) <= 2
    assert len([entries for entries, _ in sizes if entries == 200]) >= 20
