"""Runs the handlers of a consumer on the jobs of its BullMQ queue."""

from datetime import timedelta
from types import TracebackType
from typing import Final, Self

from domainstream.lifecycle import Lifecycle
from domainstream.validation import positive, raise_problems
from domainstream.worker.attempt import AttemptRunner
from domainstream.worker.bullmq.connections import WorkerConnections
from domainstream.worker.bullmq.engine import BullMQEngine
from domainstream.worker.consumer import EventConsumer
from domainstream.worker.settings import WorkerSettings

GRACE: Final = timedelta(seconds=30)
DEFAULT_SETTINGS: Final = WorkerSettings()


class EventWorker:
    """Handles the jobs of one queue, many at a time.

    Usage::

        await EventWorker.from_url(url, consumer, concurrency=50).run()

    Survives restarts of the server, also a start before it is there. For one event loop; `run` may be called once.
    A handler that blocks the event loop stops all others, though not the renewal of their locks: make it a plain
    function instead.
    """

    def __init__(self, engine: BullMQEngine) -> None:
        """Work with `engine`, which the worker then owns."""
        self._engine = engine
        self._lifecycle = Lifecycle("EventWorker")

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
        """Return a worker with connections of its own, made when it runs; `bull_prefix` begins every key of BullMQ.

        Up to `concurrency` handlers run at a time. `grace` is how long they may still run once the worker stops; after
        that they are cancelled, and their jobs go back to their queue. Raises `MissingExtraError` without the package
        `bullmq`, `ConfigurationError` for a URL that is none and for numbers of zero or less.
        """
        raise_problems("EventWorker", [positive("concurrency", concurrency, int), positive("grace", grace, timedelta)])
        connections = WorkerConnections(url, consumer.queue, bull_prefix=bull_prefix, name=settings.name)
        engine = BullMQEngine(
            connections,
            consumer.queue,
            AttemptRunner(consumer),
            concurrency=concurrency,
            grace=grace,
            settings=settings,
        )
        return cls(engine)

    async def run(self) -> None:
        """Handle jobs until `stop` or cancellation; then let running handlers finish and close the connections.

        Raises `ConfigurationError` when it is called a second time, or after `close`.
        """
        await self._lifecycle.run(self._work)

    def stop(self) -> None:
        """Let `run` take no more jobs and return once running handlers have finished. Stopping twice does nothing."""
        self._lifecycle.stop()

    async def close(self) -> None:
        """Stop, and wait for `run` to return. Closing twice does nothing."""
        await self._lifecycle.close(_nothing)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _work(self) -> None:
        await self._engine.run(self._lifecycle.stopping)


async def _nothing() -> None:
    """Release nothing: the engine closes its connections when its run ends."""
