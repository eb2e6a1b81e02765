"""Hands over in steps, on ports alone: for queues on another server than the streams, and for memory.

Implements `port.HandOver`. The steps are in an order that loses nothing: a crash between them repeats what came before,
and job ids make sure that a repeat adds nothing, for as long as a queue keeps its completed jobs.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack

from domainstream.queue.port import JobQueue
from domainstream.queue.routed_entry import Parcel
from domainstream.stream import DeadLetters, StreamReader


class StepwiseHandOver:
    """Adds jobs, keeps letters, then acknowledges."""

    def __init__(self, queue: JobQueue, dead_letters: DeadLetters, reader: StreamReader) -> None:
        """Use the ports; `queue` and `dead_letters` are then owned, `reader` is not."""
        self._queue = queue
        self._dead_letters = dead_letters
        self._reader = reader

    async def hand_over(self, parcels: Sequence[Parcel]) -> None:
        """Hand over; see `port.HandOver.hand_over`."""
        await self._queue.add([job for parcel in parcels for job in parcel.jobs])
        if letters := [parcel.letter for parcel in parcels if parcel.letter]:
            await self._dead_letters.bury(letters)
        await self._reader.acknowledge([parcel.delivery for parcel in parcels if not parcel.letter])

    async def close(self) -> None:
        """Close queue and dead letters; see `port.HandOver.close`."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._queue.close)
            stack.push_async_callback(self._dead_letters.close)
