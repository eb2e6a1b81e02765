"""Channels with partitions: events of a key stay in order, and whoever has another number of partitions is rejected."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from redis.asyncio import Redis
from support.publishing import entries, messages, outcomes

from domainstream import Outcome, PublisherSettings, Receipt, RedisStreamPublisherClient
from domainstream.channel.partitions import targets_of
from domainstream.errors import ConfigurationError
from domainstream.producer import OutgoingMessage
from domainstream.publisher import BatchIdentity, RedisBatchPublisher
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.testing.fault_proxy import FaultProxy

CHANNEL = "domain_coding_stay_created"
FOUR = targets_of(CHANNEL, 4)


def spread(targets: Sequence[str], each: int = 1) -> list[OutgoingMessage]:
    """Return messages for all of the targets, in turn."""
    return [message for _ in range(each) for target in targets for message in messages(target, 1)]


async def stored(redis: Redis, prefix: str, partitions: int) -> list[list[bytes]]:
    """Return the messages in each partition's stream."""
    keys = [f"{prefix}{CHANNEL}:p{number}" for number in range(partitions)]
    return [[data for _, data in await entries(redis, key)] for key in keys]


def problems(receipts: Sequence[Receipt]) -> set[str]:
    """Return why events were rejected; each time because of the configuration."""
    found = set()
    for receipt in receipts:
        assert receipt.outcome is Outcome.REJECTED
        assert isinstance(receipt.error, ConfigurationError)
        found |= {*receipt.error.problems}
    return found


@pytest.fixture
async def client(redis_url: str, stream_prefix: str) -> AsyncIterator[RedisStreamPublisherClient]:
    """A client with streams of its own."""
    async with RedisStreamPublisherClient.from_url(redis_url, prefix=stream_prefix) as client:
        yield client


async def test_each_partition_keeps_its_order(
    client: RedisStreamPublisherClient, redis: Redis, stream_prefix: str
) -> None:
    """Concurrent calls put their events into the streams of the partitions, each in the order of the calls."""
    calls = [spread(FOUR, 3) for _ in range(20)]
    receipts = await asyncio.gather(*map(client.publish, calls))
    for number, found in enumerate(await stored(redis, stream_prefix, 4)):
        assert found == [each.data for call in calls for each in call if each.target == FOUR[number]]
    assert {(receipt.outcome, receipt.channel) for call in receipts for receipt in call} == {
        (Outcome.PUBLISHED, CHANNEL)
    }


async def test_number_is_written_down(client: RedisStreamPublisherClient, redis: Redis, stream_prefix: str) -> None:
    """The server has the number of partitions in place of the channel's stream, and beside each partition in use."""
    await client.publish(messages(FOUR[2], 1))
    assert await redis.get(f"{stream_prefix}{CHANNEL}") == b"4"
    assert await redis.get(f"{{{stream_prefix}{CHANNEL}:p2}}:partitions") == b"4"
    assert await redis.ttl(f"{stream_prefix}{CHANNEL}") == -1


@pytest.mark.parametrize("partitions", [1, 2, 8])
async def test_other_number_is_rejected(
    client: RedisStreamPublisherClient, redis_url: str, redis: Redis, stream_prefix: str, partitions: int
) -> None:
    """One that spreads the channel otherwise, or not at all, gets both numbers in an error, and adds nothing."""
    await client.publish(spread(FOUR))
    async with RedisStreamPublisherClient.from_url(redis_url, prefix=stream_prefix) as other:
        (problem,) = problems(await other.publish(spread(targets_of(CHANNEL, partitions))))
    assert "partitions=4" in problem
    assert "docs/how-to/partition-a-channel.md" in problem
    assert [len(each) for each in await stored(redis, stream_prefix, 8)] == [1, 1, 1, 1, 0, 0, 0, 0]


async def test_channel_with_a_stream_is_not_spread(
    client: RedisStreamPublisherClient, redis: Redis, stream_prefix: str
) -> None:
    """A channel that is a stream already stays one: its subscribers would not see what comes to partitions."""
    await client.publish(messages(CHANNEL, 1))
    (problem,) = problems(await client.publish(spread(FOUR)))
    assert "with partitions=1" in problem
    assert await stored(redis, stream_prefix, 4) == [[], [], [], []]


async def test_text_of_others_is_of_the_wrong_type(
    client: RedisStreamPublisherClient, redis: Redis, stream_prefix: str
) -> None:
    """A string in place of the stream that is not a number of partitions is reported as what it is."""
    await redis.set(f"{stream_prefix}{CHANNEL}", "hello")
    for target in (CHANNEL, FOUR[0]):
        (receipt,) = await client.publish(messages(target, 1))
        assert receipt.outcome is Outcome.REJECTED
        assert "WRONGTYPE" in str(receipt.error)
    assert await redis.get(f"{stream_prefix}{CHANNEL}") == b"hello"


