"""The index of a stream finds entries by their ids, says when it lacks some, and goes with the stream."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from zlib import crc32

import pytest
from redis.asyncio import Redis
from support.indexes import CHANNEL, Indexed, stored

from domainstream import Retention
from domainstream.channel.partitions import parse_target, targets_of
from domainstream.producer import OutgoingMessage
from domainstream.publisher import BatchIdentity, RedisBatchPublisher
from domainstream.publisher.index_records import index_keys
from domainstream.redis.nodes import RedisNodes
from domainstream.redis.topology import Address
from domainstream.stream import RedisStreamTrimmer
from domainstream.stream.inspection.index import RedisIndexSearch
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.testing.fault_proxy import FaultProxy

EVERYTHING = Retention(max_age=None)


@pytest.fixture
async def indexed(redis_url: str, redis: Redis, stream_prefix: str) -> AsyncIterator[Indexed]:
    """A stream whose publisher keeps an index, and nothing is removed."""
    async with Indexed.opened(redis_url, redis, stream_prefix, retention=EVERYTHING) as scene:
        yield scene


@pytest.mark.parametrize("batch", [1, 2, 7, 700])
async def test_entries_are_found_by_subject(indexed: Indexed, batch: int) -> None:
    """Of batches of any size, exactly the entries about an aggregate are found, in their order."""
    wanted = []
    for number in range(1_400 // batch):
        messages = [stored(f"stay-{position}") for position in range(batch)]
        messages[number % batch] = stored("stay-x")
        wanted.append((await indexed.publish(*messages))[number % batch])
    assert await indexed.found("stay-x") == wanted
    assert await indexed.found("stay-y") == []


async def test_entry_is_found_by_each_of_its_ids(indexed: Indexed) -> None:
    """Subject, correlation id and the event's own id lead to an entry, and to it alone."""
    message = stored("stay-1", correlation_id="visit é")
    await indexed.publish(stored("stay-2"))
    added = await indexed.publish(message)
    for wanted in ("stay-1", "visit é", message.event_id):
        assert await indexed.found(wanted) == added


async def test_entry_is_found_once(indexed: Indexed) -> None:
    """An event whose ids are all the same is one entry."""
    message = stored("event-x", correlation_id="event-x")
    assert await indexed.found("event-x") == []
    added = await indexed.publish(message, message)
    assert await indexed.found("event-x") == added


async def test_message_that_cannot_be_read_has_a_record(indexed: Indexed) -> None:
    """Nobody could find it anyway, so it does not make the index incomplete."""
    await indexed.publish(OutgoingMessage(CHANNEL, "event-0", b"rubbish"))
    added = await indexed.publish(stored("stay-1"))
    assert await indexed.found("stay-1") == added


async def test_hashes_that_collide_are_both_found(indexed: Indexed) -> None:
    """The index says which entries may be meant, and leaves it to its reader to look."""
    first, second = "plumless", "buckeroo"
    assert crc32(first.encode()) == crc32(second.encode())
    added = await indexed.publish(stored(first), stored(second))
    assert await indexed.found(first) == added


async def test_long_index_is_searched_in_several_calls(indexed: Indexed) -> None:
    """What does not fit into one call is found by the next ones, and all of it is counted."""
    early = await indexed.publish(stored("stay-1"))
    await indexed.fill(250, each=500)
    late = await indexed.publish(stored("stay-1"))
    assert await indexed.redis.strlen(indexed.tail) < 32_768
    assert await indexed.elements() > 64
    assert await indexed.found("stay-1") == [*early, *late]


async def test_stream_without_index_is_not_complete(indexed: Indexed) -> None:
    """A stream that somebody else writes to may hold more than the index finds."""
    await indexed.redis.xadd(indexed.key, {"data": "x"})
    assert await indexed.found("stay-1") is None
    await indexed.publish(stored("stay-1"))
    assert await indexed.found("stay-1") is None


async def test_index_is_complete_again_once_the_entry_is_gone(indexed: Indexed) -> None:
    """An entry without a record matters as long as it is there."""
    await indexed.redis.xadd(indexed.key, {"data": "x"})
    added = await indexed.publish(stored("stay-1"))
    await indexed.redis.xtrim(indexed.key, minid=added[0], approximate=False)
    assert await indexed.found("stay-1") == added


async def test_removal_in_the_middle_makes_it_incomplete(indexed: Indexed) -> None:
    """With an entry gone, the numbers would agree although another one has no record."""
    added = await indexed.publish(stored("stay-1"), stored("stay-2"))
    await indexed.redis.xadd(indexed.key, {"data": "x"})
    await indexed.redis.xdel(indexed.key, added[1])
    assert await indexed.found("stay-1") is None


