"""The loop that joins streams and queues, on ports alone."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from domainstream.errors import ServerError
from domainstream.lifecycle import Lifecycle, cancel_and_wait
from domainstream.queue import Forwarder
from domainstream.retrying import Backoff
from domainstream.stream import Delivery, MaintenanceTask, StreamReader
from domainstream.subscriber.forwarding import RetryingForwarder, SubscriberHealth
from domainstream.subscriber.router import JobRouter
from domainstream.telemetry import Signal, emit

Check = Callable[[], Awaitable[None]]


class StreamSubscriber:
    """Hands the events of streams over to queues, each at least once; an async context manager that closes its ports.

    While one batch is being handed over, the next is read and sorted; batches are handed over one after the other, so
    that events keep their order. A batch that cannot be handed over is tried again until it can.

    For one event loop. `run` may be called once.
    """

    def __init__(
        self,
        reader: StreamReader,
        forward: Forwarder,
        router: JobRouter,
        *,
        maintenance: Sequence[MaintenanceTask] = (),
        check: Check | None = None,
    ) -> None:
        """Join the ports, which the subscriber then owns and closes.

        `check` is awaited before anything else, and may refuse with a `ConfigurationError`.
        """
        self._reader = reader
        self._forwarder = forward
        self._router = router
        self._maintenance = maintenance
        self._check = check
        self._lifecycle = Lifecycle("RedisBullMQStreamSubscriber")
        self._retrying_forwarder = RetryingForwarder(forward, self._lifecycle, delivery_limit=router.delivery_limit)
        self._backoff = Backoff()
        self._delivering: asyncio.Task[None] | None = None

    @property
    def health(self) -> SubscriberHealth:
        """What was done so far."""
        return self._retrying_forwarder.health

    async def run(self) -> None:
        """Read and hand over until `stop` or cancellation, both of which let what was read be handed over.

        Errors of the server are logged and tried again for as long as it takes. Raises `ConfigurationError` when the
        check refuses, when it is called a second time, or after `close`.
        """
        await self._lifecycle.run(self._loop)

    def stop(self) -> None:
        """Let `run` return after what was read is handed over: within a second or so. Stopping twice does nothing."""
        self._lifecycle.stop()

    async def close(self) -> None:
        """Stop, wait for `run` to return, and close the ports. Closing twice does nothing."""
        await self._lifecycle.close(self._close_ports)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _loop(self) -> None:
        if not await self._checked():
            return
        tasks = [asyncio.create_task(self._keep_up(maintenance)) for maintenance in self._maintenance]
        try:
            while not self._lifecycle.stopping.is_set():
                await self._step()
                _raise_errors_of(tasks)
        finally:
            await cancel_and_wait(*tasks)
            await self._delivered()

    async def _checked(self) -> bool:
        """Check once the server is there; tell whether we may go on."""
        while self._check and not self._lifecycle.stopping.is_set():
            try:
                await self._check()
            except ServerError as error:
                await self._pause(error)
            else:
                break
        return not self._lifecycle.stopping.is_set()

    async def _step(self) -> None:
        deliveries = await self._read()
        routed_entries = self._router.sort(deliveries)
        if routed_entries or (self._delivering and self._delivering.done()):
            await self._delivered()
        if routed_entries:
            self._delivering = asyncio.create_task(self._retrying_forwarder.deliver(routed_entries))
            await asyncio.sleep(0)  # lets these go out before the next read does

    async def _read(self) -> Sequence[Delivery]:
        try:
            deliveries = await self._reader.read()
        except ServerError as error:
            await self._pause(error)
            return ()
        self._backoff.reset()
        return deliveries

    async def _delivered(self) -> None:
        if self._delivering is not None:
            delivering, self._delivering = self._delivering, None
            await delivering

    async def _pause(self, error: ServerError) -> None:
        pause = self._backoff.next()
        emit(Signal.SUBSCRIBER_RETRIED, pause_s=round(pause, 2), reason=error)
        await self._lifecycle.rest(pause)

    async def _keep_up(self, maintenance: MaintenanceTask) -> None:
        while True:
            try:
                await maintenance.run_once()
            except ServerError as error:
                emit(Signal.SUBSCRIBER_MAINTENANCE_FAILED, task=type(maintenance).__name__, reason=error)
            await asyncio.sleep(maintenance.every.total_seconds())

    async def _close_ports(self) -> None:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._reader.close)
            stack.push_async_callback(self._forwarder.close)
            for maintenance in self._maintenance:
                stack.push_async_callback(maintenance.close)


def _raise_errors_of(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done():
            task.result()
