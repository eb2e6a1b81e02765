"""What every `JobQueue` must do, as tests. Ours pass it; run it over your own.

Subclass `QueueContract` in a test file and give it a fixture `place`, a `QueueHarness`. Needs the extra `testing`.
"""

from abc import ABC, abstractmethod

import pytest

from domainstream.queue import Job, JobQueue


class QueueHarness(ABC):
    """Somewhere that holds queues."""

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
    """The behaviour of `JobQueue`; subclasses provide the fixture `place`."""

    async def test_jobs_wait_in_their_order(self, place: QueueHarness) -> None:
        """Jobs of one queue keep the order they were added in, over several calls; nothing of a job changes."""
        await place.queue.add([job("event-1"), job("event-2")])
        await place.queue.add([job("event-3")])
        assert await place.jobs("valuation") == [job("event-1"), job("event-2"), job("event-3")]

    async def test_each_queue_gets_its_own(self, place: QueueHarness) -> None:
        """One call may serve several queues, and the same id may be in two of them."""
        await place.queue.add([job("event-1"), job("event-1", "billing"), job("event-2", "billing")])
        assert await place.jobs("valuation") == [job("event-1")]
        assert await place.jobs("billing") == [job("event-1", "billing"), job("event-2", "billing")]

    async def test_a_known_id_is_not_added_again(self, place: QueueHarness) -> None:
        """Adding a batch again, as after a lost reply, adds no job twice."""
        await place.queue.add([job("event-1")])
        await place.queue.add([job("event-1"), job("event-2"), job("event-2")])
        assert await place.jobs("valuation") == [job("event-1"), job("event-2")]

    async def test_nothing_to_add_is_fine(self, place: QueueHarness) -> None:
        """An empty batch does nothing."""
        await place.queue.add([])
        assert await place.jobs("valuation") == []

    async def test_closing_twice_does_nothing(self, place: QueueHarness) -> None:
        """Close is idempotent."""
        await place.queue.close()
        await place.queue.close()
