"""Keeps one flush in flight, so that the order of a channel is never lost.

While one flush is in flight the next one gathers; an idle lane sends at once. There is no timer, so no latency is
added.
"""

import asyncio
from collections import deque

from redis.asyncio import ConnectionPool

from domainstream.publisher.pending import BatchSender, Flush, PendingPublish
from domainstream.publisher.settings import BatchLimits
from domainstream.redis.connection import ping
from domainstream.redis.errors import place_of
from domainstream.telemetry import Signal, emit


class Lane:
    """Gathers messages into flushes and sends them one after the other, in the order in which they came."""

    def __init__(self, sender: BatchSender, limits: BatchLimits) -> None:
        """Send through `sender`, which is closed with the lane."""
        self.problem = ""
        """Why the last flush died; empty once one has not. Only a bug of ours leads here."""
        self._sender = sender
        self._limits = limits
        self._waiting: deque[PendingPublish] = deque()
        self._flushing: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits or is in flight."""
        return self._flushing is None and not self._waiting

    def append(self, pending: PendingPublish) -> None:
        """Let a call wait for the next flushes, behind those that came before."""
        self._waiting.append(pending)
        if self._flushing is None or self._flushing.done():
            self._start_flushing()

    def withdraw(self, pending: PendingPublish) -> None:
        """Never send what was not yet taken into a flush."""
        if pending.taken < len(pending.messages) and pending in self._waiting:
            self._waiting.remove(pending)

    async def join(self) -> None:
        """Wait until nothing waits or is in flight."""
        if self._flushing is not None:
            if self._flushing.done():
                self._start_flushing()
            await asyncio.wait([self._flushing])

    async def close(self) -> None:
        """Close the sender; call `join` first."""
        await self._sender.close()

    async def _prepare(self) -> None:
        """Do what has to be done before a flush, while nothing is in flight."""

    def _start_flushing(self) -> None:
        """Begin, also in place of a task that is done because it was cancelled before it began."""
        self._flushing = asyncio.create_task(self._flush_all(), name="domainstream publisher flush")
        self._flushing.add_done_callback(self._on_end)

    async def _flush_all(self) -> None:
        try:
            while self._waiting:
                flush = Flush(self._limits)
                try:
                    await self._prepare()
                    flush.take_from(self._waiting)
                    await self._sender.send(flush.batches, flush.deadline, flush.confirm)
                    self.problem = ""
                except Exception as error:  # noqa: BLE001 - a bug of ours must not leave callers waiting
                    self._failed(error)
                    if not flush.batches and self._waiting:  # what could not be taken now never can
                        self._waiting.popleft().give_up()
                finally:
                    flush.settle()
        finally:
            self._flushing = None
            # Only when the event loop is being shut down is anything left: it will never be sent.
            while self._waiting:
                self._waiting.popleft().give_up()

    def _on_end(self, task: asyncio.Task[None]) -> None:
        """Report the death of a flush, which no call awaits; the next call begins another one."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        self.problem = f"a batch could not be sent because of a bug: {type(error).__name__}"
        emit(Signal.PUBLISH_SENDER_FAILED, exc=error)


class ServerLane(Lane):
    """The one lane of a publisher on a single server."""

    def __init__(self, sender: BatchSender, limits: BatchLimits, pool: ConnectionPool) -> None:
        """Send through `sender`, and ping the server over connections that `pool` makes."""
        super().__init__(sender, limits)
        self._pool = pool

    async def ping(self, seconds: float) -> str | None:
        """Return what is wrong with the server, or None if it answers within `seconds`."""
        return await ping_within(self._pool, seconds)


async def ping_within(pool: ConnectionPool, seconds: float) -> str | None:
    """Ping a server over a connection of its own; return what is wrong, or None."""
    try:
        async with asyncio.timeout(seconds):
            return await ping(pool)
    except TimeoutError:
        return f"no reply from {place_of(pool)} within {seconds:g} s"
