"""Reads a fact once for everybody who looks at it within a few seconds."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from domainstream.lifecycle import cancel_and_wait

T = TypeVar("T")

COST: Final = 20
"""What took a second to read is read again after this many seconds, at the earliest."""


class Cached(Generic[T]):
    """The last value of something that is read from the server; whoever asks while it is read waits for that."""

    def __init__(self, read: Callable[[], Awaitable[T]], *, seconds: float) -> None:
        """Keep what `read` returns for `seconds`, or for longer if reading it takes long."""
        self._read = read
        self._seconds = seconds
        self._lock = asyncio.Lock()
        self._value: T | None = None
        self._expires = 0.0
        self._read_at = 0.0
        self._reading: asyncio.Task[T] | None = None

    @property
    def age_ms(self) -> int:
        """How long ago the value was read, in milliseconds."""
        return round((time.monotonic() - self._read_at) * 1000)

    async def get(self) -> T:
        """Return the value, reading it if it is too old. Raises what `read` raises, and then keeps nothing."""
        async with self._lock:
            if self._value is None or time.monotonic() >= self._expires:
                began = time.monotonic()
                self._value = await self._read()
                self._read_at = time.monotonic()
                self._expires = self._read_at + max(self._seconds, COST * (self._read_at - began))
            return self._value

    async def within(self, seconds: float) -> T | None:
        """Return the value, or None if reading it takes longer; it is read on for whoever asks next."""
        if self._reading is None:
            self._reading = asyncio.create_task(self.get())
        reading = self._reading
        await asyncio.wait([reading], timeout=seconds)
        if not reading.done():
            return None
        if self._reading is reading:
            self._reading = None
        return reading.result()

    async def close(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            await cancel_and_wait(self._reading)

    async def last(self) -> T:
        """Return the value as it was read last, however long ago; read it only if it never was."""
        return await self.get() if self._value is None else self._value

    def forget(self) -> None:
        """Read it anew next time: it has been changed."""
        self._expires = 0.0
