"""The janitor makes retention true for streams that nobody writes to, and takes nothing that is still needed."""

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis
from support.consuming import GROUP
from support.redis_streams import RedisHarness

from domainstream import RedisStreamPublisherClient
from domainstream.errors import ConfigurationError, ServerUnavailableError
from domainstream.publisher import Retention
from domainstream.stream import MaintenanceTask, RedisStreamTrimmer
from domainstream.stream.maintenance import trimmer as redis_stream_janitor
from domainstream.testing.publisher_contract import outgoing
from domainstream.testing.stream_contract import FIRST, SECOND, read_all, read_some

AN_HOUR = Retention(max_age=timedelta(hours=1), max_unread_age=timedelta(hours=24), max_length=None)
MINUTE = 60


@pytest.fixture
async def trimmer(place: RedisHarness) -> AsyncIterator[RedisStreamTrimmer]:
    """A janitor of both channels that keeps settled entries for an hour."""
    trimmer = janitor_of(place)
    yield trimmer
    await trimmer.close()


def janitor_of(place: RedisHarness, retention: Retention = AN_HOUR) -> RedisStreamTrimmer:
    """Open a janitor of both channels; the place closes it."""
    prefix = place.streams.prefix
    trimmer = RedisStreamTrimmer.from_url(place.url, [FIRST, SECOND], retention=retention, prefix=prefix)
    place.opened.append(trimmer)
    return trimmer


async def add_old(place: RedisHarness, minutes: float, count: int = 1) -> list[bytes]:
    """Add entries that are so many minutes old."""
    milliseconds = int((time.time() - minutes * MINUTE) * 1000)
    ids = [f"{milliseconds}-{number}" for number in range(1, count + 1)]
    found: list[Any] = [await place.redis.xadd(place.key(FIRST), {"data": b"old"}, id=entry_id) for entry_id in ids]
    return found


async def test_quiet_stream_becomes_empty(place: RedisHarness, trimmer: RedisStreamTrimmer) -> None:
    """Every entry that is settled and older than max_age goes, the very last included."""
    await add_old(place, 61, 150)
    await read_all(place.reader(), 150)
    await trimmer.run_once()
    assert await place.length(FIRST) == 0


async def test_trimming_is_exact(place: RedisHarness, trimmer: RedisStreamTrimmer) -> None:
    """An entry that is a bit younger than max_age stays, although it shares its node with older ones."""
    await add_old(place, 61, 10)
    young = await add_old(place, 59, 10)
    await read_all(place.reader(), 20)
    await trimmer.run_once()
    left: Any = await place.redis.xrange(place.key(FIRST))
    assert [entry_id for entry_id, _ in left] == young


async def test_stream_without_groups_is_trimmed(place: RedisHarness, trimmer: RedisStreamTrimmer) -> None:
    """Where nobody subscribes, nobody needs what is old."""
    await add_old(place, 61, 10)
    await trimmer.run_once()
    assert await place.length(FIRST) == 0


async def test_unread_entries_are_kept(place: RedisHarness, trimmer: RedisStreamTrimmer) -> None:
    """What the slowest group has not read stays, and so does what came after it."""
    await add_old(place, 70, 5)
    await read_all(place.reader(), 5)
    await place.redis.xgroup_create(place.key(FIRST), "slow", id="0")
    await place.redis.xreadgroup("slow", "one", {place.key(FIRST): ">"}, count=2, noack=True)
    await trimmer.run_once()
    assert await place.length(FIRST) == 3


async def test_pending_entries_are_kept(place: RedisHarness, trimmer: RedisStreamTrimmer) -> None:
    """What was read but not acknowledged stays."""
    await add_old(place, 70, 5)
    reader = place.reader()
    deliveries = await read_some(reader)
    await reader.acknowledge(deliveries[:3])
    await trimmer.run_once()
    assert await place.length(FIRST) == 2


async def test_beyond_max_unread_age_entries_go(place: RedisHarness, trimmer: RedisStreamTrimmer) -> None:
    """A subscriber that stands still for too long does not fill the server; what it loses is told when it is back."""
    reader = place.reader()
    await reader.read()
    await add_old(place, 25 * 60, 5)
    await add_old(place, 23 * 60, 2)
    await trimmer.run_once()
    assert await place.length(FIRST) == 2
    await read_all(reader, 2)
    assert reader.stats.lost == 5


