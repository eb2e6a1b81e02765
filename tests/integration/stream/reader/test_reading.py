"""The reader on a real server: what servers and networks do to it, and what it costs them."""

from typing import Any

import pytest
from redis.asyncio import Redis
from support.consuming import GROUP
from support.redis_streams import RedisHarness

from domainstream.errors import ConfigurationError, ServerRefusedError, ServerUnavailableError
from domainstream.stream import LeaseLostError, RedisStreamReader
from domainstream.testing.fault_proxy import FaultProxy
from domainstream.testing.stream_contract import FIRST, Owner, counts, read_all, texts


async def test_lost_reply_is_looked_for_before_anything_new(harness: RedisHarness, redis_url: str) -> None:
    """What the server delivered into a broken connection comes in the next epoch, uncounted for the same owner."""
    async with FaultProxy(redis_url) as proxy:
        harness.url = proxy.url
        owner = await Owner.of(harness.reader())
        await owner.turn()
        await harness.add(FIRST, b"lost")
        proxy.lose_replies_to(b"XREADGROUP", 1)
        with pytest.raises(ServerUnavailableError):
            await owner.turn()
        await harness.add(FIRST, b"new")
        again = await Owner.of(owner.reader)
        assert again.lease.is_resumed
        assert counts(await again.turn("pending")) == [(b"lost", 1)]
        assert texts((await again.turn()).deliveries) == [b"new"]
        await again.reader.close()  # type: ignore[attr-defined]


async def test_turn_over_another_connection_is_not_made(harness: RedisHarness, redis_url: str) -> None:
    """What was sent over the one before may still arrive: a lease is good for the connection where it was taken."""
    async with FaultProxy(redis_url) as proxy:
        harness.url = proxy.url
        owner = await Owner.of(harness.reader())
        proxy.lose_replies_to(b"EVAL", 1)
        with pytest.raises(ServerUnavailableError):
            await owner.turn("renew")
        await harness.add(FIRST, b"data")
        for read in ("renew", "new"):
            with pytest.raises(LeaseLostError):
                await owner.turn(read)
        assert await harness.pending() == []
        await owner.reader.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("whole", [False, True], ids=["the stream", "everything"])
async def test_what_vanishes_is_made_again(harness: RedisHarness, redis: Redis, *, whole: bool) -> None:
    """After a stream was deleted, or all keys, the next epoch reads on."""
    owner = await Owner.of(harness.reader())
    await harness.add(FIRST, b"old")
    await owner.turn()
    await (redis.flushall() if whole else redis.delete(harness.key(FIRST)))
    with pytest.raises(LeaseLostError):
        await owner.turn()
    again = await Owner.of(owner.reader)
    await harness.add(FIRST, b"new")
    assert texts((await again.turn()).deliveries) == [b"new"]


async def test_group_that_was_made_again_is_reported(harness: RedisHarness, caplog: pytest.LogCaptureFixture) -> None:
    """A reader that has read a channel before says that its group was gone; a new one does not."""
    owner = await Owner.of(harness.reader())
    assert "stream.group_recreated" not in caplog.text
    await harness.destroy_group(FIRST)
    await Owner.of(owner.reader)
    assert f"stream.group_recreated group={GROUP} channel={FIRST}" in caplog.text


async def test_forgotten_scripts_are_sent_again(harness: RedisHarness, redis: Redis) -> None:
    """After SCRIPT FLUSH nothing passes unread: the epoch may end, and the next one begins with what was delivered."""
    owner = await Owner.of(harness.reader())
    await owner.turn()
    await harness.add(FIRST, b"data")
    await redis.script_flush()
    with pytest.raises(LeaseLostError):
        await owner.turn()
    again = await Owner.of(owner.reader)
    assert counts(await again.turn("pending")) == [(b"data", 1)]
    await harness.add(FIRST, b"new")
    assert texts((await again.turn()).deliveries) == [b"new"]


async def test_options_in_the_url_do_not_change_what_is_read(harness: RedisHarness) -> None:
    """Options that others like in a URL do not change the replies."""
    harness.url += "?protocol=3&decode_responses=true&socket_timeout=0.1"
    await harness.add(FIRST, b"\xff new")
    assert texts(await read_all(harness)) == [b"\xff new"]


async def test_key_of_another_type_is_named(harness: RedisHarness, redis: Redis) -> None:
    """A key that is not a stream is rejected with the channel's name and what to do."""
    await redis.set(harness.key(FIRST), "text")
    with pytest.raises(ServerRefusedError, match=f"key of channel {FIRST} is not a stream; choose another prefix"):
        await harness.reader().take(FIRST)


async def test_server_that_is_not_there_is_unavailable() -> None:
    """Nobody listening is an error of ours, and the reader can still be closed, twice."""
    reader = RedisStreamReader.from_url("redis://127.0.0.1:1", [FIRST], group=GROUP, instance="one")
    with pytest.raises(ServerUnavailableError, match="no connection to the server"):
        await reader.take(FIRST)
    for _ in range(2):
        await reader.close()


def test_reader_without_a_group_or_channels_is_refused() -> None:
    """An empty group and missing channels are named at once, with what to do."""
    with pytest.raises(ConfigurationError) as raised:
        RedisStreamReader.from_url("redis://localhost", [], group=" ", instance="one")
    assert ["group='domain-events'" in problem for problem in raised.value.problems] == [True, False]


async def test_many_channels_take_one_connection(harness: RedisHarness, redis: Redis) -> None:
    """One connection reads and acknowledges all channels."""
    before = await client_ids(redis)
    channels = [f"channel_{number}" for number in range(100)]
    reader = harness.reader(channels=channels)
    for channel in channels:
        await harness.add(channel, channel.encode())
        owner = await Owner.of(reader, channel)
        assert texts((await owner.turn()).deliveries) == [channel.encode()]
    assert len(await client_ids(redis) - before) == 1


async def client_ids(redis: Redis) -> set[str]:
    """Return the connections to the server."""
    clients: Any = await redis.client_list()
    return {client["id"] for client in clients}
