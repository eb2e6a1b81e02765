"""A queue of its own for each test of the worker, jobs for it, and workers and engines on it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

from support.consuming import PATIENCE, BullJobs, OptimizationEvaluated, delivery, evaluated, until

from domainstream.event import read_message
from domainstream.lifecycle import Lifecycle
from domainstream.queue import BullMQQueue, Job, JobSettings, job_data
from domainstream.worker import EventConsumer, EventContext, EventWorker, ReceivedJob
from domainstream.worker.bullmq.engine import BullMQEngine, WorkerConnections
from domainstream.worker.bullmq.job import HeldJob, held_job
from domainstream.worker.outcomes import AttemptResult, Completed
from domainstream.worker.settings import WorkerSettings

Handle = Callable[[OptimizationEvaluated, EventContext], Awaitable[None]]
SETTINGS = JobSettings(attempts=2, backoff=timedelta(milliseconds=20), jitter=0)


def job_of(
    event: OptimizationEvaluated | None = None,
    *,
    job_id: str = "event-1",
    data: bytes | None = None,
    settings: JobSettings = SETTINGS,
) -> Job:
    """Return a job for the queue `valuation`."""
    delivered = delivery(event or evaluated())
    data = data or job_data(delivered, read_message(delivered.data or b""))
    return Job("valuation", "price-stay", job_id, data, settings)


def jobs_of(count: int, settings: JobSettings = SETTINGS, *, first: int = 0) -> list[Job]:
    """Return `count` jobs: event-0, event-1, ..., or from another `first` number on."""
    data = b'{"x":1}'
    return [job_of(job_id=f"event-{number}", data=data, settings=settings) for number in range(first, first + count)]


class Valuation:
    """The queue `valuation` of one test: adds to it, opens workers for it, and inspects its jobs."""

    def __init__(self, url: str, prefix: str, jobs: BullJobs) -> None:
        self.url = url
        self.prefix = prefix
        self.jobs = jobs

    async def add(self, *jobs: Job) -> None:
        """Add jobs as a subscriber does."""
        queue = BullMQQueue.from_url(self.url, bull_prefix=self.prefix)
        await queue.add(jobs)
        await queue.close()

    async def wait_for(self, reason: str, *, job_id: str) -> None:
        """Add a job that is delayed for a reason, as a worker leaves one that it does not handle yet."""
        await self.add(job_of(job_id=job_id, settings=JobSettings(delay=timedelta(minutes=5))))
        await self.jobs.redis.hset(f"{self.jobs.key}:{job_id}", "failedReason", reason)

    def worker(self, handle: Handle, **settings: Any) -> EventWorker:
        """Open a worker with one handler."""
        consumer = EventConsumer("valuation")
        consumer.on(OptimizationEvaluated)(handle)
        return EventWorker.from_url(self.url, consumer, bull_prefix=self.prefix, **settings)

    def engine(
        self,
        attempt: Callable[[ReceivedJob], Awaitable[AttemptResult]],
        *,
        concurrency: int = 10,
        grace: float = 5,
        url: str | None = None,
        **settings: Any,
    ) -> BullMQEngine:
        """Return an engine that runs `attempt`; `url` may lead through a proxy."""
        chosen = WorkerSettings(**settings)
        connections = WorkerConnections(url or self.url, "valuation", bull_prefix=self.prefix, name=chosen.name)
        return BullMQEngine(
            connections,
            "valuation",
            attempt,
            concurrency=concurrency,
            grace=timedelta(seconds=grace),
            settings=chosen,
        )

    async def ended(self, state: str, count: int = 1) -> list[str]:
        """Wait until `count` jobs are in a state, and return their ids."""

        async def enough() -> list[str] | None:
            ids = await self.jobs.ids(state)
            return ids if len(ids) >= count else None

        ids: list[str] = await until(enough)
        return ids


@asynccontextmanager
async def working(engine: BullMQEngine) -> AsyncIterator[asyncio.Event]:
    """Run an engine for the time of the block; the event that is yielded stops it earlier."""
    lifecycle = Lifecycle("EventWorker")
    task = asyncio.create_task(lifecycle.run(partial(engine.run, lifecycle)))
    try:
        yield lifecycle.stopping
    finally:
        lifecycle.stop()
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait([task])
    task.result()


class Diary:
    """An attempt that completes every job and records which, and when."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.times: list[float] = []

    async def __call__(self, job: ReceivedJob) -> AttemptResult:
        """Complete a job."""
        self.ids.append(job.id)
        self.times.append(time.time())
        return Completed()

    async def handled(self, count: int) -> None:
        """Wait until `count` jobs were handled."""
        await until(lambda: len(self.ids) >= count)


def held(token: str) -> HeldJob:
    """Return a job that a worker holds under a token."""
    return held_job([b"name", b"price-stay", b"data", b"{}"], b"event-1", token.encode())
