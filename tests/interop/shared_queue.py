"""A queue for one test, and programs of both languages that use it."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from interop.node_process import NodeProgram, node
from support.consuming import (
    CALCULATED,
    EVALUATED,
    GROUP,
    BullJobs,
    OptimizationEvaluated,
    Streams,
    delivery,
    evaluated,
)

from domainstream.event import read_message
from domainstream.queue import BullMQQueue, Job, JobSettings, job_data
from domainstream.subscriber import RedisBullMQStreamSubscriber, create_multiple_handlers, to_queue
from domainstream.worker import EventConsumer, EventContext, EventWorker
from domainstream.worker.settings import WorkerSettings

NAME: Final = "valuation"
JOB: Final = "price-stay"

Handle = Callable[[OptimizationEvaluated, EventContext], Awaitable[None]]


class SharedQueue:
    """The queue `valuation` of one test, which BullMQ knows as `name`."""

    def __init__(self, url: str, streams: Streams, *, name: str = NAME) -> None:
        self._url = url
        self._name = name
        self._streams = streams
        self._prefix = f"{streams.prefix}bull"
        self.jobs = BullJobs(streams.redis, self._prefix, name)
        """Its jobs, as Redis stores them."""

    def subscriber(self, settings: JobSettings | None = None) -> RedisBullMQStreamSubscriber:
        """Return a subscriber that forwards the events of the evaluated channel to the queue."""
        handler = to_queue(NAME, job=JOB, settings=settings or JobSettings())
        return RedisBullMQStreamSubscriber.from_url(
            self._url,
            group=GROUP,
            subscriptions=create_multiple_handlers({EVALUATED: [handler], CALCULATED: []}),
            prefix=self._streams.prefix,
            bull_prefix=self._prefix,
        )

    def job(self, job_id: str, settings: JobSettings | None = None) -> Job:
        """Return a job for the queue with any event."""
        delivered = delivery(evaluated())
        data = job_data(delivered, read_message(delivered.data or b""))
        return Job(NAME, JOB, job_id, data, settings or JobSettings())

    async def add(self, *jobs: Job) -> None:
        """Add jobs to the queue in one call."""
        queue = BullMQQueue.from_url(self._url, bull_prefix=self._prefix)
        await queue.add(jobs)
        await queue.close()

    def worker(self, handle: Handle, *, concurrency: int = 50, settings: WorkerSettings | None = None) -> EventWorker:
        """Return one of our workers with one handler."""
        consumer = EventConsumer(NAME)
        consumer.on(OptimizationEvaluated)(handle)
        return EventWorker.from_url(
            self._url,
            consumer,
            concurrency=concurrency,
            bull_prefix=self._prefix,
            settings=settings or WorkerSettings(),
        )

    def node(self, program: str, **settings: Any) -> AbstractAsyncContextManager[NodeProgram]:
        """Run a Node.js program on the queue."""
        return node(program, url=self._url, prefix=self._prefix, queue=self._name, **settings)
