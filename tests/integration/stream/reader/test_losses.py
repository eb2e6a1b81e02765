"""What a group lost to trimming is reported: exactly, once, before anything newer."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from support.consuming import GROUP, Streams
from support.redis_streams import RedisHarness

from domainstream.errors import ServerUnavailableError
from domainstream.stream import Loss, ReaderSettings, RedisStreamReader
from domainstream.stream.reader import loss_detector as redis_loss_detector
from domainstream.testing import EmbeddedServer, ServerBinary, server_binaries
from domainstream.testing.stream_contract import FIRST, SECOND, read_all, read_some, texts


async def add(harness: RedisHarness, count: int, channel: str = FIRST) -> list[str]:
    """Add entries that hold their numbers, and return their ids."""
    return [await harness.add(channel, b"%d" % number) for number in range(count)]


async def lag(harness: RedisHarness) -> int:
    """Return how many entries the server believes the group has yet to read."""
    return int((await harness.group(FIRST))["lag"])


async def test_counters_are_right_after_a_loss(harness: RedisHarness) -> None:
    """The server's lag, which dashboards show, is what is left to read; it was wrong before."""
    losses: list[Loss] = []
    reader = harness.reader(on_loss=losses.append)
    await add(harness, 10)
    await read_all(reader, 10)
    await add(harness, 90)
    await harness.trim(FIRST, keep=51)
    assert await lag(harness) == 90
    found = await read_some(reader)
    assert losses[0].count == 39
    assert await lag(harness) == 51 - len(found)
    assert reader.stats.lost == 39


