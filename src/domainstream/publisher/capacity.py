"""Bounded room for waiting messages: the publisher's back-pressure."""

import asyncio
from collections import deque


class CapacityGate:
    """So many messages and bytes may wait; who comes when it is full waits for its turn, first come first served.

    What is larger than the whole room may enter when the room is empty.
    """

    def __init__(self, messages: int, size: int) -> None:
        self.messages = 0
        """How many messages are inside."""
        self._bytes = 0
        self._most_messages = messages
        self._most_bytes = size
        self._turns: deque[tuple[asyncio.Future[None], int, int]] = deque()

    @property
    def queue(self) -> int:
        """How many calls wait outside."""
        return len(self._turns)

    def try_enter(self, messages: int, size: int) -> bool:
        """Go inside at once with so many messages and bytes, if nobody waits and they fit."""
        if self._turns or not self._fits(messages, size):
            return False
        self._admit(messages, size)
        return True

    async def wait_to_enter(self, messages: int, size: int) -> None:
        """Wait for one's turn and go inside; on cancellation nothing is inside."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.append((turn, messages, size))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._next()
            else:
                self.leave(messages, size)
            raise

    def leave(self, messages: int, size: int) -> None:
        """Go outside and let those in whose turn it is."""
        self.messages -= messages
        self._bytes -= size
        if self._turns:
            self._next()

    def _next(self) -> None:
        while self._turns:
            turn, messages, size = self._turns[0]
            if not turn.cancelled() and not self._fits(messages, size):
                return
            self._turns.popleft()
            if not turn.cancelled():
                self._admit(messages, size)
                turn.set_result(None)

    def _fits(self, messages: int, size: int) -> bool:
        if self.messages == 0:
            return True
        return self.messages + messages <= self._most_messages and self._bytes + size <= self._most_bytes

    def _admit(self, messages: int, size: int) -> None:
        self.messages += messages
        self._bytes += size
