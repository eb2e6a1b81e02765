"""What the subscriber needs from queues.

Implementations of `JobQueue`: `bullmq_queue`, `memory_queue`; of `Forwarder`: `forwarder` and `two_step`. All of a port
pass the same tests.
"""

from collections.abc import Sequence
from typing import Protocol

from domainstream.queue.job import Job
from domainstream.queue.routed_entry import RoutedEntry


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
        """Give back all connections. Closing twice does nothing."""
        ...


class Forwarder(Protocol):
    """Moves what was delivered from its stream into queues, or to the dead letters.

    For one task.
    """

    async def forward(self, routed_entries: Sequence[RoutedEntry]) -> None:
        """Return once every job is in its queue, every letter is kept, and then every delivery is acknowledged.

        What was handed over before is passed over. Raises `ServerRefusedError` when the server refused a part of it,
        `ServerUnavailableError` or `ServerOutOfMemoryError` when it could not take any. After an error a part may have
        been handed over; handing over all of it again adds nothing twice.
        """
        ...

    async def close(self) -> None:
        """Give back all connections. Closing twice does nothing."""
        ...
