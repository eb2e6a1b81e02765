"""The shortest implementations of the ports: queues in memory, and a forwarder that needs no server.

`MemoryQueue` implements `port.JobQueue`, for tests. `TwoStepForwarder` implements `port.Forwarder` on other ports
alone: for memory, and for queues on another server than the streams.
"""

from collections.abc import Sequence

from domainstream.queue.job import Job
from domainstream.queue.port import JobQueue, RoutedEntry
from domainstream.stream import DeadLetters, StreamReader


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


class TwoStepForwarder:
    """Adds jobs, stores dead letters, then acknowledges.

    The order of the steps loses nothing: after a crash between two of them, the earlier ones are repeated, and job ids
    make the repeat add nothing, for as long as a queue keeps its completed jobs.
    """

    def __init__(self, queue: JobQueue, dead_letters: DeadLetters, reader: StreamReader) -> None:
        """Use the ports, which the caller closes."""
        self._queue = queue
        self._dead_letters = dead_letters
        self._reader = reader

    async def forward(self, entries: Sequence[RoutedEntry]) -> None:
        """Forward the entries; see `port.Forwarder.forward`."""
        await self._queue.add([job for entry in entries for job in entry.jobs])
        if dead_letters := [entry.dead_letter for entry in entries if entry.dead_letter]:
            await self._dead_letters.store(dead_letters)  # which acknowledges them
        await self._reader.acknowledge([entry.delivery for entry in entries if not entry.dead_letter])

    async def close(self) -> None:
        """Do nothing: it owns no connections."""
