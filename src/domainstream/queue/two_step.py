"""Forwards in steps, on other ports alone: in memory, and where queues are on another server than the streams."""

from collections.abc import Sequence

from domainstream.queue.port import JobQueue, RoutedEntry
from domainstream.stream import DeadLetters, StreamReader


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
