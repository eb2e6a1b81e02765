"""Runs the handlers of a consumer on the jobs of its BullMQ queue. Before: `bullmq_jobs`; the end of the arrow."""

import asyncio
import logging
from datetime import timedelta
from types import TracebackType
from typing import Final, Self

from domainstream.config import refuse, wrong_amount
from domainstream.errors import ServerError
from domainstream.lifecycle import Lifecycle, cancel_and_wait
from domainstream.stream import Backoff
from domainstream.worker.bullmq_jobs import BullMQJobs
from domainstream.worker.event_consumer import EventConsumer

log = logging.getLogger("domainstream.worker")

GRACE: Final = timedelta(seconds=30)


class EventWorker:
    """Handles the jobs of one queue, many at a time.

    Usage::

        await EventWorker.from_url(url, consumer, concurrency=50).run()

    Survives restarts of the server, also a start before it is there. For one event loop; `run` may be called once.
    A handler that blocks the event loop stops all others and the renewal of their locks: make it a plain function
    instead.
    """

    def __init__(self, jobs: BullMQJobs, *, concurrency: int = 50, grace: timedelta = GRACE) -> None:
        """Handle `jobs`, which the worker then owns, up to `concurrency` at a time.

        `grace` is how long handlers may still run once the worker stops; after that they are cancelled, and their
        jobs come again when their locks have ended. Raises `ConfigurationError` for numbers of zero or less.
        """
        refuse("EventWorker", [wrong_amount("concurrency", concurrency, int), wrong_amount("grace", grace, timedelta)])
        self._jobs = jobs
        self._concurrency = concurrency
        self._grace = grace
        self._idle = False
        self._running: set[asyncio.Task[None]] = set()
        self._lifecycle = Lifecycle("EventWorker")
        self._backoff = Backoff()

    @classmethod
    def from_url(
        cls,
        url: str,
        consumer: EventConsumer,
        *,
        concurrency: int = 50,
        bull_prefix: str = "bull",
        grace: timedelta = GRACE,
    ) -> Self:
        """Return a worker with connections of its own, made when it runs; `bull_prefix` begins every key of BullMQ.

        Raises `MissingExtraError` without the package `bullmq`, `ConfigurationError` for a URL that is none.
        """
        jobs = BullMQJobs.from_url(url, consumer.queue, consumer.prepare, bull_prefix=bull_prefix)
        return cls(jobs, concurrency=concurrency, grace=grace)

    async def run(self) -> None:
        """Handle jobs until `stop` or cancellation; then let running handlers finish and close the connections.

        Raises `ConfigurationError` when it is called a second time, or after `close`.
        """
        await self._lifecycle.run(self._loop)

    def stop(self) -> None:
        """Let `run` take no more jobs and return once running handlers have finished. Stopping twice does nothing."""
        self._lifecycle.stop()

    async def close(self) -> None:
        """Stop, wait for `run` to return, and close the connections. Closing twice does nothing."""
        await self._lifecycle.close(self._jobs.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _loop(self) -> None:
        self._jobs.start()
        try:
            while not self._lifecycle.stopping.is_set():
                await self._step()
        finally:
            await self._finish()

    async def _step(self) -> None:
        try:
            if len(self._running) >= self._concurrency:
                await self._lifecycle.until_stopped(_first_of(self._running))
            elif self._idle:
                self._idle = False
                await self._lifecycle.until_stopped(self._jobs.wait())
            else:
                await self._take()
            self._backoff.reset()
        except ServerError as error:
            pause = self._backoff.next()
            log.warning("trying again in %.2f s: %s", pause, error)
            await self._lifecycle.rest(pause)

    async def _take(self) -> None:
        job = await self._jobs.take()
        if job is None:
            self._idle = True
            return
        task = asyncio.create_task(self._jobs.process(job), name=f"job {job.id}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _finish(self) -> None:
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=self._grace.total_seconds())
            if late:
                log.warning("%d handlers did not finish in time; their jobs come again", len(late))
            await cancel_and_wait(*late, again=1)
        await self._jobs.close()


async def _first_of(tasks: set[asyncio.Task[None]]) -> None:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
