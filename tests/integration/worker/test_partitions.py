"""The worker of a queue with partitions: one process works all of them, within one concurrency."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis
from support.consuming import BullJobs, OptimizationEvaluated, evaluated, running, until
from support.working import Handle, job_of

from domainstream.queue import BullMQQueue, Job
from domainstream.queue.partitions import queues_of
from domainstream.testing.cluster_lab import ClusterLab
from domainstream.worker import EventConsumer, EventContext, EventWorker, GiveUp, WorkerStats

PARTITIONS = 4
QUEUES = queues_of("billing", PARTITIONS)


class Billing:
    """The queue `billing` of one test, with its partitions."""

    def __init__(self, url: str, redis: Redis, prefix: str) -> None:
        self.url = url
        self.prefix = prefix
        self.jobs = {queue: BullJobs(redis, prefix, queue) for queue in QUEUES}

    async def add(self, *counts: int) -> None:
        """Add so many jobs to each partition; the id of a job begins with the partition's name."""
        pairs = zip(QUEUES, counts, strict=False)
        queue = BullMQQueue.from_url(self.url, bull_prefix=self.prefix)
        await queue.add([job_in(name, number) for name, count in pairs for number in range(count)])
        await queue.close()

    def worker(self, handle: Handle, *, concurrency: int = 50) -> EventWorker:
        """Return a worker of all partitions."""
        consumer = EventConsumer("billing", partitions=PARTITIONS)
        consumer.on(OptimizationEvaluated)(handle)
        return EventWorker.from_url(self.url, consumer, bull_prefix=self.prefix, concurrency=concurrency)

    async def completed(self) -> list[int]:
        """Return how many jobs are completed in each partition."""
        return [len(await jobs.ids("completed")) for jobs in self.jobs.values()]

    async def waits_for(self, *counts: int) -> None:
        """Wait until so many jobs are completed in each partition."""

        async def are_completed() -> bool:
            return await self.completed() == [*counts]

        await until(are_completed)


def job_in(queue: str, number: int) -> Job:
    """Return a job for a partition."""
    job = job_of(evaluated(), job_id=f"{queue}-{number}")
    return Job(queue, job.name, job.id, job.data, job.settings)


@pytest.fixture
def billing(redis_url: str, redis: Redis, stream_prefix: str) -> Billing:
    """The queue of this test."""
    return Billing(redis_url, redis, f"{stream_prefix}bull")


class Desk:
    """Handlers that wait until they may go on."""

    def __init__(self) -> None:
        self.busy: list[str] = []
        self.most = 0
        self.handled: list[str] = []
        self.go_on = asyncio.Semaphore(0)

    async def handle(self, event: OptimizationEvaluated, context: EventContext) -> None:
        """Wait for a permit."""
        self.busy.append(context.job_id)
        self.most = max(self.most, len(self.busy))
        try:
            await self.go_on.acquire()
            self.handled.append(context.job_id.rpartition("-")[0])
        finally:
            self.busy.remove(context.job_id)

    def open(self) -> None:
        """Let all handlers go on."""
        for _ in range(10_000):
            self.go_on.release()

    @property
    def queues(self) -> Counter[str]:
        """How many handlers run for each partition."""
        return Counter(job_id.rpartition("-")[0] for job_id in self.busy)


async def test_one_worker_handles_all_partitions(billing: Billing) -> None:
    """The jobs of every partition are handled, those that are there and those that come, and counted together."""

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        if context.job_id == "billing-p3-0":
            raise GiveUp("no such tariff")

    await billing.add(5, 5)
    worker = billing.worker(handle)
    async with running(worker):
        await billing.waits_for(5, 5, 0, 0)
        assert (await worker.health()).ok
        await billing.add(0, 0, 2, 3)
        await billing.waits_for(5, 5, 2, 2)
        await until(lambda: worker.stats.failed)
    assert worker.stats == WorkerStats(completed=14, failed=1, last_failure="price-stay (billing-p3-0)")


async def test_concurrency_is_that_of_all_partitions(billing: Billing) -> None:
    """However the jobs are spread, no more handlers run than the concurrency; all partitions have their share."""
    desk = Desk()
    await billing.add(20, 20, 20, 20)
    async with running(billing.worker(desk.handle, concurrency=8)):
        await until(lambda: desk.queues == dict.fromkeys(QUEUES, 2))
        desk.open()
        await billing.waits_for(20, 20, 20, 20)
    assert desk.most == 8


