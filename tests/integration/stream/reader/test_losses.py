"""What a group lost to trimming is reported: exactly, once, before anything newer."""

from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from support.consuming import GROUP, Streams
from support.redis_streams import RedisHarness

from domainstream.redis.scripts import Script
from domainstream.stream import Delivery, Loss
from domainstream.stream.reader import turns
from domainstream.testing import EmbeddedServer, ServerBinary, server_binaries
from domainstream.testing.stream_contract import FIRST, SECOND, Owner, texts


class Reading:
    """The owner of a channel, who acknowledges what it has read with the next turn."""

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.losses: list[Loss] = []
        self._done: list[Delivery] = []

    @classmethod
    async def of(cls, harness: RedisHarness, channel: str = FIRST) -> "Reading":
        """Take the lease."""
        return cls(await Owner.of(harness.reader(), channel))

    async def read(self, count: int = 1000) -> list[bytes | None]:
        """Return what is new, and note what was lost."""
        turn = await self.owner.turn("new", self._done, count=count)
        self._done = list(turn.deliveries)
        if turn.loss:
            self.losses.append(turn.loss)
        return texts(turn.deliveries)


async def add(harness: RedisHarness, count: int, channel: str = FIRST) -> list[str]:
    """Add entries that hold their numbers, and return their ids."""
    return [await harness.add(channel, b"%d" % number) for number in range(count)]


async def lag(harness: RedisHarness) -> int:
    """Return how many entries the server believes the group has yet to read."""
    return int((await harness.group(FIRST))["lag"])


async def test_counters_are_right_after_a_loss(harness: RedisHarness) -> None:
    """The server's lag, which dashboards show, is what is left to read; it was wrong before."""
    reading = await Reading.of(harness)
    await add(harness, 10)
    await reading.read()
    await add(harness, 90)
    await harness.trim(FIRST, keep=51)
    assert await lag(harness) == 90
    found = await reading.read(20)
    assert [loss.count for loss in reading.losses] == [39]
    assert await lag(harness) == 51 - len(found)


async def test_losses_add_up(harness: RedisHarness) -> None:
    """Whatever is trimmed between reads, read and lost together are what was added, none counted twice."""
    reading, found = await Reading.of(harness), 0
    for keep in (30, 7, 0, 19, 1, 40):
        await add(harness, 40)
        await harness.trim(FIRST, keep=keep)
        while page := await reading.read(16):
            found += len(page)
    assert sum(loss.count for loss in reading.losses) == 40 * 6 - (30 + 7 + 0 + 19 + 1 + 40)
    assert found == 30 + 7 + 0 + 19 + 1 + 40


async def test_loss_of_every_channel_is_reported(harness: RedisHarness) -> None:
    """Each channel has its own."""
    for channel, count in ((FIRST, 5), (SECOND, 8)):
        reading = await Reading.of(harness, channel)
        await reading.read()
        await add(harness, count, channel)
        await harness.trim(channel, keep=1)
        await reading.read()
        assert [(loss.channel, loss.count, loss.after) for loss in reading.losses] == [(channel, count - 1, "0-0")]


async def test_oldest_unread_deleted_by_hand_is_a_loss(harness: RedisHarness) -> None:
    """XDEL of unread entries is reported like trimming, when nothing older is left."""
    reading = await Reading.of(harness)
    ids = await add(harness, 4)
    await reading.read()
    ids += await add(harness, 6)
    await harness.redis.xdel(harness.key(FIRST), *ids[:7])
    assert await reading.read() == [b"3", b"4", b"5"]
    assert [(loss.count, loss.after, loss.before) for loss in reading.losses] == [(3, ids[3], ids[7])]


async def test_entries_deleted_by_hand_confuse_nothing(harness: RedisHarness) -> None:
    """XDEL in the middle, of read entries and unread, makes no false alarm, and later losses are exact again."""
    reading = await Reading.of(harness)
    ids = await add(harness, 10)
    await reading.read()
    ids += await add(harness, 10)
    await harness.redis.xdel(harness.key(FIRST), ids[5], ids[15])
    assert len(await reading.read()) == 9
    await reading.read()
    assert reading.losses == []
    ids += await add(harness, 10)
    await harness.trim(FIRST, keep=4)
    assert await reading.read() == [b"6", b"7", b"8", b"9"]
    assert [(loss.count, loss.after, loss.before) for loss in reading.losses] == [(6, ids[19], ids[26])]


async def test_group_that_others_moved_makes_no_false_alarm(harness: RedisHarness) -> None:
    """After XGROUP SETID the server does not know what the group has read: it counts from there."""
    ids = await add(harness, 10)
    await harness.redis.xgroup_create(harness.key(FIRST), GROUP, id=ids[4])
    await harness.trim(FIRST, keep=3)
    reading = await Reading.of(harness)
    assert len(await reading.read()) == 3
    await reading.read()
    assert reading.losses == []
    await add(harness, 5)
    await harness.trim(FIRST, keep=1)
    await reading.read()
    assert [loss.count for loss in reading.losses] == [4]


async def test_loss_is_found_while_the_memory_is_full(harness: RedisHarness, redis: Redis) -> None:
    """A server that takes no more entries still delivers those it has, and what was lost is reported."""
    reading = await Reading.of(harness)
    await reading.read()
    await add(harness, 5)
    await harness.trim(FIRST, keep=2)
    await redis.config_set("maxmemory", 1)
    try:
        found = await reading.read()
    finally:
        await redis.config_set("maxmemory", 0)
    assert found == [b"3", b"4"]
    assert [loss.count for loss in reading.losses] == [3]


async def test_counter_that_is_behind_makes_no_false_alarm(harness: RedisHarness) -> None:
    """Redis 7.0 may forget reads when it restarts: a group that has read everything has lost nothing all the same."""
    reading = await Reading.of(harness)
    ids = await add(harness, 10)
    await reading.read()
    for keep in (5, 0):
        await harness.redis.xgroup_setid(harness.key(FIRST), GROUP, ids[-1], entries_read=3)
        await harness.trim(FIRST, keep=keep)
        await reading.read()
        assert (await harness.group(FIRST))["entries-read"] == 10
        assert reading.losses == []


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
            reading = await Reading.of(harness)
            for count in (10, 7):
                await add(harness, count)
                await reading.read()
                await reading.read()
            await add(harness, 5)
            await reload(redis)
            await harness.trim(FIRST, keep=2)
            found = await reading.read()
            assert [loss.count for loss in reading.losses] == [3]
            assert len(found) == 2
            await harness.close()


async def test_without_the_check_a_loss_is_silent(harness: RedisHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: the next read just returns what is left."""
    line = "local loss = looks_closer and find_loss(state) or {}"
    assert line in turns.TURN.text
    monkeypatch.setattr(turns, "TURN", Script.of(turns.TURN.text.replace(line, "local loss = {}")))
    reading = await Reading.of(harness)
    await add(harness, 10)
    await reading.read()
    await add(harness, 10)
    await harness.trim(FIRST, keep=3)
    assert await reading.read() == [b"7", b"8", b"9"]
    assert reading.losses == []
