"""Senders under the control of a test, and a coalescer on top of them."""

import asyncio
from collections.abc import Sequence

from domainstream import BatchLimits, Confirm
from domainstream.producer import OutgoingMessage
from domainstream.publisher.coalescer import Coalescer
from domainstream.publisher.lane import Lane
from domainstream.publisher.pending import Batch

ALL = 1_000


class GatedSender:
    """A sender that publishes a flush when it is let through, and records each flush."""

    def __init__(self, *, letting_through: int = 0) -> None:
        self.flushes: list[dict[str, list[OutgoingMessage]]] = []
        self.confirms: list[Confirm | None] = []
        self.most_under_way = 0
        self.closed = False
        self._under_way = 0
        self._permits = asyncio.Semaphore(letting_through)

    def open(self) -> None:
        """Let every flush through from now on."""
        self.let_through(ALL)

    def let_through(self, flushes: int) -> None:
        """Let so many flushes through."""
        for _ in range(flushes):
            self._permits.release()

    async def send(self, batches: Sequence[Batch], deadline: float, confirm: Confirm | None) -> None:
        """Publish when let through."""
        self._under_way += 1
        self.most_under_way = max(self.most_under_way, self._under_way)
        self.confirms.append(confirm)
        self.flushes.append({batch.channel: list(batch.messages) for batch in batches})
        await self._permits.acquire()
        for batch in batches:
            batch.published([f"1-{number}" for number in range(len(batch.messages))])
        self._under_way -= 1

    async def close(self) -> None:
        """Note it."""
        self.closed = True


class BrokenSender:
    """A sender with a bug."""

    def __init__(self, error: type[BaseException] = RuntimeError) -> None:
        self.error: type[BaseException] | None = error

    async def send(self, batches: Sequence[Batch], deadline: float, confirm: Confirm | None) -> None:
        """Fail before anything is settled, or publish once there is no error any more."""
        if self.error is not None:
            raise self.error
        for batch in batches:
            batch.published([f"1-{number}" for number in range(len(batch.messages))])

    async def close(self) -> None:
        """Do nothing."""


async def ticks(number: int = 5) -> None:
    """Let every task that can run, run."""
    for _ in range(number):
        await asyncio.sleep(0)


def coalescer(sender: GatedSender | BrokenSender, limits: BatchLimits | None = None) -> Coalescer:
    """Make a coalescer that waits long."""
    limits = limits or BatchLimits()
    return Coalescer(Lane(sender, limits), limits, time_limit=60)
