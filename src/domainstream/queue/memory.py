"""Queues in memory, for tests. Implements `JobQueue`."""

from collections.abc import Sequence

from domainstream.queue.job import Job


class MemoryQueue:
    """A `JobQueue` that keeps every job permanently."""

    def __init__(self) -> None:
        self.jobs: dict[str, list[Job]] = {}
        """The jobs of each queue, oldest first, each id once."""
        self._known: set[tuple[str, str]] = set()

    async def add(self, jobs: Sequence[Job]) -> None:
        """Add the jobs whose ids are new to their queues; see `port.JobQueue.add`."""
        for job in jobs:
            if (job.queue, job.id) not in self._known:
                self._known.add((job.queue, job.id))
                self.jobs.setdefault(job.queue, []).append(job)

    async def close(self) -> None:
        """Do nothing: it has no connections."""
