"""Lets concurrent `publish` calls share round trips, and limits how much may wait.

While one flush is in flight the next one gathers; an idle publisher sends at once. There is no timer, so no latency is
added.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from domainstream.errors import ConfigurationError, PublishCancelledError
from domainstream.producer import OutgoingMessage
from domainstream.publisher.pending import BatchSender, Flush, PendingPublish
from domainstream.publisher.settings import BatchLimits
from domainstream.receipt import Receipt
from domainstream.telemetry import Signal, emit

_ONE_LOOP = "its connection cannot be used in a second one; make a client inside each asyncio.run(...)"


class Coalescer:
    """Gathers messages into flushes and keeps one flush in flight, so that the order of a channel is never lost.

    For the tasks of one event loop. Messages leave in the order in which they came.
    """

    def __init__(self, sender: BatchSender, limits: BatchLimits, time_limit: float) -> None:
        """Send through `sender`; a message that is not sent within `time_limit` seconds of its call is given up."""
        self._sender = sender
        self._limits = limits
        self._time_limit = time_limit
        self._gate = CapacityGate(limits.waiting_messages, limits.waiting_bytes)
        self._waiting: deque[PendingPublish] = deque()
        self.problem = ""
        """Why the last flush died; empty once one has not. Only a bug of ours leads here."""
        self._flushing: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def waiting(self) -> int:
        """How many messages wait for their flush or its reply."""
        return self._gate.messages

    async def publish(self, messages: Sequence[OutgoingMessage]) -> list[Receipt]:
        """Send `messages` with the next flushes and return their receipts, in order.

        When the caller is cancelled, what was not yet taken into a flush is never sent.
        """
        if not messages:
            return []
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None:
                raise ConfigurationError("This publisher belongs to another event loop:", [_ONE_LOOP])
            self._loop = loop
        pending = PendingPublish(messages, loop, loop.time() + self._time_limit)
        if not self._gate.try_enter(len(messages), pending.size):
            try:
                await self._gate.wait_to_enter(len(messages), pending.size)
            except asyncio.CancelledError as cancelled:
                raise cancelled from PublishCancelledError(pending.receipts_now())
        try:
            self._waiting.append(pending)
            if self._flushing is None or self._flushing.done():
                self._start_flushing()
            return await pending.settled
        except asyncio.CancelledError as cancelled:
            raise cancelled from PublishCancelledError(pending.receipts_now())
        finally:
            if pending.taken < len(messages) and pending in self._waiting:
                self._waiting.remove(pending)
            self._gate.leave(len(messages), pending.size)

    async def drain(self) -> None:
        """Wait until nothing is in flight, gathering, or waiting to be admitted."""
        while self._flushing is not None or self._gate.messages or self._gate.waiting_calls:
            if self._flushing is not None:
                if self._flushing.done():
                    self._start_flushing()
                await asyncio.wait([self._flushing])
            await asyncio.sleep(0)  # lets the callers that were woken leave the gate

    def _start_flushing(self) -> None:
        """Begin, also in place of a task that is done because it was cancelled before it began."""
        self._flushing = asyncio.create_task(self._flush_all(), name="domainstream publisher flush")
        self._flushing.add_done_callback(self._on_end)

    async def _flush_all(self) -> None:
        try:
            while self._waiting:
                flush = Flush(self._limits)
                try:
                    flush.take_from(self._waiting)
                    await self._sender.send(flush.batches, flush.deadline)
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


class CapacityGate:
    """A publisher's back-pressure: limits messages and bytes; calls that do not fit wait, first come first served.

    A call that is larger than the whole capacity is admitted when nothing else is inside.
    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self.messages = 0
        """How many messages are inside."""
        self._bytes = 0
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._waiters: deque[tuple[asyncio.Future[None], int, int]] = deque()

    @property
    def waiting_calls(self) -> int:
        """How many calls wait to be admitted."""
        return len(self._waiters)

    def try_enter(self, messages: int, size: int) -> bool:
        """Enter at once if no other call waits and there is room."""
        if self._waiters or not self._fits(messages, size):
            return False
        self.messages += messages
        self._bytes += size
        return True

    async def wait_to_enter(self, messages: int, size: int) -> None:
        """Wait until admitted; on cancellation nothing of the call is inside."""
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((admitted, messages, size))
        try:
            await admitted
        except asyncio.CancelledError:
            if admitted.cancelled():
                self._admit_waiters()
            else:
                self.leave(messages, size)
            raise

    def leave(self, messages: int, size: int) -> None:
        """Leave, and admit the calls that fit now."""
        self.messages -= messages
        self._bytes -= size
        if self._waiters:
            self._admit_waiters()

    def _admit_waiters(self) -> None:
        while self._waiters:
            admitted, messages, size = self._waiters[0]
            if not admitted.cancelled() and not self._fits(messages, size):
                return
            self._waiters.popleft()
            if not admitted.cancelled():
                self.messages += messages
                self._bytes += size
                admitted.set_result(None)

    def _fits(self, messages: int, size: int) -> bool:
        if self.messages == 0:
            return True
        return self.messages + messages <= self._max_messages and self._bytes + size <= self._max_bytes