async def test_max_length_is_hard(place: RedisHarness) -> None:
    """However young and unread, the oldest go when there are too many."""
    await place.add_many(FIRST, 1_234)
    await place.reader().read()
    await janitor_of(place, Retention(max_length=1_000)).run_once()
    assert await place.length(FIRST) == 1_000


async def test_limits_that_are_off_trim_nothing(place: RedisHarness) -> None:
    """Without max_age and max_length everything stays."""
    await add_old(place, 10_000, 10)
    await janitor_of(place, Retention(max_age=None, max_length=None)).run_once()
    assert await place.length(FIRST) == 10


async def test_large_trims_go_in_steps(place: RedisHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """No step takes more than its share, so that the server answers others in between."""
    monkeypatch.setattr(redis_stream_janitor, "ENTRIES_PER_STEP", 1_000)
    await place.add_many(FIRST, 5_000)
    trimmer = janitor_of(place, Retention(max_length=10))
    steps: list[int] = []
    step = trimmer._step

    async def watched(key: str, token: str) -> int:
        steps.append(await step(key, token))
        return steps[-1]

    monkeypatch.setattr(trimmer, "_step", watched)
    await trimmer.run_once()
    assert await place.length(FIRST) == 10
    assert (len(steps), max(steps)) >= (6, 1_000)
    assert max(steps) <= 1_000


async def test_two_janitors_do_not_work_on_one_stream(place: RedisHarness, redis: Redis) -> None:
    """While another is at it, a janitor passes over; it takes nobody else's lock, and leaves none of its own."""
    await add_old(place, 61, 10)
    lock = f"{{{place.key(FIRST)}}}:janitor"
    await redis.set(lock, "another")
    trimmer = janitor_of(place)
    await trimmer.run_once()
    assert await place.length(FIRST) == 10
    assert await redis.get(lock) == b"another"
    await redis.delete(lock)
    await trimmer.run_once()
    assert await place.length(FIRST) == 0
    assert await redis.get(lock) is None


async def test_lock_of_a_dead_janitor_expires(
    place: RedisHarness, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A janitor that dies between two steps holds the others up for some seconds only."""
    monkeypatch.setattr(redis_stream_janitor, "ENTRIES_PER_STEP", 100)
    await place.add_many(FIRST, 1_000)
    dead = janitor_of(place, Retention(max_length=10))
    assert await dead._step(place.key(FIRST), "dead") > 0
    left = await redis.pttl(f"{{{place.key(FIRST)}}}:janitor")
    assert 0 < left <= redis_stream_janitor.LOCK_TIME.total_seconds() * 1000


async def test_channel_nobody_has_published_to_stays_away(place: RedisHarness, trimmer: RedisStreamTrimmer) -> None:
    """A janitor makes no keys."""
    await trimmer.run_once()
    assert await place.redis.keys(f"*{place.streams.prefix}*") == []


async def test_without_a_janitor_a_quiet_stream_keeps_everything(place: RedisHarness) -> None:
    """Control: publishers trim with their batches only, and whole nodes."""
    await add_old(place, 61, 50)
    await read_all(place.reader(), 50)
    retention = Retention(max_age=timedelta(hours=1))
    async with RedisStreamPublisherClient.from_url(
        place.url, prefix=place.streams.prefix, retention=retention
    ) as client:
        await client.publish([outgoing(FIRST)])
    assert await place.length(FIRST) == 51


async def test_janitor_is_an_upkeep() -> None:
    """The trimmer says how often it wants to run, and raises our error for an unreachable server."""
    trimmer: MaintenanceTask = RedisStreamTrimmer.from_url("redis://127.0.0.1:1", [FIRST], retention=AN_HOUR)
    assert trimmer.every == timedelta(minutes=1)
    with pytest.raises(ServerUnavailableError):
        await trimmer.run_once()
    await trimmer.close()
    with pytest.raises(ConfigurationError, match="every is 0:00:00"):
        RedisStreamTrimmer.from_url("redis://localhost", [FIRST], retention=AN_HOUR, every=timedelta())


async def test_groups_of_settled_streams_lose_nothing(place: RedisHarness, trimmer: RedisStreamTrimmer) -> None:
    """After a quiet stream was emptied, news are delivered and no loss is told."""
    reader = place.reader()
    await add_old(place, 61, 5)
    await read_all(reader, 5)
    await trimmer.run_once()
    await place.add(FIRST, b"new")
    (delivery,) = await read_all(reader, 1)
    assert delivery.data == b"new"
    assert reader.stats.lost == 0
    assert reader.group == GROUP
