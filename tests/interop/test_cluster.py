"""Programs of both languages share a queue on a Redis Cluster, where BullMQ knows it as `{valuation}`."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from interop.shared_queue import JOB, SharedQueue
from interop.test_both_workers import read_ids
from redis.asyncio import Redis
from support.consuming import OptimizationEvaluated, Streams, evaluated, message, running, until

from domainstream.testing.cluster_lab import ClusterLab
from domainstream.worker import EventContext

JOBS = 300

pytestmark = pytest.mark.xdist_group("cluster")


@pytest.fixture
async def queue(cluster: ClusterLab, stream_prefix: str) -> AsyncIterator[SharedQueue]:
    """The queue of this test, at the node that has it."""
    node = cluster.primary_of(f"{stream_prefix}bull:{{valuation}}:wait")
    async with Redis.from_url(node.url) as redis:
        yield SharedQueue(cluster.url, Streams(redis, stream_prefix), name="{valuation}")


async def test_node_gets_our_jobs(queue: SharedQueue) -> None:
    """A Node.js Worker of `{valuation}` handles the jobs that we add to `valuation`, with their data unchanged."""
    job = queue.job("event-1")
    await queue.add(job)
    async with queue.node("worker.mjs") as worker:
        got = await worker.line()
        await until(lambda: queue.jobs.ids("completed"))
    assert (got["id"], got["name"]) == ("event-1", JOB)
    assert got["data"] == json.loads(job.data)


async def test_our_worker_gets_jobs_of_node(queue: SharedQueue) -> None:
    """Our worker of `valuation` handles the jobs that Node.js adds to `{valuation}`, and Node.js hears how they end."""
    handled: list[str] = []

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        handled.append(event.aggregate_id)

    async with queue.node("queue.mjs") as node, running(queue.worker(handle)):
        job_id = await node.answer("add", JOB, json.loads(message(evaluated(aggregate_id="stay-7"))))
        assert await node.ask("wait", job_id) == {"answer": None}
        assert await node.answer("state", job_id) == "completed"
    assert handled == ["stay-7"]


async def test_workers_of_both_languages_share_a_queue_that_moves(queue: SharedQueue, cluster: ClusterLab) -> None:
    """Workers of both languages handle each job of a queue once, also while it moves to another node."""
    ours: list[str] = []
    theirs: list[str] = []
    node_has_started = asyncio.Event()

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        await node_has_started.wait()
        ours.append(context.job_id)

    async with (
        running(queue.worker(handle, concurrency=5)),
        queue.node("worker.mjs", concurrency=5, patient=True) as worker,
    ):
        await queue.add(*(queue.job(f"event-{number}") for number in range(JOBS)))
        reading = asyncio.create_task(read_ids(worker, theirs, node_has_started))
        await node_has_started.wait()
        await asyncio.to_thread(move, cluster, queue.jobs.key)
        await until(lambda: len(ours) + len(theirs) >= JOBS)
        reading.cancel()
    assert Counter(ours + theirs) == Counter(f"event-{number}" for number in range(JOBS))
    assert ours
    assert theirs


def move(cluster: ClusterLab, key: str) -> None:
    """Move a queue to another node."""
    to = next(node for node in cluster.nodes if node is not cluster.primary_of(key))
    cluster.move_slot(cluster.slot_of(key), to)
