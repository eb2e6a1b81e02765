"""Lets concurrent `publish` calls share round trips.

While one flush is under way the next one gathers; an idle publisher sends at once. No timer, so no added latency.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from domainstream.errors import ConfigurationError, PublishCancelledError
from domainstream.producer import OutgoingMessage
from domainstream.publisher.batch import BatchSender
from domainstream.publisher.capacity import CapacityGate
from domainstream.publisher.flush import Flush
from domainstream.publisher.pending import Call
from domainstream.publisher.settings import BatchLimits
from domainstream.receipt import Receipt
from domainstream.telemetry import Signal, emit

_ONE_LOOP = "its connection cannot be used in a second one; make a client inside each asyncio.run(...)"


class Coalescer:
    """Gathers messages into flushes and keeps one flush under way, so that no channel's order is ever lost.

    For the tasks of one event loop. Messages leave in the order in which they came.
    """

    def __init__(self, sender: BatchSender, limits: BatchLimits, patience: float) -> None:
        """Send through `sender`; a message that has not been sent `patience` seconds after it came is given up."""
        self._sender = sender
        self._limits = limits
        self._patience = patience
        self._room = CapacityGate(limits.waiting_messages, limits.waiting_bytes)
        self._calls: deque[Call] = deque()
        self._flushing: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def waiting(self) -> int:
        """How many messages wait for their flush or its reply."""
        return self._room.messages

    async def publish(self, messages: Sequence[OutgoingMessage]) -> list[Receipt]:
        """Send `messages` with the next flushes and return their receipts, in order.

        When the caller is cancelled, what was not yet taken into a flush never will be.
        """
        if not messages:
            return []
        loop = self._own_loop()
        call = Call(messages, loop, loop.time() + self._patience)
        if not self._room.try_enter(len(messages), call.size):
            await self._wait_for_room(call)
        try:
            self._calls.append(call)
            if self._flushing is None or self._flushing.done():
                self._start_flushing()
            return await call.settled
        except asyncio.CancelledError as cancelled:
            raise cancelled from PublishCancelledError(call.receipts_now())
        finally:
            if call.taken < len(messages) and call in self._calls:
                self._calls.remove(call)
            self._room.leave(len(messages), call.size)

    async def drain(self) -> None:
        """Wait until nothing is under way, gathering, or waiting for room any more."""
        while self._flushing is not None or self._room.messages or self._room.queue:
            if self._flushing is not None:
                if self._flushing.done():
                    self._start_flushing()
                await asyncio.wait([self._flushing])
            await asyncio.sleep(0)  # lets the callers that were woken leave the room

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None:
                raise ConfigurationError("This publisher belongs to another event loop:", [_ONE_LOOP])
            self._loop = loop
        return loop

    async def _wait_for_room(self, call: Call) -> None:
        try:
            await self._room.wait_to_enter(len(call.messages), call.size)
        except asyncio.CancelledError as cancelled:
            raise cancelled from PublishCancelledError(call.receipts_now())

    def _start_flushing(self) -> None:
        """Begin, also in place of a task that is done because it was cancelled before it began."""
        self._flushing = asyncio.create_task(self._flush_all(), name="domainstream publisher flush")

    async def _flush_all(self) -> None:
        try:
            while self._calls:
                await self._flush(Flush.take(self._calls, self._limits))
        finally:
            self._flushing = None
            # Only when the loop is being shut down is anything left: nobody will ever send it.
            while self._calls:
                self._calls.popleft().give_up()

    async def _flush(self, flush: Flush) -> None:
        try:
            await self._sender.send(flush.batches, flush.deadline)
        except Exception as error:  # noqa: BLE001 - the loop's edge: a bug in a sender must not leave callers waiting
            emit(Signal.PUBLISH_SENDER_FAILED, exc=error)
        finally:
            flush.settle()