async def test_what_was_trimmed_before_the_group_is_reported_but_not_counted_as_lost(
    harness: RedisHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether the new group should have had these entries is for people to say, so it is a warning of its own."""
    await add(harness, 10)
    await harness.trim(FIRST, keep=3)
    reader = harness.reader()
    await read_all(reader, 3)
    assert reader.stats.lost == 0
    assert "stream.trimmed_before_group group=domain-events channel=first_channel entries=7" in caplog.text


async def test_losses_add_up(harness: RedisHarness) -> None:
    """Whatever is trimmed between reads, read and lost together are what was added, none counted twice."""
    losses: list[Loss] = []
    read: list[bytes | None] = []
    reader = harness.reader(on_loss=losses.append)
    await reader.read()
    for keep in (30, 7, 0, 19, 1, 40):
        await add(harness, 40)
        await harness.trim(FIRST, keep=keep)
        while deliveries := await reader.read():
            await reader.acknowledge(deliveries)
            read += texts(deliveries)
    assert sum(loss.count for loss in losses) == 40 * 6 - (30 + 7 + 0 + 19 + 1 + 40)
    assert len(read) == 30 + 7 + 0 + 19 + 1 + 40


async def test_two_readers_at_once_report_a_loss_once(harness: RedisHarness) -> None:
    """However many instances look at the same time, one of them reports it."""
    losses: list[Loss] = []
    readers = [harness.reader(name, on_loss=losses.append) for name in ("one", "two", "three")]
    await asyncio.gather(*(reader.read() for reader in readers))
    await add(harness, 10)
    await harness.trim(FIRST, keep=2)
    await asyncio.gather(*(reader.read() for reader in readers))
    await asyncio.gather(*(reader.read() for reader in readers))
    assert [loss.count for loss in losses] == [8]


async def test_stream_that_was_trimmed_to_nothing(harness: RedisHarness) -> None:
    """The loss is reported although there is nothing left to read, and no entry stands behind it."""
    losses: list[Loss] = []
    reader = harness.reader(on_loss=losses.append)
    ids = await add(harness, 3)
    await read_all(reader, 3)
    await add(harness, 5)
    await harness.trim(FIRST, keep=0)
    for _ in range(2):
        assert list(await reader.read()) == []
    assert losses == [Loss(FIRST, GROUP, 5, after=ids[-1], before="")]


async def test_loss_is_reported_when_the_read_behind_the_check_fails(harness: RedisHarness, redis: Redis) -> None:
    """A check is answered at once, the read when there is something to read: until then its connection may break."""
    losses: list[Loss] = []
    reader = harness.reader(on_loss=losses.append, settings=ReaderSettings(block=timedelta(minutes=1)))
    await add(harness, 3)
    await read_all(reader, 3)
    await add(harness, 5)
    await harness.trim(FIRST, keep=0)
    reading = asyncio.create_task(reader.read())
    blocked: list[str] = []
    while not blocked:
        clients: Any = await redis.client_list()
        blocked = [client["id"] for client in clients if "b" in client["flags"]]
    for client_id in blocked:
        await redis.client_kill_filter(_id=client_id)
    with pytest.raises(ServerUnavailableError):
        await reading
    assert [loss.count for loss in losses] == [5]
    assert reader.stats.lost == 5


async def test_loss_of_every_channel_is_reported(harness: RedisHarness) -> None:
    """Several channels may lose entries at a time."""
    losses: list[Loss] = []
    reader = harness.reader(on_loss=losses.append)
    await reader.read()
    for channel, count in ((FIRST, 5), (SECOND, 8)):
        await add(harness, count, channel)
        await harness.trim(channel, keep=1)
    await read_all(reader, 2)
    assert [(loss.channel, loss.count, loss.after) for loss in losses] == [(FIRST, 4, "0-0"), (SECOND, 7, "0-0")]


async def test_what_is_trimmed_after_it_was_read_is_no_loss(harness: RedisHarness) -> None:
    """Retention does its work on settled entries, and nothing is reported."""
    losses: list[Loss] = []
    reader = harness.reader(on_loss=losses.append)
    for keep in (5, 0, 3, 1):
        await add(harness, 10)
        await read_all(reader, 10)
        await harness.trim(FIRST, keep=keep)
    await add(harness, 1)
    await read_all(reader, 1)
    assert losses == []


async def test_oldest_unread_deleted_by_hand_is_a_loss(harness: RedisHarness) -> None:
    """XDEL of unread entries is reported like trimming, when nothing older is left."""
    losses: list[Loss] = []
    reader = harness.reader(on_loss=losses.append)
    ids = await add(harness, 4)
    await read_all(reader, 4)
    ids += await add(harness, 6)
    await harness.redis.xdel(harness.key(FIRST), *ids[:7])
    assert texts(await read_all(reader, 3)) == [b"3", b"4", b"5"]
    assert [(loss.count, loss.after, loss.before) for loss in losses] == [(3, ids[3], ids[7])]


async def test_entries_deleted_by_hand_confuse_nothing(harness: RedisHarness) -> None:
    """XDEL in the middle, of read entries and unread, makes no false alarm, and later losses are exact again."""
    losses: list[Loss] = []
    reader = harness.reader(on_loss=losses.append)
    ids = await add(harness, 10)
    await read_all(reader, 10)
    ids += await add(harness, 10)
    await harness.redis.xdel(harness.key(FIRST), ids[5], ids[15])
    await read_all(reader, 9)
    assert losses == []
    ids += await add(harness, 10)
    await harness.trim(FIRST, keep=4)
    assert texts(await read_all(reader, 4)) == [b"6", b"7", b"8", b"9"]
    assert [(loss.count, loss.after, loss.before) for loss in losses] == [(6, ids[19], ids[26])]


async def test_group_that_others_moved_makes_no_false_alarm(harness: RedisHarness) -> None:
    """After XGROUP SETID the server does not know what the group has read: it counts from there."""
    losses: list[Loss] = []
    ids = await add(harness, 10)
    await harness.redis.xgroup_create(harness.key(FIRST), GROUP, id=ids[4])
    await harness.trim(FIRST, keep=3)
    reader = harness.reader(on_loss=losses.append)
    await read_all(reader, 3)
    assert losses == []
    await add(harness, 5)
    await harness.trim(FIRST, keep=1)
    await read_all(reader, 1)
    assert [loss.count for loss in losses] == [4]


async def test_loss_is_found_while_the_memory_is_full(harness: RedisHarness, redis: Redis) -> None:
    """A server that takes no more entries still delivers those it has, and what was lost is reported."""
    losses: list[Loss] = []
    reader = harness.reader(on_loss=losses.append)
    await reader.read()
    await add(harness, 5)
    await harness.trim(FIRST, keep=2)
    await redis.config_set("maxmemory", 1)
    try:
        found = await read_all(reader, 2)
    finally:
        await redis.config_set("maxmemory", 0)
    assert texts(found) == [b"3", b"4"]
    assert [loss.count for loss in losses] == [3]


async def test_loss_is_found_after_the_script_was_forgotten(harness: RedisHarness, redis: Redis) -> None:
    """SCRIPT FLUSH does not let a read pass unchecked."""
    losses: list[Loss] = []
    reader = harness.reader(on_loss=losses.append)
    await reader.read()
    await add(harness, 5)
    await harness.trim(FIRST, keep=2)
    await redis.script_flush()
    await read_all(reader, 2)
    assert [loss.count for loss in losses] == [3]


async def test_counter_that_is_behind_makes_no_false_alarm(harness: RedisHarness) -> None:
    """Redis 7.0 may forget reads when it restarts: a group that has read everything has lost nothing all the same."""
    losses: list[Loss] = []
    reader = harness.reader(on_loss=losses.append)
    ids = await add(harness, 10)
    await read_all(reader, 10)
    for keep in (5, 0):
        await harness.redis.xgroup_setid(harness.key(FIRST), GROUP, ids[-1], entries_read=3)
        await harness.trim(FIRST, keep=keep)
        await reader.read()
        assert (await harness.group(FIRST))["entries-read"] == 10
        assert losses == []


async def reload(redis: Any) -> None:
    """Let the server begin anew from its append-only file."""
    await redis.execute_command("DEBUG", "LOADAOF")


@pytest.mark.parametrize("binary", server_binaries(), ids=lambda binary: binary.kind)
async def test_count_of_reads_survives_a_restart(binary: ServerBinary, tmp_path: Path) -> None:
    """What a server knows of the group after it has loaded its append-only file makes no false alarm."""
    options = ("--appendonly", "yes", "--dir", str(tmp_path), "--enable-debug-command", "yes")
    with EmbeddedServer(binary.path, options) as server:
        async with Redis.from_url(server.url) as redis:
            harness = RedisHarness(server.url, Streams(redis, ""))
            losses: list[Loss] = []
            reader = harness.reader(on_loss=losses.append)
            for count in (10, 7):
                await add(harness, count)
                await read_all(reader, count)
                await reader.read()
            await add(harness, 5)
            await reload(redis)
            await harness.trim(FIRST, keep=2)
            found = await read_all(reader, 2)
            assert [loss.count for loss in losses] == [3]
            assert len(found) == 2
            await harness.close()


async def test_without_the_detector_a_loss_is_silent(harness: RedisHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: the next read just returns what is left."""
    monkeypatch.setattr(redis_loss_detector, "SCRIPT", "return {}")
    losses: list[Loss] = []
    reader: RedisStreamReader = harness.reader(on_loss=losses.append)
    await add(harness, 10)
    await read_all(reader, 10)
    await add(harness, 10)
    await harness.trim(FIRST, keep=3)
    assert texts(await read_all(reader, 3)) == [b"7", b"8", b"9"]
    assert losses == []
    assert reader.stats.lost == 0
