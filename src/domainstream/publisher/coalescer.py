"""Lets concurrent `publish` calls share round trips, and limits how much may wait."""

import asyncio
from collections import deque
from collections.abc import Sequence

from domainstream.errors import ConfigurationError, PublishCancelledError
from domainstream.producer import OutgoingMessage
from domainstream.publisher.lane import Lane
from domainstream.publisher.node_lanes import NodeLanes
from domainstream.publisher.pending import PendingPublish
from domainstream.publisher.settings import BatchLimits
from domainstream.receipt import Receipt
from domainstream.settings import Confirm

_ONE_LOOP = "its connection cannot be used in a second one; make a client inside each asyncio.run(...)"


class Coalescer:
    """Admits the messages of concurrent calls to the lanes that send them. For the tasks of one event loop."""

    def __init__(self, lanes: Lane | NodeLanes, limits: BatchLimits, time_limit: float) -> None:
        """Send through `lanes`; a message that is not sent within `time_limit` seconds of its call is given up."""
        self._lanes = lanes
        self._time_limit = time_limit
        self._gate = CapacityGate(limits.waiting_messages, limits.waiting_bytes)
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def waiting(self) -> int:
        """How many messages wait for their flush or its reply."""
        return self._gate.messages

    @property
    def problem(self) -> str:
        """Why the last flush died; empty once one has not. Only a bug of ours leads here."""
        return self._lanes.problem

    async def publish(self, messages: Sequence[OutgoingMessage], confirm: Confirm | None = None) -> list[Receipt]:
        """Send `messages` with the next flushes and return their receipts, in order.

        `confirm` says how many replicas must have them; None waits for none. When the caller is cancelled, what was not
        yet taken into a flush is never sent.
        """
        if not messages:
            return []
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None:
                raise ConfigurationError("This publisher belongs to another event loop:", [_ONE_LOOP])
            self._loop = loop
        pending = PendingPublish(messages, loop, loop.time() + self._time_limit, confirm)
        if not self._gate.try_enter(len(messages), pending.size):
            try:
                await self._gate.wait_to_enter(len(messages), pending.size)
            except asyncio.CancelledError as cancelled:
                raise cancelled from PublishCancelledError(pending.receipts_now())
        try:
            self._lanes.append(pending)
            return await pending.settled
        except asyncio.CancelledError as cancelled:
            raise cancelled from PublishCancelledError(pending.receipts_now())
        finally:
            self._lanes.withdraw(pending)
            self._gate.leave(len(messages), pending.size)

    async def drain(self) -> None:
        """Wait until nothing is in flight, gathering, or waiting to be admitted."""
        while not self._lanes.is_idle or self._gate.messages or self._gate.waiting_calls:
            await self._lanes.join()
            await asyncio.sleep(0)  # lets the callers that were woken leave the gate


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
