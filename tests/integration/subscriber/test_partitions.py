"""Channels with partitions: instances share them evenly, each is read by one at a time, and its order is kept."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, cast

import pytest
from redis.asyncio import Redis, RedisCluster
from support.consuming import BullJobs, running, until
from support.partitions import (
    PARTITIONS,
    STREAMS,
    assert_once_and_in_order,
    in_the_streams,
    owners,
    producer_of,
    stays,
    subscriber,
)

from domainstream import EventProducer, RedisStreamPublisherClient
from domainstream.errors import ConfigurationError
from domainstream.testing import server_binaries
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.testing.fault_proxy import FaultProxy

LEASE = timedelta(seconds=2)


class Group:
    """Instances of one group, and the publisher and the queue around them."""

    def __init__(self, url: str, redis: Redis, prefix: str, owned: AsyncExitStack, *, queue: str = "valuation") -> None:
        self.url, self.redis, self.prefix = url, redis, prefix
        self.jobs = BullJobs(redis, f"{prefix}bull", queue)
        self._owned = owned
        self._rounds = 0

    async def start(self, name: str, *, url: str = "", lease: timedelta = LEASE) -> Any:
        """Start an instance; it is closed after the test."""
        instance = subscriber(url or self.url, name, lease, prefix=self.prefix, bull_prefix=f"{self.prefix}bull")
        await self._owned.enter_async_context(running(instance))
        return instance

    async def publish(self, rounds: int = 1) -> None:
        """Publish an event of each aggregate, so many times."""
        async with RedisStreamPublisherClient.from_url(self.url, prefix=self.prefix) as client:
            producer: EventProducer[Any] = producer_of(client)
            for _ in range(rounds):
                await producer.publish_many(stays(self._rounds))
                self._rounds += 1

    async def shared(self, *names: str) -> None:
        """Wait until exactly these instances have the partitions, in even shares."""

        async def are_shared() -> bool:
            counts = Counter(await owners(self.redis, self.prefix))
            return {*counts} == {*names} and max(counts.values()) == -(-PARTITIONS // len(names))

        await until(are_shared)

    async def forwarded(self) -> None:
        """Wait until each event has its job; assert that it has one, in the order of its partition."""
        streams = await in_the_streams(self.redis, self.prefix)
        count = sum(map(len, streams))

        async def are_all() -> bool:
            return len(await self.jobs.ids()) >= count

        await until(are_all)
        assert_once_and_in_order(await self.jobs.ids(), streams)


@pytest.fixture
async def group(redis_url: str, redis: Redis, stream_prefix: str) -> AsyncIterator[Group]:
    """A group without instances."""
    async with AsyncExitStack() as owned:
        yield Group(redis_url, redis, stream_prefix, owned)


async def test_one_instance_reads_all(group: Group) -> None:
    """An instance that is alone has every partition, and handlers see the channel, not the partition."""
    await group.start("one")
    await group.publish(5)
    await group.forwarded()
    fields = await group.jobs.fields((await group.jobs.ids())[0])
    assert json.loads(fields["data"])["_redisEvent"]["name"] == "domain_coding_stay_created"


async def test_instances_share_while_events_come(group: Group) -> None:
    """Instances that come and go under load share the partitions evenly; every event has one job, in order."""
    one = await group.start("one")
    await group.publish(5)
    await group.start("two")
    await group.start("three")
    await group.publish(20)
    await group.shared("one", "two", "three")
    await group.publish(5)
    one.stop()
    await group.publish(20)
    await group.shared("two", "three")
    await group.forwarded()


async def test_partitions_of_a_silent_instance_are_taken_over(group: Group) -> None:
    """Once the leases of an instance that is cut off have run out, the others have its partitions."""
    async with FaultProxy(group.url) as proxy:
        await group.start("one")
        await group.start("lost", url=proxy.url)
        await group.shared("one", "lost")
        proxy.swallow()
        await group.publish(5)
        await group.shared("one")
        await group.forwarded()
        proxy.swallow(on=False)
        await group.shared("one", "lost")
        await group.publish(5)
        await group.forwarded()


async def test_newcomer_waits_for_the_one_before(group: Group) -> None:
    """Until an instance has given its partitions up, one that comes leaves them alone."""
    one = await group.start("one")
    await group.publish()
    await group.shared("one")
    hand_over = one._hand_overs[STREAMS[0]]
    assert hand_over.share.is_mine
    await group.start("two")
    await group.shared("one", "two")
    mine = {stream for stream, each in one._hand_overs.items() if each.share.is_mine and stream in STREAMS}
    assert len(mine) == PARTITIONS / 2
    await group.publish(3)
    await group.forwarded()


async def test_members_that_cannot_be_asked(group: Group) -> None:
    """While members cannot be asked, an instance that knows none takes what is free, and others keep what they have."""
    key = f"{group.prefix}domain-events:members"
    await group.redis.set(key, "a key of another type")
    await group.start("one")
    await group.shared("one")
    await group.redis.delete(key)
    await group.start("two")
    await group.shared("one", "two")
    await group.redis.set(key, "a key of another type")
    await group.publish(3)
    await group.forwarded()
    assert Counter(await owners(group.redis, group.prefix)) == {"one": 6, "two": 6}


@pytest.mark.parametrize("layout", ["4", "12>16"])
async def test_other_number_ends_the_start(group: Group, layout: str) -> None:
    """An instance with another number of partitions than the server does not start: it would leave events unread."""
    await group.redis.set(f"{group.prefix}domain_coding_stay_created", layout)
    instance = subscriber(group.url, "one", LEASE, prefix=group.prefix)
    with pytest.raises(ConfigurationError, match="DOMAIN_CODING_STAY_CREATED"):
        await instance.run()
    await instance.close()


async def test_instance_writes_the_number_down(group: Group) -> None:
    """Whoever comes first writes the number down, also a subscriber before any publisher."""
    await group.start("one")

    async def is_written() -> bool:
        return await group.redis.get(f"{group.prefix}domain_coding_stay_created") == b"12"

    await until(is_written)


async def test_silence_of_a_partition(group: Group, record_property: Callable[[str, object], None]) -> None:
    """How long nobody reads a partition when an instance comes, and when one goes: measured, in milliseconds."""
    one = await group.start("one", lease=timedelta(seconds=10))
    await group.shared("one")

    async def silence(*names: str) -> float:
        """Return the longest time for which a partition had no owner, until these instances share them."""
        began: dict[int, float] = {}
        longest = 0.0
        now = asyncio.get_running_loop().time
        async with asyncio.timeout(30):
            while True:
                found = await owners(group.redis, group.prefix)
                for number, owner in enumerate(found):
                    if owner:
                        longest = max(longest, now() - began.pop(number, now()))
                    else:
                        began.setdefault(number, now())
                if {*found} == {*names}:
                    return longest * 1000
                await asyncio.sleep(0.002)

    await group.start("two", lease=timedelta(seconds=10))
    record_property("figure", f"a newcomer silences a partition for {await silence('one', 'two'):.0f} ms")
    one.stop()
    record_property("figure", f"a graceful stop silences a partition for {await silence('two'):.0f} ms")


@pytest.mark.xdist_group("cluster")
async def test_partitions_on_a_cluster(stream_prefix: str) -> None:
    """On a cluster, partitions and the queue lie on three nodes; instances that come and go keep each in order."""
    binary = next(iter(server_binaries()))
    with ClusterLab(3, 0, binary=binary.path) as cluster:
        async with AsyncExitStack() as owned, RedisCluster.from_url(cluster.nodes[0].url) as redis:
            group = Group(cluster.url, cast("Redis", redis), stream_prefix, owned, queue="{valuation}")
            one = await group.start("one")
            await group.start("two")
            await group.publish(10)
            await group.shared("one", "two")
            await group.publish(5)
            one.stop()
            await group.publish(10)
            await group.shared("two")
            await group.forwarded()
