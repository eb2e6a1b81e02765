"""What the subscriber needs from queues. Before: `domainstream.stream`; next: `domainstream.subscriber`.

Implementations: `bullmq_queue`, `memory_queue`. Both pass the same tests.
"""

from collections.abc import Sequence
from typing import Protocol

from domainstream.queue.job import Job


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
