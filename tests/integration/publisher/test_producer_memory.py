"""What the server remembers of producers, and the connections that belong to one."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis, RedisCluster
from redis.crc import key_slot
from redis.exceptions import ResponseError
from support.publishing import entries, messages, outcomes

from domainstream import Outcome, PublisherSettings, RedisStreamPublisherClient
from domainstream.errors import ConfigurationError
from domainstream.publisher.partition_layout import PUBLISH_BATCH
from domainstream.publisher.pending import Batch
from domainstream.publisher.redis_batch_sender import BatchCalls, classify, entry_ids
from domainstream.redis.link import RedisLink, Reply


async def keys_of(redis: Any, prefix: str) -> list[bytes]:
    """Return all keys that hold the prefix."""
    return [key async for key in redis.scan_iter(f"*{prefix}*")]


def _ids(answer: Reply) -> list[bytes]:
    assert isinstance(answer, list)
    return answer


async def test_memory_grows_with_producers_not_with_events(redis_url: str, redis: Any, stream_prefix: str) -> None:
    """A producer leaves one key per channel beside the stream and its index, however many events it publishes."""
    async with RedisStreamPublisherClient.from_url(redis_url, prefix=stream_prefix) as client:
        for _ in range(100):
            await client.publish(messages("orders", 20))
    assert len(await keys_of(redis, stream_prefix)) == 4


async def test_memory_expires(redis_url: str, redis: Any, stream_prefix: str) -> None:
    """What is remembered of a producer that ends is forgotten after `dedup_window`."""
    settings = PublisherSettings(
        url=redis_url, prefix=stream_prefix, dedup_window=timedelta(minutes=1), producer_id="p1"
    )
    async with RedisStreamPublisherClient.from_settings(settings) as client:
        await client.publish(messages("orders", 1))
    (memory,) = [key for key in await keys_of(redis, stream_prefix) if b":producer:p1:" in key]
    expires_in = await redis.pttl(memory)
    assert 50_000 < expires_in <= 60_000


@pytest.mark.parametrize("tag", ["", "{shop}:"])
async def test_memory_lies_in_the_streams_slot(redis_url: str, redis: Any, stream_prefix: str, tag: str) -> None:
    """The remembered batch and the index are in their stream's cluster slot, also with a hash tag in the prefix."""
    prefix = tag + stream_prefix
    async with RedisStreamPublisherClient.from_url(redis_url, prefix=prefix) as client:
        await client.publish(messages("orders", 1))
    keys = await keys_of(redis, stream_prefix)
    assert len(keys) == 3
    assert len({key_slot(key) for key in keys}) == 1


async def test_batch_that_comes_late_is_refused(redis_url: str, redis: Any, stream_prefix: str) -> None:
    """A delayed copy of a batch that reaches the server after the producer's next batch adds nothing."""
    settings = PublisherSettings(url=redis_url, prefix=stream_prefix)
    calls = BatchCalls(settings)
    batch = Batch("orders")
    batch.messages += messages("orders", 1)
    late, next_one = calls.arguments(batch), calls.arguments(batch)
    link = RedisLink.from_url(redis_url)
    added, refused = [(await link.eval_each(PUBLISH_BATCH, [call]))[0] for call in (next_one, late)]
    await link.drop(nowait=False)
    assert [entry_id for entry_id, _ in await entries(redis, f"{stream_prefix}orders")] == entry_ids(_ids(added), 1)
    assert isinstance(refused, ResponseError)
    failure = classify(refused, link.place)
    assert not failure.maybe_applied
    assert not failure.repeatable


async def test_clients_of_the_same_settings_are_different_producers(
    redis_url: str, redis: Any, stream_prefix: str
) -> None:
    """A client is never answered with the entry ids of another one, whatever settings they share."""
    settings = PublisherSettings(url=redis_url, prefix=stream_prefix, producer_id="p1")
    for _ in range(2):
        async with RedisStreamPublisherClient.from_settings(settings) as client:
            await client.publish(messages("orders", 1))
    assert len(await entries(redis, f"{stream_prefix}orders")) == 2


async def test_client_has_connections_of_its_own(redis_url: str, redis: Any, stream_prefix: str) -> None:
    """A client made from another one publishes while that one's only connection is blocked by a read."""
    settings = PublisherSettings(url=redis_url, prefix=stream_prefix)
    async with Redis.from_url(redis_url, max_connections=1) as reader:
        blocked: asyncio.Future[Any] = asyncio.ensure_future(reader.xread({f"{stream_prefix}quiet": "$"}, block=4_000))
        async with RedisStreamPublisherClient.from_client(reader, settings) as client:
            receipts = await client.publish(messages("orders", 1))
            assert not blocked.done()
            names = [client["name"] for client in await redis.client_list()]
        await redis.xadd(f"{stream_prefix}quiet", {"wake": "up"})
        await blocked
    assert outcomes(receipts) == {Outcome.PUBLISHED}
    assert "domainstream-publisher" in names


def test_client_of_a_cluster_is_refused() -> None:
    """A cluster's client is refused with what is expected instead."""
    cluster = RedisCluster.__new__(RedisCluster)
    with pytest.raises(
        ConfigurationError, match=r"expected redis\.asyncio\.Redis for a single server, got RedisCluster"
    ):
        RedisStreamPublisherClient.from_client(cluster, PublisherSettings(url=""))  # type: ignore[arg-type]


@pytest.mark.parametrize("url", ["redis://:s3cret/word@localhost", "redis://:[s3cret]@localhost"])
def test_url_that_is_misread_does_not_show_its_password(url: str) -> None:
    """A password that was not quoted is taken for a port or an address, and is not shown all the same."""
    with pytest.raises(ConfigurationError, match="%2F") as refusal:
        RedisStreamPublisherClient.from_url(url)
    assert "s3cret" not in str(refusal.value)


def test_unknown_option_in_a_url_is_refused_at_once() -> None:
    """An option that redis-py does not know is found before the first message needs a connection."""
    with pytest.raises(ConfigurationError, match="option"):
        RedisStreamPublisherClient.from_url("redis://localhost?tiemout=1")


@pytest.mark.parametrize("options", ["protocol=3&decode_responses=true&socket_timeout=0.001", "encoding=utf-16"])
async def test_options_in_a_url_cannot_disturb(redis_url: str, stream_prefix: str, options: str) -> None:
    """How the publisher speaks to the server is not up to the URL."""
    async with RedisStreamPublisherClient.from_url(f"{redis_url}?{options}", prefix=stream_prefix) as client:
        assert outcomes(await client.publish(messages("orders", 2))) == {Outcome.PUBLISHED}
        assert (await client.health()).ok


def test_url_of_an_unknown_kind_is_refused_without_its_password() -> None:
    """A URL that cannot be read is refused with the kinds that can, and the password is not shown."""
    with pytest.raises(ConfigurationError, match="rediss://") as refusal:
        RedisStreamPublisherClient.from_url("http://user:s3cret@localhost")
    assert "s3cret" not in str(refusal.value)


async def test_health_names_the_problem_of_a_server_that_is_gone() -> None:
    """Without a server `health` is not ok, and says so instead of raising."""
    async with RedisStreamPublisherClient.from_url("redis://127.0.0.1:1") as client:
        health = await client.health()
    assert not health.ok
    assert "is it running, and is the URL right?" in (health.problem or "")