async def test_empty_stream_is_complete(indexed: Indexed) -> None:
    """Nothing is missing from the index of a stream that is empty, or that is not there."""
    added = await indexed.publish(stored("stay-1"))
    await indexed.redis.xtrim(indexed.key, maxlen=0, approximate=False)
    assert await indexed.found("stay-1") == added
    await indexed.redis.delete(indexed.key)
    assert await indexed.found("stay-1") == []


async def test_ids_ahead_of_the_clock_are_found(indexed: Indexed) -> None:
    """Entries behind an explicit id, whose numbers begin anywhere, are found as well."""
    await indexed.redis.xadd(indexed.key, {"data": "x"}, id="9999999999999-4294967290")
    await indexed.redis.xtrim(indexed.key, maxlen=0, approximate=False)
    added = await indexed.publish(stored("stay-1"), stored("stay-2"), stored("stay-1"))
    assert added[0] == "9999999999999-4294967291"
    assert await indexed.found("stay-1") == [added[0], added[2]]


async def test_number_that_does_not_fit_makes_it_incomplete(indexed: Indexed) -> None:
    """An entry whose id does not fit into a record is published nevertheless."""
    await indexed.redis.xadd(indexed.key, {"data": "x"}, id="9999999999999-4294967295")
    added = await indexed.publish(stored("stay-1"))
    assert added == ["9999999999999-4294967296"]
    assert await indexed.found("stay-1") is None


async def test_records_go_with_their_entries(redis_url: str, redis: Redis, stream_prefix: str) -> None:
    """However much is published, the index keeps little more than the records of the entries that are there."""
    retention = Retention(max_length=1_000)
    async with Indexed.opened(redis_url, redis, stream_prefix, retention=retention) as indexed:
        await indexed.fill(60, each=500)
        assert await redis.xlen(indexed.key) <= 1_600
        assert await indexed.elements() <= 3
        added = await indexed.publish(stored("stay-1"))
        assert await indexed.found("stay-1") == added


async def test_trimmer_removes_the_index_of_an_empty_stream(indexed: Indexed) -> None:
    """A quiet stream that has become empty keeps no records; those that it still needs stay."""
    await indexed.fill(2, each=1_500)
    assert await indexed.elements() == 2
    trimmer = RedisStreamTrimmer(indexed.redis, [CHANNEL], retention=Retention(max_length=1_000), prefix=indexed.prefix)
    await trimmer.run_once()
    assert await indexed.elements() == 1
    assert await indexed.found("other-1499") is not None
    await indexed.redis.xtrim(indexed.key, maxlen=0, approximate=False)
    await trimmer.run_once()
    assert await indexed.redis.exists(indexed.index, indexed.tail) == 0


async def test_trimmer_removes_the_index_of_a_stream_that_is_gone(indexed: Indexed) -> None:
    """Whoever removes a stream need not know of its index."""
    await indexed.fill(1, each=1_500)
    await indexed.redis.delete(indexed.key)
    await RedisStreamTrimmer(indexed.redis, [CHANNEL], retention=Retention(), prefix=indexed.prefix).run_once()
    assert await indexed.redis.exists(indexed.index, indexed.tail) == 0


async def test_repeated_batch_has_its_records_once(redis_url: str, redis: Redis, stream_prefix: str) -> None:
    """After a lost reply neither the entries nor their records are added again."""
    async with FaultProxy(redis_url) as proxy, Indexed.opened(proxy.url, redis, stream_prefix) as indexed:
        await indexed.publish(stored("stay-0"))
        proxy.lose_replies_to(b"EVALSHA", 1)
        added = await indexed.publish(stored("stay-1"), stored("stay-2"))
        assert proxy.faults == 1
        assert await redis.strlen(indexed.tail) == (16 + 12) + (16 + 2 * 12)
        assert await indexed.found("stay-2") == added[1:]


async def test_batch_is_published_where_the_index_cannot_be_written(indexed: Indexed) -> None:
    """A key of another type in the place of the index costs the index, and no event."""
    await indexed.redis.sadd(indexed.tail, "x")
    added = await indexed.publish(stored("stay-1"), stored("stay-2"))
    assert await indexed.redis.xlen(indexed.key) == len(added) == 2


