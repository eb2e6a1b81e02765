"""The loop from streams to queues. It knows ports only."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from domainstream.errors import ServerError
from domainstream.health import Health
from domainstream.lifecycle import Lifecycle, cancel_and_wait
from domainstream.queue import Forwarder
from domainstream.retrying import Backoff
from domainstream.stream import Delivery, MaintenanceTask, StreamReader
from domainstream.subscriber.forwarding import RetryingForwarder, SubscriberStats
from domainstream.subscriber.router import JobRouter
from domainstream.telemetry import Signal, emit

Check = Callable[[], Awaitable[None]]


class StreamSubscriber:
    """Forwards the events of streams to queues, each at least once; an async context manager.

    While one batch is being forwarded, the next is read and routed; batches are forwarded one after the other, so that
    events keep their order. A batch that cannot be forwarded is retried until it can.

    For one event loop. `run` may be called once.
    """

    def __init__(
        self,
        reader: StreamReader,
        forwarder: Forwarder,
        router: JobRouter,
        *,
        maintenance: Sequence[MaintenanceTask] = (),
        check: Check | None = None,
    ) -> None:
        """Join the ports, which the caller closes.

        `check` is awaited before anything else; it may raise `ConfigurationError` to end the run.
        """
        self._reader = reader
        self._forwarder = forwarder
        self._router = router
        self._maintenance = maintenance
        self._check = check
        self._lifecycle = Lifecycle(type(self).__name__)
        self._retrying_forwarder = RetryingForwarder(forwarder, self._lifecycle, delivery_limit=router.delivery_limit)
        self._backoff = Backoff()
        self._reading_problem = ""
        self._delivering: asyncio.Task[None] | None = None
        self._owned = AsyncExitStack()

    @property
    def stats(self) -> SubscriberStats:
        """What was done so far; a snapshot."""
        return self._retrying_forwarder.stats

    async def health(self) -> Health:
        """Return whether it runs, and the latest attempts to read and to forward succeeded; the server is not asked."""
        if self._lifecycle.problem:
            return Health(ok=False, problem=self._lifecycle.problem)
        if not self._lifecycle.is_running:
            return Health(ok=False, problem="the subscriber does not run")
        if self._reading_problem:
            return Health(ok=False, problem=self._reading_problem)
        return self._retrying_forwarder.health()

    async def run(self) -> None:
        """Read and forward until `stop` or cancellation; either way, what was read is forwarded first.

        Errors of the server are logged and retried for as long as it takes. Raises `ConfigurationError` when the check
        fails, when `run` is called a second time, or after `close`, and the error of a task that died although the
        subscriber needs it.
        """
        await self._lifecycle.run(self._loop)

    def stop(self) -> None:
        """Let `run` return once what was read is forwarded: within a second or so. Stopping twice does nothing."""
        self._lifecycle.stop()

    async def close(self) -> None:
        """Stop, wait for `run` to return, and close the connections that it owns. Closing twice does nothing."""
        await self._lifecycle.close(self._owned.aclose)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _loop(self) -> None:
        if not await self._checked():
            return
        tasks = [self._lifecycle.start(self._maintain(task), name=type(task).__name__) for task in self._maintenance]
        try:
            while not self._lifecycle.stopping.is_set():
                await self._step()
        except asyncio.CancelledError:  # aborted: what is not forwarded stays pending
            if self._delivering is not None:
                await cancel_and_wait(self._delivering)
            raise
        finally:
            self._lifecycle.stop()
            try:
                await self._delivered()
            finally:
                await cancel_and_wait(*tasks)

    async def _checked(self) -> bool:
        """Run the check once the server answers; return whether to go on."""
        while self._check and not self._lifecycle.stopping.is_set():
            try:
                await self._check()
            except ServerError as error:
                await self._pause(error)
            else:
                break
        return not self._lifecycle.stopping.is_set()

    async def _step(self) -> None:
        """Read and route, while what was read before is being forwarded."""
        deliveries: Sequence[Delivery] = ()
        try:
            deliveries = await self._reader.read()
        except ServerError as error:
            await self._pause(error)
        else:
            self._backoff.reset()
            self._reading_problem = ""
        entries = self._router.route(deliveries)
        if entries or (self._delivering and self._delivering.done()):
            await self._delivered()
        if entries:
            deliver = self._retrying_forwarder.deliver(entries)
            self._delivering = self._lifecycle.start(deliver, name="delivery", once=True)
            await asyncio.sleep(0)  # sends these before the next read is sent

    async def _delivered(self) -> None:
        if self._delivering is not None:
            delivering, self._delivering = self._delivering, None
            await delivering

    async def _pause(self, error: ServerError) -> None:
        self._reading_problem = str(error)
        pause = self._backoff.next()
        emit(Signal.SUBSCRIBER_RETRIED, pause_s=round(pause, 2), reason=error)
        await self._lifecycle.rest(pause)

    async def _maintain(self, task: MaintenanceTask) -> None:
        while True:
            try:
                await task.run_once()
            except ServerError as error:
                emit(Signal.SUBSCRIBER_MAINTENANCE_FAILED, task=type(task).__name__, reason=error)
            await asyncio.sleep(task.every.total_seconds())
