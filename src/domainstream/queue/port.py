"""What the subscriber needs from queues.

`bullmq/` and `memory.py` implement both ports. All implementations of a port pass the same contract suite.
"""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from domainstream.queue.job import Job
from domainstream.stream import DeadLetter, Delivery


class RoutedEntry(Struct, frozen=True, gc=False):
    """A delivery and what becomes of it. It is forwarded as a whole, or not at all and then not acknowledged."""

    delivery: Delivery
    """What was delivered; it is acknowledged last."""

    jobs: tuple[Job, ...] = ()
    """The jobs it becomes, all with the same data; none for a channel without handlers."""

    dead_letter: DeadLetter | None = None
    """The dead letter it becomes instead of jobs, or None."""


class JobQueue(Protocol):
    """Takes jobs for any number of queues.

    A job whose id its queue already knows (waiting, running, delayed, or finished and kept) is not added again. Jobs
    of one queue keep their order. Safe for several tasks of one event loop.
    """

    async def add(self, jobs: Sequence[Job]) -> None:
        """Return once every job is in its queue.

        Raises `ServerUnavailableError`, `ServerRefusedError` or `ServerOutOfMemoryError` when it is not certain that
        all of them are. Then some may be; adding all of them again adds none twice.
        """
        ...

    async def close(self) -> None:
        """Release the connections that it owns. Closing twice does nothing."""
        ...


class Forwarder(Protocol):
    """Moves deliveries from their streams into queues, or to the dead letters.

    For one task.
    """

    async def forward(self, entries: Sequence[RoutedEntry]) -> None:
        """Return once every job is in its queue, every dead letter is stored, and then every delivery is acknowledged.

        Entries that were forwarded before are skipped. Raises `ServerRefusedError` when the server rejected some of
        the entries, `ServerUnavailableError` or `ServerOutOfMemoryError` when it could not take any. After an error
        some may have been forwarded; forwarding all of them again adds nothing twice.
        """
        ...

    async def close(self) -> None:
        """Release the connections that it owns. Closing twice does nothing."""
        ...