async def test_hot_partition_uses_the_places_of_others(billing: Billing) -> None:
    """While the other partitions have no jobs, one has the whole concurrency; their jobs are not starved by it."""
    desk = Desk()
    await billing.add(100)
    async with running(billing.worker(desk.handle, concurrency=8)):
        await until(lambda: desk.queues == {QUEUES[0]: 8})
        await billing.add(0, 1)
        for _ in range(8):
            desk.go_on.release()
        await until(lambda: QUEUES[1] in desk.queues)
        desk.open()
        await billing.waits_for(100, 1, 0, 0)
    assert desk.most == 8


async def test_partitions_take_turns_with_one_place(billing: Billing) -> None:
    """With fewer places than partitions, a backlog in one of them does not hold up the others."""
    desk = Desk()
    await billing.add(10, 10, 10, 10)
    async with running(billing.worker(desk.handle, concurrency=1)):
        desk.open()
        await billing.waits_for(10, 10, 10, 10)
    assert desk.most == 1
    assert set(desk.handled[:12]) == {*QUEUES}


async def test_stop_lets_all_partitions_finish(billing: Billing) -> None:
    """A worker that stops takes no more jobs of any partition, and waits for the handlers of each."""
    desk = Desk()
    await billing.add(5, 5, 5, 5)
    worker = billing.worker(desk.handle, concurrency=4)
    async with running(worker):
        await until(lambda: desk.queues == dict.fromkeys(QUEUES, 1))
        worker.stop()
        desk.open()
    assert await billing.completed() == [1, 1, 1, 1]
    assert not any([await jobs.ids("active") for jobs in billing.jobs.values()])


async def test_cancelled_worker_hands_back_the_jobs_of_all_partitions(billing: Billing) -> None:
    """A second cancellation aborts the handlers; their jobs return to the queue they came from."""
    desk = Desk()
    await billing.add(1, 1, 1, 1)
    worker = billing.worker(desk.handle)
    task = asyncio.create_task(worker.run())
    await until(lambda: len(desk.busy) == PARTITIONS)
    task.cancel()
    await until(worker._lifecycle.stopping.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [await jobs.ids() for jobs in billing.jobs.values()] == [[f"{queue}-0"] for queue in QUEUES]


async def test_workers_share_partitions(billing: Billing) -> None:
    """Several workers of the queue share each of its partitions, and every job is handled once."""
    one, two = Desk(), Desk()
    await billing.add(10, 10, 10, 10)
    async with running(billing.worker(one.handle, concurrency=4)), running(billing.worker(two.handle, concurrency=4)):
        await until(lambda: len(one.busy) == len(two.busy) == 4)
        one.open()
        two.open()
        await billing.waits_for(10, 10, 10, 10)
    assert len(one.handled) + len(two.handled) == 40


@pytest.mark.xdist_group("cluster")
async def test_partitions_of_a_node_that_hangs_hold_up_no_others(cluster: ClusterLab, stream_prefix: str) -> None:
    """The partitions of a queue lie on several nodes; while one of these does not answer, the others are worked."""
    prefix = f"{stream_prefix}bull"
    nodes = {queue: cluster.primary_of(f"{prefix}:{{{queue}}}:wait") for queue in QUEUES}
    assert len(set(nodes.values())) > 1
    hanging = nodes[QUEUES[0]]
    for node in cluster.nodes:  # they may call the one that hangs dead, as on a busy machine
        node.command("CONFIG", "SET", "cluster-require-full-coverage", "no")
    handled: list[str] = []

    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        handled.append(context.job_id.rpartition("-")[0])

    billing = Billing(cluster.url, Redis(), prefix)
    worker = billing.worker(handle, concurrency=2)
    async with running(worker):
        await billing.add(3, 3, 3, 3)
        await until(lambda: Counter(handled) == dict.fromkeys(QUEUES, 3))
        working = [queue for queue, node in nodes.items() if node is not hanging]
        hanging.pause()
        try:
            handled.clear()
            queue = BullMQQueue.from_url(cluster.url, bull_prefix=prefix)
            await queue.add([job_in(name, number) for name in working for number in range(10, 20)])
            await queue.close()
            await until(lambda: Counter(handled) == dict.fromkeys(working, 10))
        finally:
            hanging.resume()
        await until(worker_is_well(worker))


def worker_is_well(worker: EventWorker) -> Callable[[], Awaitable[bool]]:
    """Return a condition for `until`: the worker is healthy."""

    async def is_well() -> bool:
        return (await worker.health()).ok

    return is_well
