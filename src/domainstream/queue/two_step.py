"""Hands over in steps, on ports alone: for queues on another server than the streams, and for memory.

Implements `port.Forwarder`. The steps are in an order that loses nothing: a crash between them repeats what came
before,
and job ids make sure that a repeat adds nothing, for as long as a queue keeps its completed jobs.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack

from domainstream.queue.port import JobQueue
from domainstream.queue.routed_entry import RoutedEntry
from domainstream.stream import DeadLetters, StreamReader


class TwoStepForwarder:
    """Adds jobs, keeps letters, then acknowledges."""

    def __init__(self, queue: JobQueue, dead_letters: DeadLetters, reader: StreamReader) -> None:
        """Use the ports; `queue` and `dead_letters` are then owned, `reader` is not."""
        self._queue = queue
        self._dead_letters = dead_letters
        self._reader = reader

    async def forward(self, routed_entries: Sequence[RoutedEntry]) -> None:
        """Hand over; see `port.Forwarder.forward`."""
        await self._queue.add([job for routed_entry in routed_entries for job in routed_entry.jobs])
        if letters := [routed_entry.letter for routed_entry in routed_entries if routed_entry.letter]:
            await self._dead_letters.store(letters)
        await self._reader.acknowledge(
            [routed_entry.delivery for routed_entry in routed_entries if not routed_entry.letter]
        )

    async def close(self) -> None:
        """Close queue and dead letters; see `port.Forwarder.close`."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._queue.close)
            stack.push_async_callback(self._dead_letters.close)
