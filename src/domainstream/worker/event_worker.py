"""Runs the handlers of a consumer on the jobs of its BullMQ queue, or of all partitions of it."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Final, Self

from domainstream.health import Health
from domainstream.lifecycle import Lifecycle
from domainstream.redis.span_attributes import server_attributes
from domainstream.validation import positive, raise_problems
from domainstream.worker.attempt import AttemptRunner
from domainstream.worker.attempt_spans import AttemptSpans
from domainstream.worker.bullmq.engine import BullMQEngine, WorkerConnections, WorkerStats
from domainstream.worker.bullmq.places import Places
from domainstream.worker.consumer import EventConsumer
from domainstream.worker.settings import WorkerSettings

GRACE: Final = timedelta(seconds=30)
DEFAULT_SETTINGS: Final = WorkerSettings()


class EventWorker:
    """Handles the jobs of one queue, many concurrently; of a queue with partitions, those of all of them.

    Usage::

        await EventWorker.from_url(url, consumer, concurrency=50).run()

    Survives restarts of the server, and may be started before it. For one event loop; `run` may be called once. A
    handler that blocks the event loop stops all others, although their locks are still renewed: make it a plain
    function instead.
    """

    def __init__(self, *engines: BullMQEngine) -> None:
        """Run the engine of each partition, which opens its connections and closes them when its run ends."""
        self._engines = engines
        self._lifecycle = Lifecycle(type(self).__name__)

    @classmethod
    def from_url(
        cls,
        url: str,
        consumer: EventConsumer,
        *,
        concurrency: int = 50,
        bull_prefix: str = "bull",
        grace: timedelta = GRACE,
        settings: WorkerSettings = DEFAULT_SETTINGS,
    ) -> Self:
        """Return a worker that opens its own connections when it runs; every key of BullMQ begins with `bull_prefix`.

        Up to `concurrency` handlers run at a time, for all partitions of the queue together. When the worker stops,
        handlers may run on for `grace`; then they are cancelled, and their jobs return to the queue, at the latest 2
        seconds later: a handler that ignores its cancellation is abandoned. Raises `MissingExtraError` without the
        package `bullmq`, and `ConfigurationError` for an invalid URL and for numbers of zero or less.
        """
        raise_problems("EventWorker", [positive("concurrency", concurrency, int), positive("grace", grace, timedelta)])
        spans = AttemptSpans(consumer.queue, settings.trace, server=server_attributes(url))
        run_attempt = AttemptRunner(consumer, bull_prefix=bull_prefix, spans=spans)
        places = Places(concurrency) if consumer.partitions > 1 else None
        engines = [
            BullMQEngine(
                WorkerConnections(url, queue, bull_prefix=bull_prefix, name=settings.name),
                queue,
                run_attempt,
                concurrency=concurrency,
                grace=grace,
                settings=settings,
                places=places,
            )
            for queue in consumer.queues
        ]
        return cls(*engines)

    async def run(self) -> None:
        """Handle jobs until `stop` or cancellation; then let running handlers finish and close the connections.

        Raises `ConfigurationError` when called a second time, or after `close`, and the error of a task or thread that
        the worker needs and that died.
        """
        await self._lifecycle.run(partial(_run_all, self._engines, self._lifecycle))

    def stop(self) -> None:
        """Take no more jobs, and let `run` return once running handlers have finished. Stopping twice is harmless."""
        self._lifecycle.stop()

    async def close(self) -> None:
        """Stop, and wait for `run` to return. Closing twice is harmless."""
        await self._lifecycle.close()

    @property
    def stats(self) -> WorkerStats:
        """What the worker has counted so far."""
        return _sum(self._engines)

    async def health(self) -> Health:
        """Return whether the worker takes jobs: it runs, has all its parts, and the server answers; never raises."""
        if self._lifecycle.problem:
            return Health(ok=False, problem=self._lifecycle.problem)
        if not self._lifecycle.is_running:
            return Health(ok=False, problem="the worker does not run")
        if self._lifecycle.stopping.is_set():
            return Health(ok=False, problem="the worker is stopping")
        problem = next((problem for engine in self._engines if (problem := engine.problem())), None)
        return Health(ok=not problem, problem=problem)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def _run_all(engines: Sequence[BullMQEngine], lifecycle: Lifecycle) -> None:
    """Run engines until all have ended; each that ends stops the others. A cancellation reaches each of them."""
    if len(engines) == 1:
        await engines[0].run(lifecycle)
        return

    async def run(engine: BullMQEngine) -> None:
        try:
            await engine.run(lifecycle)
        finally:
            lifecycle.stop()

    ends = await asyncio.gather(*map(run, engines), return_exceptions=True)
    for end in ends:
        if end is not None:
            raise end


def _sum(engines: Sequence[BullMQEngine]) -> WorkerStats:
    stats = [engine.stats() for engine in engines]
    if len(stats) == 1:
        return stats[0]
    latest = max(range(len(engines)), key=lambda number: engines[number].failed_at)
    return WorkerStats(
        running=sum(each.running for each in stats),
        completed=sum(each.completed for each in stats),
        delayed=sum(each.delayed for each in stats),
        waited=sum(each.waited for each in stats),
        failed=sum(each.failed for each in stats),
        abandoned=sum(each.abandoned for each in stats),
        last_failure=stats[latest].last_failure,
        failures=sum(each.failures for each in stats),
        last_error=next((each.last_error for each in stats if each.last_error), ""),
    )
