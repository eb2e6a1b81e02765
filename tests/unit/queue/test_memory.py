"""The queue in memory passes the contract of the port."""

import pytest

from domainstream.queue import Job, MemoryQueue
from domainstream.testing.queue_contract import QueueContract, QueueHarness


class MemoryHarness(QueueHarness):
    """Queues in memory."""

    def __init__(self) -> None:
        self.queue: MemoryQueue = MemoryQueue()

    async def jobs(self, queue: str) -> list[Job]:
        """Return the waiting jobs."""
        return list(self.queue.jobs.get(queue, ()))


class TestMemoryQueue(QueueContract):
    """The contract of `JobQueue`, in memory."""

    @pytest.fixture
    async def harness(self) -> QueueHarness:
        """Queues in memory."""
        return MemoryHarness()
