"""The contract suite of `JobQueue`. Ours pass it; run it on your own.

Subclass `QueueContract` in a test file and give it a fixture `harness`, a `QueueHarness`. Needs the extra `testing`.
"""

from abc import ABC, abstractmethod

import pytest

from domainstream.queue import Job, JobQueue


class QueueHarness(ABC):
    """Queues, and a way to look into them."""

    queue: JobQueue
    """The queue under test."""

    @abstractmethod
    async def jobs(self, queue: str) -> list[Job]:
        """Return the jobs that wait in a queue, oldest first."""


def job(job_id: str, queue: str = "valuation") -> Job:
    """Return a job whose name and data do not matter."""
    return Job(queue, "price-stay", job_id, b'{"score":1.50}')


@pytest.mark.asyncio
class QueueContract:
    """The behaviour of `JobQueue`; subclasses provide the fixture `harness`."""

    async def test_jobs_wait_in_their_order(self, harness: QueueHarness) -> None:
        """The jobs of a queue keep the order in which they were added, over several calls, and are stored unchanged."""
        await harness.queue.add([job("event-1"), job("event-2")])
        await harness.queue.add([job("event-3")])
        assert await harness.jobs("valuation") == [job("event-1"), job("event-2"), job("event-3")]

    async def test_each_queue_gets_its_own(self, harness: QueueHarness) -> None:
        """One call may add to several queues, and the same id may be in two of them."""
        await harness.queue.add([job("event-1"), job("event-1", "billing"), job("event-2", "billing")])
        assert await harness.jobs("valuation") == [job("event-1")]
        assert await harness.jobs("billing") == [job("event-1", "billing"), job("event-2", "billing")]

    async def test_known_id_is_not_added_again(self, harness: QueueHarness) -> None:
        """Adding a batch again, as after a lost reply, adds no job twice."""
        await harness.queue.add([job("event-1")])
        await harness.queue.add([job("event-1"), job("event-2"), job("event-2")])
        assert await harness.jobs("valuation") == [job("event-1"), job("event-2")]

    async def test_empty_batch_adds_nothing(self, harness: QueueHarness) -> None:
        """An empty batch adds nothing and raises nothing."""
        await harness.queue.add([])
        assert await harness.jobs("valuation") == []

    async def test_closing_twice_does_nothing(self, harness: QueueHarness) -> None:
        """A second `close` does nothing."""
        await harness.queue.close()
        await harness.queue.close()
