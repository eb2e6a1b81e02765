"""Batches under identities that the caller has noted: a repeat adds nothing, and each refusal says what it concerns."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis
from support.publishing import entries, messages

from domainstream.errors import (
    ConfigurationError,
    ServerOutOfMemoryError,
    ServerRefusedError,
    ServerUnavailableError,
)
from domainstream.publisher import BatchIdentity, RedisBatchPublisher, Retention
from domainstream.testing import EmbeddedServer, server_binaries
from domainstream.testing.fault_proxy import FaultProxy

FIRST, SECOND = BatchIdentity("a1b2", 1), BatchIdentity("a1b2", 2)


@pytest.fixture
async def publisher(redis_url: str, stream_prefix: str) -> AsyncIterator[RedisBatchPublisher]:
    """A publisher with streams of its own."""
    publisher = RedisBatchPublisher.from_url(redis_url, prefix=stream_prefix)
    yield publisher
    await publisher.close()


async def test_batch_is_added_in_order(publisher: RedisBatchPublisher, redis: Redis, stream_prefix: str) -> None:
    """The messages of a batch are in the streams of their channels, those of each in their order."""
    batch = [message for pair in zip(messages("orders", 3), messages("invoices", 3), strict=True) for message in pair]
    assert await publisher.send(batch, FIRST) == {}
    for channel in ("orders", "invoices"):
        added = [data for _, data in await entries(redis, stream_prefix + channel)]
        assert added == [message.data for message in batch if message.channel == channel]


async def test_repeat_under_the_same_identity_adds_nothing(
    publisher: RedisBatchPublisher, redis_url: str, redis: Redis, stream_prefix: str
) -> None:
    """A batch that is sent again, also by another process, is recognized."""
    batch = messages("orders", 3)
    await publisher.send(batch, FIRST)
    assert await publisher.send(batch, FIRST) == {}
    successor = RedisBatchPublisher.from_url(redis_url, prefix=stream_prefix)
    assert await successor.send(batch, FIRST) == {}
    await successor.close()
    assert len(await entries(redis, f"{stream_prefix}orders")) == 3


async def test_stale_sequence_means_done(publisher: RedisBatchPublisher, redis: Redis, stream_prefix: str) -> None:
    """A batch that arrives after a later one of its producer was added before that, and is no failure."""
    batch = messages("orders", 3)
    await publisher.send(batch, FIRST)
    await publisher.send(messages("orders", 1), SECOND)
    assert await publisher.send(batch, FIRST) == {}
    assert len(await entries(redis, f"{stream_prefix}orders")) == 4


async def test_lost_reply_is_raised_and_the_repeat_adds_nothing(
    redis_url: str, redis: Redis, stream_prefix: str
) -> None:
    """Without a reply nothing is known, so the call raises; the repeat finds the batch in its streams."""
    batch = messages("orders", 2) + messages("invoices", 2)
    async with FaultProxy(redis_url) as proxy:
        publisher = RedisBatchPublisher.from_url(proxy.url, prefix=stream_prefix)
        await publisher.send(messages("orders", 1), FIRST)
        proxy.lose_replies_to(b"EVALSHA", 1)
        with pytest.raises(ServerUnavailableError, match="lost before the reply"):
            await publisher.send(batch, SECOND)
        assert await publisher.send(batch, SECOND) == {}
        assert proxy.faults == 1
        await publisher.close()
    assert len(await entries(redis, f"{stream_prefix}orders")) == 3
    assert len(await entries(redis, f"{stream_prefix}invoices")) == 2


async def test_rejected_channel_does_not_concern_the_others(
    publisher: RedisBatchPublisher, redis: Redis, stream_prefix: str
) -> None:
    """A channel whose key has another type is rejected whole, and the rest of the batch is added."""
    await redis.set(f"{stream_prefix}broken", "text")
    batch = messages("orders", 2) + messages("broken", 2) + messages("invoices", 2)
    rejected = await publisher.send(batch, FIRST)
    assert list(rejected) == ["broken"]
    assert "WRONGTYPE" in str(rejected["broken"])
    assert len(await entries(redis, f"{stream_prefix}orders")) == 2
    assert len(await entries(redis, f"{stream_prefix}invoices")) == 2


async def test_rejected_batch_is_added_under_its_identity_later(
    publisher: RedisBatchPublisher, redis: Redis, stream_prefix: str
) -> None:
    """A rejected batch leaves nothing that would make its repeat look like one that was added."""
    await redis.set(f"{stream_prefix}broken", "text")
    batch = messages("broken", 2)
    assert list(await publisher.send(batch, FIRST)) == ["broken"]
    await redis.delete(f"{stream_prefix}broken")
    assert await publisher.send(batch, FIRST) == {}
    assert await publisher.send(batch, FIRST) == {}
    assert len(await entries(redis, f"{stream_prefix}broken")) == 2


async def test_user_who_may_not_remember_batches_adds_none(redis_url: str, redis: Any, stream_prefix: str) -> None:
    """Without the right to SET, a repeat could not be recognized, so the channel is rejected each time."""
    user = stream_prefix.rstrip(":")
    await redis.execute_command("ACL", "SETUSER", user, "on", "nopass", "~*", "+@all", "-set")
    publisher = RedisBatchPublisher.from_url(redis_url.replace("redis://", f"redis://{user}:x@"), prefix=stream_prefix)
    batch = messages("orders", 2)
    for _ in range(3):
        assert list(await publisher.send(batch, FIRST)) == ["orders"]
    await publisher.close()
    await redis.acl_deluser(user)
    assert await entries(redis, f"{stream_prefix}orders") == []


async def test_wrong_password_rejects_no_channel(redis_url: str, stream_prefix: str) -> None:
    """A connection that is rejected says nothing about channels: the call raises, without the password."""
    url = redis_url.replace("redis://", "redis://nobody:s3cret@")
    publisher = RedisBatchPublisher.from_url(url, prefix=stream_prefix)
    with pytest.raises(ServerRefusedError, match="password") as caught:
        await publisher.send(messages("orders", 1), FIRST)
    await publisher.close()
    assert "s3cret" not in str(caught.value)


async def test_server_that_loads_rejects_no_channel(redis_url: str, stream_prefix: str) -> None:
    """A server that is not ready yet takes the batch when it is sent again."""
    batch = messages("orders", 1)
    async with FaultProxy(redis_url) as proxy:
        publisher = RedisBatchPublisher.from_url(proxy.url, prefix=stream_prefix)
        proxy.answer(b"EVALSHA", b"-LOADING Redis is loading the dataset in memory")
        with pytest.raises(ServerUnavailableError, match="LOADING"):
            await publisher.send(batch, FIRST)
        assert await publisher.send(batch, FIRST) == {}
        await publisher.close()


@pytest.mark.parametrize("binary", server_binaries(), ids=lambda binary: binary.kind)
async def test_full_memory_rejects_no_channel(binary: Any) -> None:
    """Without memory the call raises and adds nothing; with room the repeat is added once."""
    with EmbeddedServer(binary.path) as server:
        publisher = RedisBatchPublisher.from_url(server.url)
        async with Redis.from_url(server.url) as redis:
            await publisher.send(messages("orders", 1), FIRST)
            await redis.config_set("maxmemory", "1")
            batch = messages("orders", 2)
            with pytest.raises(ServerOutOfMemoryError):
                await publisher.send(batch, SECOND)
            with pytest.raises(ServerOutOfMemoryError):
                await publisher.introduce("c3d4")
            await redis.config_set("maxmemory", "0")
            assert await publisher.send(batch, SECOND) == {}
            assert await redis.xlen("orders") == 3
        await publisher.close()


async def test_batch_is_remembered_for_the_window(redis_url: str, redis: Redis, stream_prefix: str) -> None:
    """What the server remembers of a producer expires after `dedup_window`."""
    publisher = RedisBatchPublisher.from_url(redis_url, prefix=stream_prefix, dedup_window=timedelta(hours=5))
    await publisher.introduce(FIRST.producer)
    await publisher.send(messages("orders", 1), FIRST)
    await publisher.close()
    keys = [key async for key in redis.scan_iter(match=f"*{stream_prefix}*{FIRST.producer}")]
    assert len(keys) == 2
    for key in keys:
        assert 4 * 3600 < await redis.ttl(key) <= 5 * 3600


async def test_memory_lies_in_the_slot_of_the_stream(redis_url: str, redis: Redis, stream_prefix: str) -> None:
    """With a hash tag in the prefix, every key of a batch has it."""
    prefix = f"{{{stream_prefix}}}:"
    publisher = RedisBatchPublisher.from_url(redis_url, prefix=prefix)
    await publisher.introduce(FIRST.producer)
    batch = messages("orders", 1)
    await publisher.send(batch, FIRST)
    await publisher.send(batch, FIRST)
    await publisher.close()
    keys = [key.decode() async for key in redis.scan_iter(match=f"*{stream_prefix}*")]
    assert len(keys) == 4
    assert all(key.startswith(prefix) for key in keys)
    assert await redis.xlen(f"{prefix}orders") == 1


def test_prefix_with_two_hash_tags_is_rejected(redis_url: str) -> None:
    """A stream and its memory could end up in different slots."""
    with pytest.raises(ConfigurationError, match="hash tag"):
        RedisBatchPublisher.from_url(redis_url, prefix="{a}{b}:")


async def test_retention_is_applied_with_each_batch(redis_url: str, redis: Redis, stream_prefix: str) -> None:
    """A limit of the stream's length removes the oldest entries."""
    publisher = RedisBatchPublisher.from_url(redis_url, prefix=stream_prefix, retention=Retention(max_length=10))
    for sequence in range(1, 11):
        await publisher.send(messages("orders", 100), BatchIdentity("a1b2", sequence))
    await publisher.close()
    assert await redis.xlen(f"{stream_prefix}orders") < 300


async def test_introduced_producer_is_remembered(publisher: RedisBatchPublisher) -> None:
    """The server knows a producer that was introduced, and no other."""
    assert not await publisher.remembers("c3d4")
    await publisher.introduce("c3d4")
    assert await publisher.remembers("c3d4")
    assert not await publisher.remembers("e5f6")


@pytest.mark.parametrize("binary", server_binaries(), ids=lambda binary: binary.kind)
async def test_flushed_server_has_forgotten_the_producer(binary: Any) -> None:
    """After FLUSHALL the server knows neither producer nor batch, and adds a repeat again."""
    with EmbeddedServer(binary.path) as server:
        publisher = RedisBatchPublisher.from_url(server.url)
        async with Redis.from_url(server.url) as redis:
            batch = messages("orders", 2)
            await publisher.introduce(FIRST.producer)
            await publisher.send(batch, FIRST)
            await redis.flushall()
            assert not await publisher.remembers(FIRST.producer)
            assert await publisher.send(batch, FIRST) == {}
            assert await redis.xlen("orders") == 2
        await publisher.close()
