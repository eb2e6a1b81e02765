"""Replies that never arrive: whatever the server did for them, no entry is passed over."""

from datetime import timedelta
from typing import Any

import pytest
from redis import exceptions
from redis.asyncio import Redis
from support.consuming import GROUP
from support.redis_streams import RedisHarness

from domainstream.errors import ServerUnavailableError
from domainstream.stream import Delivery, Loss, ReaderSettings, RedisStreamReader
from domainstream.testing.fault_proxy import FaultProxy
from domainstream.testing.stream_contract import FIRST, SECOND

ENTRIES = 300
SETTINGS = ReaderSettings(block=timedelta(seconds=0.1), max_entries=20)


async def drain(reader: RedisStreamReader, proxy: FaultProxy, lose: bytes) -> list[Delivery]:
    """Read and settle until two reads in a row bring nothing; every third step loses a reply."""
    found: list[Delivery] = []
    step = idle = 0
    while idle < 2:
        step += 1
        if step % 3 == 1:
            proxy.lose_replies_to(lose, 1)
        try:
            deliveries = await reader.read()
            found += deliveries
            idle = 0 if deliveries else idle + 1
            await reader.acknowledge(deliveries)
        except ServerUnavailableError:
            idle = 0
        proxy.lose_replies_to(lose, 0)
    return found


@pytest.mark.parametrize("lose", [b"XREADGROUP", b"XACK"])
async def test_no_entry_is_passed_over(harness: RedisHarness, redis_url: str, lose: bytes) -> None:
    """Every entry comes, each channel in its order the first time, and in the end nothing is pending."""
    ids = [await harness.add(channel, b"data") for _ in range(ENTRIES) for channel in (FIRST, SECOND)]
    async with FaultProxy(redis_url) as proxy:
        harness.url = proxy.url
        found = await drain(harness.reader(settings=SETTINGS), proxy, lose)
    for channel, expected in ((FIRST, ids[::2]), (SECOND, ids[1::2])):
        order = list(dict.fromkeys(one.entry_id for one in found if one.channel == channel))
        assert order == expected
    assert [await harness.streams.pending(channel) for channel in (FIRST, SECOND)] == [0, 0]


@pytest.mark.parametrize(
    ("lose", "crashed"),
    [(b"XPENDING", "another"), (b"XAUTOCLAIM", "another"), (b"XREADGROUP", "one"), (b"XPENDING", "one")],
)
async def test_no_entry_of_a_crashed_consumer_is_passed_over(
    harness: RedisHarness, redis_url: str, lose: bytes, crashed: str
) -> None:
    """What a reply that was lost had taken over is in one's own name, and comes from there, in order."""
    ids = [await harness.add(FIRST, b"data") for _ in range(ENTRIES)]
    await harness.redis.xgroup_create(harness.key(FIRST), GROUP, id="0")
    await harness.redis.xreadgroup(GROUP, crashed, {harness.key(FIRST): ">"})
    await harness.make_idle(FIRST)
    async with FaultProxy(redis_url) as proxy:
        harness.url = proxy.url
        found = await drain(harness.reader(settings=SETTINGS), proxy, lose)
        assert proxy.faults >= 2
    assert list(dict.fromkeys(one.entry_id for one in found)) == ids
    assert await harness.streams.pending(FIRST) == 0


async def test_deliveries_count_what_nobody_saw(harness: RedisHarness, redis_url: str) -> None:
    """An entry whose first delivery was lost on the way comes as its second."""
    await harness.add(FIRST, b"data")
    async with FaultProxy(redis_url) as proxy:
        harness.url = proxy.url
        reader = harness.reader(settings=SETTINGS)
        proxy.lose_replies_to(b"XREADGROUP", 1)
        with pytest.raises(ServerUnavailableError):
            await reader.read()
        (delivery,) = await reader.read()
        assert delivery.deliveries == 2
        await reader.close()


async def test_server_that_falls_silent_is_given_up(
    harness: RedisHarness, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No reply for longer than a read may block ends the read; the next one connects anew and goes on."""
    monkeypatch.setattr("domainstream.stream.reader.reader.REPLY_MARGIN", timedelta(seconds=1.5))
    losses: list[Loss] = []
    async with FaultProxy(redis_url) as proxy:
        harness.url = proxy.url
        reader = harness.reader(settings=SETTINGS, on_loss=losses.append)
        await reader.read()
        await harness.add(FIRST, b"data")
        pool = reader._client.connection_pool
        for connection in pool._available_connections:
            connection.socket_timeout = 0.2
        proxy.swallow()
        with pytest.raises(ServerUnavailableError, match="was lost before the reply"):
            await reader.read()
        proxy.swallow(on=False)
        assert [one.data for one in await reader.read()] == [b"data"]
        await reader.close()


async def test_without_looking_back_entries_are_passed_over(harness: RedisHarness, redis_url: str) -> None:
    """Control: a client that just repeats its read leaves what the lost reply held in its pending list."""
    ids = [await harness.add(FIRST, b"data") for _ in range(30)]
    await harness.redis.xgroup_create(harness.key(FIRST), GROUP, id="0")
    found: list[bytes] = []
    async with FaultProxy(redis_url) as proxy, Redis.from_url(proxy.url, protocol=2) as client:
        proxy.lose_replies_to(b"XREADGROUP", 1)
        with pytest.raises(exceptions.ConnectionError):
            await client.xreadgroup(GROUP, "one", {harness.key(FIRST): ">"}, count=10)
        reply: Any = True
        while reply:
            reply = await client.xreadgroup(GROUP, "one", {harness.key(FIRST): ">"}, count=10)
            found += [entry_id for _, entries in reply for entry_id, _ in entries]
    assert [entry_id.decode() for entry_id in found] == ids[10:]
