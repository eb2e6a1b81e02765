"""Queues with partitions: each partition has a Node.js Worker of its own, or ours, on one server and on a cluster."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from interop.node_process import NodeProgram, node
from redis.asyncio import Redis, RedisCluster
from support.consuming import (
    CALCULATED,
    EVALUATED,
    GROUP,
    OptimizationEvaluated,
    Streams,
    evaluated,
    message,
    running,
    until,
)

from domainstream.channel.partitions import partition_of
from domainstream.subscriber import RedisBullMQStreamSubscriber, create_multiple_handlers, to_queue
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.worker import EventConsumer, EventContext, EventWorker

PARTITIONS = 3
EVENTS = 60


def subscriber(url: str, prefix: str) -> RedisBullMQStreamSubscriber:
    """Return a subscriber to a queue with partitions."""
    handler = to_queue("billing", job="bill", partitions=PARTITIONS)
    return RedisBullMQStreamSubscriber.from_url(
        url,
        group=GROUP,
        subscriptions=create_multiple_handlers({EVALUATED: [handler], CALCULATED: []}),
        prefix=prefix,
        bull_prefix=f"{prefix}bull",
    )


def events() -> list[OptimizationEvaluated]:
    """Return events of ten aggregates."""
    return [evaluated(aggregate_id=f"opt-{number % 10}") for number in range(EVENTS)]


def in_partition(number: int, some: list[OptimizationEvaluated]) -> list[str]:
    """Return the ids of the events whose jobs a partition gets."""
    return [event.id for event in some if partition_of(event.aggregate_id, PARTITIONS) == number]


async def ids_of(worker: NodeProgram, count: int) -> list[str]:
    """Return the events of the next jobs that a worker says it gets."""
    return [line["data"]["id"] for line in await worker.lines(count)]


async def test_each_partition_has_a_node_worker(redis_url: str, redis: Redis, stream_prefix: str) -> None:
    """A Worker of `billing-p1` gets the events of its keys alone, in their order."""
    published, streams = events(), Streams(redis, stream_prefix)
    async with AsyncExitStack() as owned:
        given: dict[str, Any] = {"url": redis_url, "prefix": f"{stream_prefix}bull"}
        names = [f"billing-p{number}" for number in range(PARTITIONS)]
        workers = [await owned.enter_async_context(node("worker.mjs", queue=name, **given)) for name in names]
        await owned.enter_async_context(running(subscriber(redis_url, stream_prefix)))
        for event in published:
            await streams.add(event)
        for number, worker in enumerate(workers):
            expected = in_partition(number, published)
            assert await ids_of(worker, len(expected)) == expected


async def test_workers_of_both_languages_share_the_partitions(redis_url: str, redis: Redis, stream_prefix: str) -> None:
    """Our worker of `billing` works all partitions, also one that has a Node.js Worker; each job is handled once."""
    published, streams = events(), Streams(redis, stream_prefix)
    ours: list[str] = []
    theirs: list[str] = []
    consumer = EventConsumer("billing", partitions=PARTITIONS)

    @consumer.on(OptimizationEvaluated)
    async def bill(event: OptimizationEvaluated, context: EventContext) -> None:
        ours.append(event.id)

    async def listen(worker: NodeProgram) -> None:
        while True:
            theirs.extend(await ids_of(worker, 1))

    bull = f"{stream_prefix}bull"
    async with (
        node("worker.mjs", url=redis_url, prefix=bull, queue="billing-p1") as worker,
        running(EventWorker.from_url(redis_url, consumer, bull_prefix=bull)),
        running(subscriber(redis_url, stream_prefix)),
    ):
        listening = asyncio.create_task(listen(worker))
        for event in published:
            await streams.add(event)
        await until(lambda: len(ours) + len(theirs) == EVENTS)
        listening.cancel()
    assert sorted([*ours, *theirs]) == sorted(event.id for event in published)
    assert set(theirs) <= set(in_partition(1, published))


@pytest.mark.xdist_group("cluster")
async def test_node_workers_on_a_cluster(cluster: ClusterLab, stream_prefix: str) -> None:
    """On a cluster, the Worker of a partition is that of `{billing-p1}`; the partitions lie on several nodes."""
    published, bull = events(), f"{stream_prefix}bull"
    names = [f"{{billing-p{number}}}" for number in range(PARTITIONS)]
    assert len({cluster.primary_of(f"{bull}:{name}:wait") for name in names}) > 1
    async with AsyncExitStack() as owned, RedisCluster.from_url(cluster.nodes[0].url) as redis:
        given: dict[str, Any] = {"url": cluster.url, "prefix": bull}
        workers = [await owned.enter_async_context(node("worker.mjs", queue=name, **given)) for name in names]
        await owned.enter_async_context(running(subscriber(cluster.url, stream_prefix)))
        for event in published:
            await redis.xadd(f"{stream_prefix}{EVALUATED.value}", {"data": message(event)})
        for number, worker in enumerate(workers):
            expected = in_partition(number, published)
            assert await ids_of(worker, len(expected)) == expected
