"""The janitor makes retention true for streams that nobody writes to, and takes nothing that is still needed."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis
from support.redis_streams import RedisHarness

from domainstream import RedisStreamPublisherClient
from domainstream.errors import ConfigurationError, ServerRefusedError, ServerUnavailableError
from domainstream.publisher import Retention
from domainstream.redis.connection import connect
from domainstream.stream import MaintenanceTask, RedisStreamTrimmer
from domainstream.stream.maintenance import trimmer as redis_stream_janitor
from domainstream.testing.publisher_contract import outgoing
from domainstream.testing.stream_contract import FIRST, SECOND, Owner, read_all, texts

AN_HOUR = Retention(max_age=timedelta(hours=1), max_unread_age=timedelta(hours=24), max_length=None)
MINUTE = 60


@pytest.fixture
async def trimmer(harness: RedisHarness) -> AsyncIterator[RedisStreamTrimmer]:
    """A janitor of both channels that keeps settled entries for an hour."""
    trimmer = janitor_of(harness)
    yield trimmer
    await trimmer.close()


def janitor_of(harness: RedisHarness, retention: Retention = AN_HOUR) -> RedisStreamTrimmer:
    """Open a trimmer of both channels; the harness closes it."""
    prefix = harness.streams.prefix
    trimmer = RedisStreamTrimmer.from_url(harness.url, [FIRST, SECOND], retention=retention, prefix=prefix)
    harness.opened.append(trimmer)
    return trimmer


async def add_old(harness: RedisHarness, minutes: float, count: int = 1) -> list[bytes]:
    """Add entries that are so many minutes old."""
    milliseconds = int((time.time() - minutes * MINUTE) * 1000)
    ids = [f"{milliseconds}-{number}" for number in range(1, count + 1)]
    found: list[Any] = [await harness.redis.xadd(harness.key(FIRST), {"data": b"old"}, id=entry_id) for entry_id in ids]
    return found


async def test_quiet_stream_becomes_empty(harness: RedisHarness, trimmer: RedisStreamTrimmer) -> None:
    """Every entry that is settled and older than max_age goes, the very last included."""
    await add_old(harness, 61, 150)
    await read_all(harness)
    await trimmer.run_once()
    assert await harness.length(FIRST) == 0


async def test_trimming_is_exact(harness: RedisHarness, trimmer: RedisStreamTrimmer) -> None:
    """An entry that is a bit younger than max_age stays, although it shares its node with older ones."""
    await add_old(harness, 61, 10)
    young = await add_old(harness, 59, 10)
    await read_all(harness)
    await trimmer.run_once()
    left: Any = await harness.redis.xrange(harness.key(FIRST))
    assert [entry_id for entry_id, _ in left] == young


async def test_stream_without_groups_keeps_what_no_group_has_read(
    harness: RedisHarness, trimmer: RedisStreamTrimmer
) -> None:
    """Without a group nothing was read: entries outlive `max_age`, up to `max_unread_age`."""
    await add_old(harness, 25 * 60, 3)
    await add_old(harness, 61, 10)
    await trimmer.run_once()
    assert await harness.length(FIRST) == 10


async def test_unread_entries_are_kept(harness: RedisHarness, trimmer: RedisStreamTrimmer) -> None:
    """What the slowest group has not read stays, and so does what came after it."""
    await add_old(harness, 70, 5)
    await read_all(harness)
    await harness.redis.xgroup_create(harness.key(FIRST), "slow", id="0")
    await harness.redis.xreadgroup("slow", "one", {harness.key(FIRST): ">"}, count=2, noack=True)
    await trimmer.run_once()
    assert await harness.length(FIRST) == 3


async def test_pending_entries_are_kept(harness: RedisHarness, trimmer: RedisStreamTrimmer) -> None:
    """What was read but not acknowledged stays."""
    await add_old(harness, 70, 5)
    owner = await Owner.of(harness.reader())
    deliveries = (await owner.turn()).deliveries
    await owner.turn("renew", deliveries[:3])
    await trimmer.run_once()
    assert await harness.length(FIRST) == 2


async def test_beyond_max_unread_age_entries_go(harness: RedisHarness, trimmer: RedisStreamTrimmer) -> None:
    """A subscriber that stops for too long does not fill the server; its losses are reported when it is back."""
    owner = await Owner.of(harness.reader())
    await owner.turn()
    await add_old(harness, 25 * 60, 5)
    await add_old(harness, 23 * 60, 2)
    await trimmer.run_once()
    assert await harness.length(FIRST) == 2
    turn = await owner.turn()
    assert (len(turn.deliveries), turn.loss and turn.loss.count) == (2, 5)


async def test_max_length_is_hard(harness: RedisHarness) -> None:
    """However young and unread, the oldest go when there are too many."""
    await harness.add_many(FIRST, 1_234)
    await Owner.of(harness.reader())
    await janitor_of(harness, Retention(max_length=1_000)).run_once()
    assert await harness.length(FIRST) == 1_000


async def test_limits_that_are_off_trim_nothing(harness: RedisHarness) -> None:
    """Without max_age and max_length everything stays."""
    await add_old(harness, 10_000, 10)
    await janitor_of(harness, Retention(max_age=None, max_length=None)).run_once()
    assert await harness.length(FIRST) == 10


async def test_large_trims_go_in_steps(harness: RedisHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """No step takes more than its share, so that the server answers others in between."""
    monkeypatch.setattr(redis_stream_janitor, "ENTRIES_PER_STEP", 1_000)
    await harness.add_many(FIRST, 5_000)
    trimmer = janitor_of(harness, Retention(max_length=10))
    steps: list[int] = []
    step = trimmer._step

    async def watched(key: str, token: str) -> int:
        steps.append(await step(key, token))
        return steps[-1]

    monkeypatch.setattr(trimmer, "_step", watched)
    await trimmer.run_once()
    assert await harness.length(FIRST) == 10
    assert (len(steps), max(steps)) >= (6, 1_000)
    assert max(steps) <= 1_000


async def test_others_use_the_connection_between_two_steps(
    harness: RedisHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long trim does not keep others from a connection that it shares with them."""
    monkeypatch.setattr(redis_stream_janitor, "ENTRIES_PER_STEP", 1_000)
    await harness.add_many(FIRST, 30_000)
    client = connect(harness.url)
    limit = Retention(max_length=10)
    shared = RedisStreamTrimmer(client, [FIRST], retention=limit, prefix=harness.streams.prefix)
    trimming = asyncio.create_task(shared.run_once())
    answers = 0
    while not trimming.done():
        await asyncio.sleep(0)
        await client.ping()
        answers += 1
    await trimming
    await client.aclose()
    assert answers >= 15


