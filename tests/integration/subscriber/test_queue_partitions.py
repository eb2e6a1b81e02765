"""Queues with partitions: each event's job goes to the BullMQ queue of its key, in the order of that key."""

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any
from zlib import crc32

import pytest
from redis.asyncio import Redis, RedisCluster
from support.consuming import BullJobs, running, until
from support.partitions import PARTITIONS, StayCreated, producer_of, stays, subscriber

from domainstream import EventProducer, RedisStreamPublisherClient
from domainstream.queue.partitions import queues_of
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.worker import EventConsumer, EventContext, EventWorker

LEASE = timedelta(seconds=2)
AGGREGATES = 60
OTHER = 8
"""Another number of partitions than the channel's."""


class System:
    """A channel with partitions, its subscribers, and a queue with partitions."""

    def __init__(self, url: str, redis: Any, prefix: str, owned: AsyncExitStack, *, partitions: int) -> None:
        self.url, self.redis, self.prefix, self.partitions = url, redis, prefix, partitions
        names = queues_of("valuation", partitions)
        is_cluster = isinstance(redis, RedisCluster)
        self.queues = {name: BullJobs(redis, f"{prefix}bull", f"{{{name}}}" if is_cluster else name) for name in names}
        self._owned = owned
        self._rounds = 0

    async def start(self, name: str) -> Any:
        """Start an instance of the subscriber; it is closed after the test."""
        prefixes = {"prefix": self.prefix, "bull_prefix": f"{self.prefix}bull"}
        instance = subscriber(self.url, name, LEASE, of_queue=self.partitions, **prefixes)
        await self._owned.enter_async_context(running(instance))
        return instance

    async def publish(self, rounds: int = 1) -> None:
        """Publish an event of each aggregate, so many times; their numbers are those of the rounds."""
        async with RedisStreamPublisherClient.from_url(self.url, prefix=self.prefix) as client:
            producer: EventProducer[Any] = producer_of(client)
            for _ in range(rounds):
                await producer.publish_many(stays(self._rounds, AGGREGATES))
                self._rounds += 1

    async def added(self) -> dict[str, list[str]]:
        """Wait until all jobs are in the queues, and return their ids by BullMQ queue."""

        async def are_there() -> bool:
            counts = [len(await jobs.ids()) for jobs in self.queues.values()]
            return sum(counts) >= self._rounds * AGGREGATES

        await until(are_there)
        return {name: await jobs.ids() for name, jobs in self.queues.items()}

    async def assert_in_order(self) -> None:
        """Assert that each event has one job, in the partition of its key, and after those of the events before."""
        seen: defaultdict[str, list[int]] = defaultdict(list)
        for name, ids in (await self.added()).items():
            for job_id in ids:
                data = (await self.queues[name].fields(job_id))["data"].decode()
                aggregate = data.partition('"subject":"')[2].partition('"')[0]
                assert name == f"valuation-p{crc32(aggregate.encode()) % self.partitions}"
                seen[aggregate].append(int(data.partition('"number":')[2].partition("}")[0]))
        assert seen == {f"stay-{number}": [*range(self._rounds)] for number in range(AGGREGATES)}

    async def marks(self, queue: str) -> set[str]:
        """Return the streams that a BullMQ queue has a mark of."""
        fields: Any = await self.redis.hkeys(f"{self.queues[queue].key}:domainstream:marks")
        return {field.decode().split("|")[1].removeprefix(self.prefix) for field in fields}


@pytest.fixture(params=[PARTITIONS, OTHER], ids=["as many as the channel", "another number"])
async def system(
    request: pytest.FixtureRequest, redis_url: str, redis: Redis, stream_prefix: str
) -> AsyncIterator[System]:
    """A system on one server, whose queue has as many partitions as the channel, or not."""
    async with AsyncExitStack() as owned:
        yield System(redis_url, redis, stream_prefix, owned, partitions=request.param)


async def test_each_job_is_in_the_partition_of_its_key(system: System) -> None:
    """Each event has one job, in the partition of its key and in the order of that key."""
    await system.start("one")
    await system.publish(20)
    await system.assert_in_order()


async def test_order_survives_instances_that_come_and_go(system: System) -> None:
    """While instances take the partitions of the channel over from each other, the order of each key stays."""
    one = await system.start("one")
    await system.publish(5)
    await system.start("two")
    await system.publish(15)
    one.stop()
    await system.publish(15)
    await system.assert_in_order()


async def test_stream_is_announced_to_the_queues_that_it_needs(system: System) -> None:
    """With the same number of partitions, a queue's partition knows of one stream; otherwise of all."""
    await system.start("one")
    await system.publish(5)
    await system.added()
    streams = {f"domain_coding_stay_created:p{number}" for number in range(PARTITIONS)}
    for number in range(system.partitions):
        marks = await system.marks(f"valuation-p{number}")
        assert marks == ({f"domain_coding_stay_created:p{number}"} if system.partitions == PARTITIONS else streams)


async def test_worker_handles_the_events_of_all_partitions(system: System) -> None:
    """The whole path: what is published to a channel with partitions is handled by the worker of all of the queue's."""
    handled: list[tuple[str, int]] = []
    consumer = EventConsumer("valuation", partitions=system.partitions)

    @consumer.on(StayCreated)
    async def price(event: StayCreated, context: EventContext) -> None:
        handled.append((event.aggregate_id, event.payload.number))

    await system.start("one")
    async with running(EventWorker.from_url(system.url, consumer, bull_prefix=f"{system.prefix}bull")):
        await system.publish(5)
        await until(lambda: len(handled) == 5 * AGGREGATES)
    assert sorted(handled) == sorted(
        (f"stay-{aggregate}", number) for aggregate in range(AGGREGATES) for number in range(5)
    )


async def test_jobs_that_a_partition_lost_are_added_again(system: System) -> None:
    """What one partition of a queue has lost is added again to that one, in order, and to no other."""
    await system.start("one")
    await system.publish(5)
    before = await system.added()
    lost = next(name for name, ids in before.items() if len(ids) > 5)
    marks = f"{system.queues[lost].key}:domainstream:marks"
    for field, mark in (await system.redis.hgetall(marks)).items():
        await system.redis.hset(marks, field, mark.split(b" ")[0] + b" 0-1")
    keys = [key async for key in system.redis.scan_iter(match=f"{system.queues[lost].key}:event-*")]
    await system.redis.delete(f"{system.queues[lost].key}:wait", *keys)
    await system.publish(2)
    await system.assert_in_order()


@pytest.mark.xdist_group("cluster")
@pytest.mark.parametrize("partitions", [PARTITIONS, OTHER], ids=["as many as the channel", "another number"])
async def test_partitions_lie_on_all_nodes_of_a_cluster(
    cluster: ClusterLab, stream_prefix: str, partitions: int
) -> None:
    """On a cluster, the partitions of one queue are work for all nodes, and each keeps the order of its keys."""
    async with AsyncExitStack() as owned, RedisCluster.from_url(cluster.nodes[0].url) as redis:
        system = System(cluster.url, redis, stream_prefix, owned, partitions=partitions)
        nodes = {cluster.primary_of(f"{jobs.key}:wait") for jobs in system.queues.values()}
        assert nodes == set(cluster.nodes)
        await system.start("one")
        await system.start("two")
        await system.publish(15)
        await system.assert_in_order()
