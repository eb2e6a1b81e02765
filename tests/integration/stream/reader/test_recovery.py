"""What was read but not settled comes again: in pages, counted, and the innocent apart from the poison."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis
from support.consuming import GROUP
from support.redis_streams import SETTINGS, RedisHarness

from domainstream.stream import Delivery, Loss, ReaderSettings, RedisStreamReader
from domainstream.stream.reader import reclaimer as redis_stream_reclaimer
from domainstream.testing.stream_contract import FIRST, SECOND, read_all, read_some, texts


async def take(harness: RedisHarness, consumer: str, channel: str = FIRST, count: int = 1_000_000) -> None:
    """Let a consumer read everything and crash."""
    await harness.redis.xgroup_create(harness.key(channel), GROUP, id="0", mkstream=True)
    await harness.redis.xreadgroup(GROUP, consumer, {harness.key(channel): ">"}, count=count)


async def deliver_again(harness: RedisHarness, consumer: str, times: int, entry_id: str) -> None:
    """Make an entry of this consumer look as if it had been delivered so often."""
    await harness.redis.xclaim(harness.key(FIRST), GROUP, consumer, 0, [entry_id], retrycount=times, justid=True)


@pytest.mark.parametrize("consumer", ["one", "crashed"])
async def test_large_pending_lists_come_in_pages(harness: RedisHarness, consumer: str) -> None:
    """Whoever left them behind, 5,000 entries come in order, none twice, never more than a page at a time."""
    await harness.add_many(FIRST, 5_000)
    await take(harness, consumer)
    await harness.make_idle(FIRST)
    reader = harness.reader("one", settings=ReaderSettings(block=timedelta(seconds=0.2), max_entries=300))
    pages: list[Sequence[Delivery]] = []
    while sum(map(len, pages)) < 5_000:
        pages.append(await read_some(reader))
        await reader.acknowledge(pages[-1])
    found = [delivery for page in pages for delivery in page]
    assert len({delivery.entry_id for delivery in found}) == len(found) == 5_000
    assert found == sorted(found, key=lambda one: tuple(map(int, one.entry_id.split("-"))))
    assert {delivery.deliveries for delivery in found} == {2}
    assert max(map(len, pages)) <= 300
    assert len(pages) < 40


async def test_own_entries_come_before_those_of_others_and_news(harness: RedisHarness) -> None:
    """First what this consumer left behind, then what others did, then what nobody has seen."""
    await harness.add(FIRST, b"of another")
    await take(harness, "crashed")
    await harness.make_idle(FIRST)
    await harness.add(SECOND, b"own")
    await take(harness, "one", SECOND)
    await harness.add(FIRST, b"new")
    assert texts(await read_all(harness.reader("one"), 3)) == [b"own", b"of another", b"new"]


async def test_entries_in_good_hands_stay_there(harness: RedisHarness) -> None:
    """What another consumer got a moment ago is not taken from it."""
    await harness.add(FIRST, b"of another")
    await take(harness, "busy")
    reader = harness.reader("one", settings=ReaderSettings(block=timedelta(seconds=0.05)))
    assert [list(await reader.read()) for _ in range(2)] == [[], []]
    assert reader.stats.reclaimed == 0


@pytest.mark.parametrize("consumer", ["one", "crashed"])
async def test_poison_is_read_apart_from_the_innocent(harness: RedisHarness, consumer: str) -> None:
    """Once an entry has been delivered often, entries come one by one: who dies of it dies of that one alone."""
    ids = [await harness.add(FIRST, b"%d" % number) for number in range(4)]
    await take(harness, consumer)
    await deliver_again(harness, consumer, 3, ids[2])
    await harness.make_idle(FIRST)
    reader = harness.reader("one")
    pages = [await read_some(reader) for _ in range(4)]
    assert [[(one.data, one.deliveries) for one in page] for page in pages] == [
        [(b"0", 2)],
        [(b"1", 2)],
        [(b"2", 4)],
        [(b"3", 2)],
    ]


async def test_many_consumers_share_what_was_left_alone(harness: RedisHarness) -> None:
    """Two readers that look at the same time take each entry once."""
    await harness.add_many(FIRST, 500)
    await take(harness, "crashed")
    await harness.make_idle(FIRST)
    found: list[Delivery] = []
    readers = [harness.reader("one"), harness.reader("two")]
    while len(found) < 500:
        for reader in readers:
            found += await reader.read()
    assert len({delivery.entry_id for delivery in found}) == len(found) == 500
    assert sum(reader.stats.reclaimed for reader in readers) == 500


async def test_deleted_entries_are_reported_where_the_server_does_not_name_them(
    harness: RedisHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis 6.2 returns nil for an entry that left the stream, keeps it pending, and does not say which it was."""
    ids = [await harness.add(FIRST, b"%d" % number) for number in range(3)]
    await take(harness, "crashed")
    await harness.make_idle(FIRST)
    await harness.redis.xdel(harness.key(FIRST), ids[1])
    losses: list[Loss] = []
    reader = harness.reader("one", on_loss=losses.append)
    as_in_6_2(reader, monkeypatch)
    assert texts(await read_all(reader, 2)) == [b"0", b"2"]
    assert [(loss.count, loss.after, loss.before) for loss in losses] == [(1, ids[1], ids[1])]
    assert await harness.streams.pending(FIRST) == 0


def as_in_6_2(reader: RedisStreamReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let XAUTOCLAIM answer as Redis 6.2 does: nil in an entry's harness, and the entry still pending."""

    async def xautoclaim(key: bytes, group: str, consumer: str, idle: int, *, start_id: bytes, count: int) -> list[Any]:
        pending: Any = await Redis.xpending_range(reader._client, key, group, start_id, "+", count, idle=idle)
        entries: list[Any] = []
        for one in pending:
            found: Any = await reader._client.xrange(key, one["message_id"], one["message_id"])
            entries += found or [(None, None)]
        return [b"0-0", entries]

    monkeypatch.setattr(reader._client, "xautoclaim", xautoclaim)


async def test_without_recovery_entries_stay_where_they_are(
    harness: RedisHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: a reader that only asks for news never gets what a crash left behind."""
    await harness.add(FIRST, b"old")
    await take(harness, "one")
    await harness.make_idle(FIRST)

    async def nothing(self: redis_stream_reclaimer.RedisStreamReclaimer) -> list[Delivery]:
        return []

    monkeypatch.setattr(redis_stream_reclaimer.RedisStreamReclaimer, "page", nothing)
    reader = harness.reader("one", settings=SETTINGS)
    assert [list(await reader.read()) for _ in range(2)] == [[], []]
    assert await harness.streams.pending(FIRST) == 1
