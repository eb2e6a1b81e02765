"""The queue in memory keeps the contract of the port."""

from collections.abc import AsyncIterator

import pytest

from domainstream.queue import Job, MemoryQueue
from support.queue_contract import QueueContract, QueuePlace


class MemoryPlace(QueuePlace):
    """Queues in memory."""

    def __init__(self) -> None:
        self.queue: MemoryQueue = MemoryQueue()

    async def jobs(self, queue: str) -> list[Job]:
        return list(self.queue.jobs.get(queue, ()))


class TestMemoryQueue(QueueContract):
    """The contract, in memory."""

    @pytest.fixture
    async def place(self) -> AsyncIterator[QueuePlace]:
        """Queues in memory."""
        yield MemoryPlace()