async def test_two_janitors_do_not_work_on_one_stream(harness: RedisHarness, redis: Redis) -> None:
    """While another is at it, a janitor passes over; it takes nobody else's lock, and leaves none of its own."""
    await add_old(harness, 61, 10)
    await read_all(harness)
    lock = f"{{{harness.key(FIRST)}}}:janitor"
    await redis.set(lock, "another")
    trimmer = janitor_of(harness)
    await trimmer.run_once()
    assert await harness.length(FIRST) == 10
    assert await redis.get(lock) == b"another"
    await redis.delete(lock)
    await trimmer.run_once()
    assert await harness.length(FIRST) == 0
    assert await redis.get(lock) is None


async def test_full_server_is_trimmed(harness: RedisHarness, trimmer: RedisStreamTrimmer, redis: Redis) -> None:
    """Trimming needs no memory: it is what makes room, since publishers are refused before they could trim."""
    await add_old(harness, 61, 10)
    await read_all(harness)
    await redis.config_set("maxmemory", 1)
    try:
        await trimmer.run_once()
        assert await harness.length(FIRST) == 0
    finally:
        await redis.config_set("maxmemory", 0)


async def test_lock_that_cannot_be_taken_is_an_error(
    harness: RedisHarness, trimmer: RedisStreamTrimmer, redis: Redis, stream_prefix: str
) -> None:
    """Control: other errors than a full memory are reported, and nothing is trimmed without the lock."""
    await add_old(harness, 61, 10)
    await read_all(harness)
    user = stream_prefix.strip(":")
    await redis.acl_setuser(user, enabled=True, reset=True, passwords=["+pass"], keys=["*"], commands=["+@all", "-set"])
    async with Redis.from_url(harness.url.replace("redis://", f"redis://{user}:pass@")) as restricted:
        unlocked = RedisStreamTrimmer(restricted, [FIRST], retention=AN_HOUR, prefix=harness.streams.prefix)
        with pytest.raises(ServerRefusedError, match=r"run this command|'set'"):
            await unlocked.run_once()
    await redis.acl_deluser(user)
    assert await harness.length(FIRST) == 10


async def test_lock_of_a_dead_janitor_expires(
    harness: RedisHarness, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A janitor that dies between two steps holds the others up for some seconds only."""
    monkeypatch.setattr(redis_stream_janitor, "ENTRIES_PER_STEP", 100)
    await harness.add_many(FIRST, 1_000)
    dead = janitor_of(harness, Retention(max_length=10))
    assert await dead._step(harness.key(FIRST), "dead") > 0
    left = await redis.pttl(f"{{{harness.key(FIRST)}}}:janitor")
    assert 0 < left <= redis_stream_janitor.LOCK_TIME.total_seconds() * 1000


async def test_channel_nobody_has_published_to_stays_away(harness: RedisHarness, trimmer: RedisStreamTrimmer) -> None:
    """A janitor makes no keys."""
    await trimmer.run_once()
    assert await harness.redis.keys(f"*{harness.streams.prefix}*") == []


async def test_without_a_janitor_a_quiet_stream_keeps_everything(harness: RedisHarness) -> None:
    """Control: publishers trim with their batches only, and whole nodes."""
    await add_old(harness, 61, 50)
    await read_all(harness)
    retention = Retention(max_age=timedelta(hours=1))
    async with RedisStreamPublisherClient.from_url(
        harness.url, prefix=harness.streams.prefix, retention=retention
    ) as client:
        await client.publish([outgoing(FIRST)])
    assert await harness.length(FIRST) == 51


async def test_janitor_is_an_upkeep() -> None:
    """The trimmer says how often it wants to run, and raises our error for an unreachable server."""
    trimmer: MaintenanceTask = RedisStreamTrimmer.from_url("redis://127.0.0.1:1", [FIRST], retention=AN_HOUR)
    assert trimmer.every == timedelta(minutes=1)
    with pytest.raises(ServerUnavailableError):
        await trimmer.run_once()
    await trimmer.close()
    with pytest.raises(ConfigurationError, match="every is 0:00:00"):
        RedisStreamTrimmer.from_url("redis://localhost", [FIRST], retention=AN_HOUR, every=timedelta())


async def test_groups_of_settled_streams_lose_nothing(harness: RedisHarness, trimmer: RedisStreamTrimmer) -> None:
    """After a quiet stream was emptied, new entries are delivered and no loss is reported."""
    owner = await Owner.of(harness.reader())
    await add_old(harness, 61, 5)
    await owner.turn("renew", (await owner.turn()).deliveries)
    await trimmer.run_once()
    await harness.add(FIRST, b"new")
    turn = await owner.turn()
    assert texts(turn.deliveries) == [b"new"]
    assert turn.loss is None
