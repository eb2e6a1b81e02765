"""What the subscriber needs from queues.

`bullmq/` and `memory.py` implement both ports. All implementations of a port pass the same contract suite.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct, field

from domainstream.errors import ServerRefusedError
from domainstream.queue.job import Job
from domainstream.stream import DeadLetter, Delivery, Lease


class RoutedEntry(Struct, frozen=True, gc=False):
    """A delivery and what becomes of it. It is acknowledged once all of that is done."""

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


class ChannelEpoch(Struct, kw_only=True):
    """A channel in the hands of one owner, from one take of its lease to the next."""

    mark: str
    """The field of its mark in each queue."""

    epoch: int
    """The number of the take."""

    queues: Sequence[str]
    """The queues that may get its jobs, and whose servers have accepted the epoch."""

    is_ordered: bool = True
    """False for entries that were claimed from other consumers: their queues' marks say nothing of them."""

    reached: dict[str, str] = field(default_factory=dict)
    """For each queue, the last entry that was added to it in this epoch: its mark cannot be before that."""

    began: dict[str, str] = field(default_factory=dict)
    """For each queue, the first entry that was added to it in this epoch."""


class Fenced(Struct, frozen=True):
    """What a queue said to a channel's new epoch."""

    higher: int
    """The epoch of a later owner, which the queue keeps to; 0 if it accepts this one."""

    mark: str
    """The id of the mark before; empty if there was none, or if the queue has not had any of the channel's jobs."""

    mark_epoch: int
    """The epoch of the mark before; 0 if there was none."""


class Refusal(Struct, frozen=True):
    """An entry that a queue did not take, although it takes others."""

    entry_id: str
    """The entry."""

    queue: str
    """The queue."""

    reason: str
    """Why."""


class NewlyHeld(Struct, frozen=True):
    """A job that has failed permanently, so that those with its key wait behind it."""

    queue: str
    """Its queue."""

    key: str
    """The key by which it is ordered."""

    job_id: str
    """The failed job."""

    waiting: int
    """How many jobs wait behind it."""


class QueueBehindError(Exception):
    """A queue's mark is not where it was: its server has lost the last jobs that it was given, as in a failover."""

    def __init__(self, queue: str, mark: str) -> None:
        self.queue = queue
        """The queue."""
        self.mark = mark
        """The last entry whose jobs it still has."""
        super().__init__(f"queue {queue} has the channel's jobs only up to {mark}")


class TooManyRefusalsError(ServerRefusedError):
    """A queue did not take so many entries of a channel that no more can be noted: the channel waits for these."""


class JobAdder(Protocol):
    """Adds the jobs of channels to their queues in order, each entry's once, whoever was their owner before.

    Safe for several tasks of one event loop, one for each channel. Raises `ServerUnavailableError`,
    `ServerRefusedError` or `ServerOutOfMemoryError`; adding the same entries again adds none twice.
    """

    async def fence(
        self, channel: str, lease: Lease, queues: Sequence[str]
    ) -> tuple[ChannelEpoch, Mapping[str, Fenced]]:
        """Announce a lease to the queues of its channel, before anything is read; return what each of them said.

        Afterwards they take no more jobs of the channel from earlier owners.
        """
        ...

    async def add(self, channel: str, entries: Sequence[RoutedEntry], epoch: ChannelEpoch) -> Sequence[Refusal]:
        """Add the jobs of a channel's entries, which are in its order; return those that BullMQ did not take.

        Only the queues that get jobs are asked. An entry without jobs is one that was refused before and is given up:
        all queues forget that.
        Raises `LeaseLostError` when a queue knows of a later owner, or not of this one; `QueueBehindError`; and
        `TooManyRefusalsError`.
        """
        ...

    async def close(self) -> None:
        """Release all connections. Closing twice does nothing."""
        ...
