"""How much may wait in a publisher: its back-pressure."""

import asyncio
from collections import deque


class CapacityGate:
    """Admits so many messages and bytes; a call that does not fit waits, first come first served.

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
        """Enter at once with so many messages and bytes, if no call waits and they fit."""
        if self._waiters or not self._fits(messages, size):
            return False
        self._admit(messages, size)
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
                self._admit(messages, size)
                admitted.set_result(None)

    def _fits(self, messages: int, size: int) -> bool:
        if self.messages == 0:
            return True
        return self.messages + messages <= self._max_messages and self._bytes + size <= self._max_bytes

    def _admit(self, messages: int, size: int) -> None:
        self.messages += messages
        self._bytes += size