@pytest.mark.parametrize("rights", [["+@all", "-append"], ["+@all", "-rpush"]])
async def test_user_who_may_not_write_the_index_publishes(
    redis_url: str, redis: Any, stream_prefix: str, rights: list[str]
) -> None:
    """Without the commands of the index a user publishes as before, and the reader sees that records are missing."""
    user = f"user-{stream_prefix[:-1]}"
    await redis.execute_command("ACL", "SETUSER", user, "on", ">secret", "~*", *rights)
    url = redis_url.replace("://", f"://{user}:secret@")
    async with Indexed.opened(url, redis, stream_prefix, retention=EVERYTHING) as indexed:
        await indexed.fill(2, each=1_500)
        assert await redis.xlen(indexed.key) == 3_000
        assert await indexed.found("stay-1") is None
    await redis.acl_deluser(user)


async def test_user_who_may_not_touch_its_keys_publishes(redis_url: str, redis: Any, stream_prefix: str) -> None:
    """Where a user's key patterns leave the index out, its keys are not named from the second call on."""
    user = f"user-{stream_prefix[:-1]}"
    patterns = [f"~{stream_prefix}*", f"~{{{stream_prefix}*:producer:*"]
    await redis.execute_command("ACL", "SETUSER", user, "on", ">secret", "+@all", *patterns)
    url = redis_url.replace("://", f"://{user}:secret@")
    async with Indexed.opened(url, redis, stream_prefix) as indexed:
        for _ in range(3):
            assert "None" not in await indexed.publish(stored("stay-1"), stored("stay-2"))
        assert await redis.xlen(indexed.key) == 6
        assert await redis.exists(indexed.index, indexed.tail) == 0
    await redis.acl_deluser(user)


async def test_switched_off_it_leaves_no_key(redis_url: str, redis: Redis, stream_prefix: str) -> None:
    """Without an index, neither its keys nor its records are there."""
    async with Indexed.opened(redis_url, redis, stream_prefix, index=False) as indexed:
        await indexed.publish(stored("stay-1"))
        assert await redis.exists(indexed.index, indexed.tail) == 0
        assert await indexed.found("stay-1") is None


async def test_each_partition_has_its_own(indexed: Indexed) -> None:
    """The streams of partitions are indexed like others."""
    for target in targets_of(CHANNEL, 2):
        added = await indexed.publish(stored("stay-1", target=target))
        assert await indexed.found("stay-1", parse_target(target).stream) == added


async def test_relay_keeps_the_index(redis_url: str, redis: Redis, stream_prefix: str) -> None:
    """What a relay publishes has records, unless its index is switched off."""
    indexed = Indexed(redis_url, redis, stream_prefix)
    publisher = RedisBatchPublisher.from_url(redis_url, prefix=stream_prefix)
    await publisher.send([stored("stay-1")], BatchIdentity("a1", 1))
    await publisher.close()
    assert len(await indexed.found("stay-1") or ()) == 1
    plain = RedisBatchPublisher.from_url(redis_url, prefix=stream_prefix, index=False)
    await plain.send([stored("stay-1")], BatchIdentity("b2", 1))
    await plain.close()
    assert await indexed.found("stay-1") is None


async def test_elements_that_go_meanwhile_are_not_missed(indexed: Indexed) -> None:
    """When the beginning of a long index goes between two calls, the search goes on where it was."""
    await indexed.fill(250, each=500)
    late = await indexed.publish(stored("stay-1"))
    searching = RedisIndexSearch(_Trimming(indexed), prefix=indexed.prefix)
    found = await searching.find([CHANNEL], "stay-1")
    assert found.get(CHANNEL, late) == late


class _Trimming(RedisNodes):
    """Removes the beginning of the stream and of its index after the first call."""

    def __init__(self, indexed: Indexed) -> None:
        super().__init__(indexed.redis)
        self._indexed = indexed
        self._calls = 0

    async def address_of(self, key: str) -> Address:
        self._calls += 1
        if self._calls == 3:
            await self._indexed.redis.xtrim(self._indexed.key, maxlen=60_000, approximate=False)
            await self._indexed.redis.lpop(self._indexed.index, 40)
        return await super().address_of(key)


@pytest.mark.xdist_group("cluster")
async def test_indexes_of_all_nodes_are_searched(cluster: ClusterLab, redis: Redis, stream_prefix: str) -> None:
    """On a cluster each index lies beside its stream, and one search asks every node."""
    channels = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")
    async with Indexed.opened(cluster.url, redis, stream_prefix) as indexed:
        added = {channel: await indexed.publish(stored("stay-1", target=channel)) for channel in channels}
    async with RedisNodes.open(cluster.url, reply_timeout=timedelta(seconds=5)) as nodes:
        assert await RedisIndexSearch(nodes, prefix=stream_prefix).find(channels, "stay-1") == added
    for channel in channels:
        key = stream_prefix + channel
        assert cluster.primary_of(key).command("EXISTS", index_keys(key)[1]) == 1