async def test_change_is_noticed_by_running_publishers(
    client: RedisStreamPublisherClient, redis: Redis, stream_prefix: str
) -> None:
    """A publisher that has sent before is rejected as soon as a partition is closed for its number."""
    await client.publish(spread(FOUR))
    await redis.set(f"{{{stream_prefix}{CHANNEL}:p1}}:partitions", "8")
    receipts = await client.publish(spread(FOUR))
    assert [receipt.outcome for receipt in receipts] == [
        Outcome.REJECTED if target == FOUR[1] else Outcome.PUBLISHED for target in FOUR
    ]


async def test_lost_replies_add_nothing_twice(redis_url: str, redis: Redis, stream_prefix: str) -> None:
    """Every third reply is lost, those to claims as well, and each event is there once."""
    calls = [spread(FOUR) for _ in range(10)]
    async with FaultProxy(redis_url) as proxy:
        async with RedisStreamPublisherClient.from_url(proxy.url, prefix=stream_prefix) as client:
            for call in calls:
                proxy.lose_replies_to(b"EVALSHA", 1)
                assert outcomes(await client.publish(call)) == {Outcome.PUBLISHED}
        assert proxy.faults == len(calls)
    for number, found in enumerate(await stored(redis, stream_prefix, 4)):
        assert found == [call[number].data for call in calls]


async def test_repeat_after_a_change_finds_what_was_added(redis_url: str, redis: Redis, stream_prefix: str) -> None:
    """A relay that repeats a batch which was added before the number changed gets no rejection."""
    publisher = RedisBatchPublisher.from_url(redis_url, prefix=stream_prefix)
    batch, identity = spread(FOUR), BatchIdentity("a1b2", 1)
    assert await publisher.send(batch, identity) == {}
    for number in range(4):
        await redis.set(f"{{{stream_prefix}{CHANNEL}:p{number}}}:partitions", "8")
    assert await publisher.send(batch, identity) == {}
    rejected = await publisher.send(spread(FOUR), BatchIdentity("a1b2", 2))
    await publisher.close()
    assert {*rejected} == {*FOUR}
    assert [len(each) for each in await stored(redis, stream_prefix, 4)] == [1, 1, 1, 1]


async def test_batches_of_two_layouts_are_not_taken_for_each_other(
    redis_url: str, redis: Redis, stream_prefix: str
) -> None:
    """Rows of two numbers of partitions in one batch, whose streams are the same: the rejected ones are not settled."""
    publisher = RedisBatchPublisher.from_url(redis_url, prefix=stream_prefix)
    await publisher.send(messages(FOUR[0], 1), BatchIdentity("a1b2", 1))
    old, new, identity = messages(f"{CHANNEL}:p0/2", 1), messages(FOUR[0], 1), BatchIdentity("a1b2", 2)
    assert {*await publisher.send([*old, *new], identity)} == {f"{CHANNEL}:p0/2"}
    assert {*await publisher.send(old, identity)} == {f"{CHANNEL}:p0/2"}
    await publisher.close()
    assert (await stored(redis, stream_prefix, 1))[0][1:] == [new[0].data]


async def test_server_without_permission_to_claim_rejects(redis_url: str, redis: Any, stream_prefix: str) -> None:
    """Who must not write the number down gets the server's error, and no event is added."""
    user = f"user{stream_prefix[5:-1]}"
    await redis.acl_setuser(user, enabled=True, passwords=["+secret"], keys=["*"], commands=["+@all", "-set"])
    url = redis_url.replace("redis://", f"redis://{user}:secret@")
    async with RedisStreamPublisherClient.from_url(url, prefix=stream_prefix) as client:
        (receipt,) = await client.publish(messages(FOUR[0], 1))
    await redis.acl_deluser(user)
    assert receipt.outcome is Outcome.REJECTED
    assert "rejected the command" in str(receipt.error)
    assert await stored(redis, stream_prefix, 1) == [[]]


@pytest.mark.xdist_group("cluster")
async def test_partitions_spread_over_a_cluster(cluster: ClusterLab, stream_prefix: str) -> None:
    """On a cluster the streams of a channel lie on several nodes, each in order; another number is rejected there."""
    targets = targets_of(CHANNEL, 12)
    calls = [spread(targets) for _ in range(10)]
    settings = PublisherSettings(url=cluster.url, prefix=stream_prefix)
    async with RedisStreamPublisherClient.from_settings(settings) as client:
        receipts = await asyncio.gather(*map(client.publish, calls))
        assert {receipt.outcome for call in receipts for receipt in call} == {Outcome.PUBLISHED}
        problems(await client.publish(spread(targets_of(CHANNEL, 16))))
        problems(await client.publish(messages(CHANNEL, 1)))
    keys = [f"{stream_prefix}{CHANNEL}:p{number}" for number in range(12)]
    assert len({cluster.primary_of(key).address for key in keys}) == 3
    for number, key in enumerate(keys):
        async with Redis.from_url(cluster.primary_of(key).url) as redis:
            assert [data for _, data in await entries(redis, key)] == [call[number].data for call in calls]
