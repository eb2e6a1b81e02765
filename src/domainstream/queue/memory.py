"""Queues in memory, for tests, and as the readable reference. Implements `JobQueue` and `JobAdder`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from domainstream.errors import ServerRefusedError
from domainstream.queue.job import Job
from domainstream.queue.port import ChannelEpoch, Fenced, QueueBehindError, Refusal, RoutedEntry, TooManyRefusalsError
from domainstream.stream.lease import Lease, LeaseLostError
from domainstream.stream.state import id_order
from domainstream.validation import plain_name

MAX_HOLES: Final = 100
"""How many entries of a channel a queue may have refused before the channel waits for them."""


@dataclass(slots=True)
class MemoryMark:
    """How far a queue has the jobs of one channel."""

    epoch: int = 0
    """The latest owner's."""

    entry_id: str = ""
    """The last entry whose jobs it has, but for the holes; empty before the first."""

    holes: set[str] = field(default_factory=set)
    """The entries up to there that it refused."""


class MemoryQueue:
    """A `JobQueue` that keeps every job permanently."""

    def __init__(self) -> None:
        self.jobs: dict[str, list[Job]] = {}
        """The jobs of each queue, oldest first, each id once."""
        self.added: list[Job] = []
        """The same of all queues together."""
        self.known: set[tuple[str, str]] = set()
        """Queue and id of each job."""
        self.marks: dict[tuple[str, str], MemoryMark] = {}
        """The mark of each queue, and field of a channel."""
        self.refusing: dict[str, str] = {}
        """Why a queue takes no jobs, for each one that does not."""

    async def add(self, jobs: Sequence[Job]) -> None:
        """Add the jobs whose ids are new to their queues; see `port.JobQueue.add`."""
        for job in jobs:
            if reason := self.take(job):
                raise ServerRefusedError(reason)

    def take(self, job: Job) -> str:
        """Add a job if its id is new to its queue; return why it is refused, or an empty text."""
        if job.queue in self.refusing:
            return self.refusing[job.queue]
        if (job.queue, job.id) not in self.known:
            self.known.add((job.queue, job.id))
            self.jobs.setdefault(job.queue, []).append(job)
            self.added.append(job)
        return ""

    async def close(self) -> None:
        """Do nothing: it has no connections."""


class MemoryJobAdder:
    """A `JobAdder` for the queues of a `MemoryQueue`."""

    def __init__(self, queue: MemoryQueue, *, group: str) -> None:
        """Add to `queue`, whose marks name the group of the streams."""
        self._queue = queue
        self._group = plain_name(group)

    async def fence(
        self, channel: str, lease: Lease, queues: Sequence[str]
    ) -> tuple[ChannelEpoch, Mapping[str, Fenced]]:
        """Announce a lease to queues; see `JobAdder.fence`."""
        # Also under the token before, so that owners who know only that one stay out.
        tokens = dict.fromkeys(token for token in (lease.token, lease.token_before) if token)
        names = [f"{self._group}|{channel}|{token}" for token in tokens]
        said = {name: {queue: self._fence_at(queue, name, lease) for queue in queues} for name in names}
        return ChannelEpoch(mark=names[0], epoch=lease.epoch, queues=queues), said[names[0]]

    async def add(self, channel: str, entries: Sequence[RoutedEntry], epoch: ChannelEpoch) -> Sequence[Refusal]:
        """Add jobs; see `JobAdder.add`."""
        # An entry without jobs may be a hole in any queue; otherwise the queues that get no jobs are left out.
        with_jobs = {job.queue for entry in entries for job in entry.jobs}
        queues = [one for one in epoch.queues if one in with_jobs or not all(entry.jobs for entry in entries)]
        marks = {queue: self._queue.marks.get((queue, epoch.mark), MemoryMark()) for queue in queues}
        for queue, mark in marks.items():
            _check(channel, epoch, queue, mark)
        refusals: list[Refusal] = []
        for entry in entries:
            if not entry.jobs:
                for mark in marks.values():
                    mark.holes.discard(entry.delivery.entry_id)
            for queue in dict.fromkeys(job.queue for job in entry.jobs):
                refusals += self._add_entry(entry, queue, marks[queue] if epoch.is_ordered else None)
        if epoch.is_ordered:  # only now: after an error, all of them are added again
            for entry in entries:
                for job in entry.jobs:
                    entry_id = entry.delivery.entry_id
                    epoch.reached[job.queue] = max(epoch.reached.get(job.queue, "0-0"), entry_id, key=id_order)
                    epoch.began.setdefault(job.queue, entry_id)
        return refusals

    async def close(self) -> None:
        """Do nothing: it has no connections."""

    def _fence_at(self, queue: str, name: str, lease: Lease) -> Fenced:
        mark = self._queue.marks.setdefault((queue, name), MemoryMark())
        before = Fenced(mark.epoch if mark.epoch > lease.epoch else 0, mark.entry_id, mark.epoch)
        if not before.higher:
            # No entry that is read from now on may be taken for one whose jobs are in the queue.
            is_of_this_stream = mark.epoch <= lease.epoch_before
            known = min(mark.entry_id, lease.last_delivered, key=_order) if is_of_this_stream else ""
            mark.epoch, mark.entry_id = lease.epoch, known
            first = lease.first_pending
            mark.holes = {
                hole for hole in mark.holes if first and not _is_before(hole, first) and not _is_before(known, hole)
            }
        return before

    def _add_entry(self, entry: RoutedEntry, queue: str, mark: MemoryMark | None) -> list[Refusal]:
        """Add an entry's jobs for one queue, unless that has had them by its mark; without one, it has not."""
        entry_id = entry.delivery.entry_id
        is_new = mark is None or _is_before(mark.entry_id, entry_id)
        if mark and not is_new and entry_id not in mark.holes:
            return []
        refused = [reason for job in entry.jobs if job.queue == queue and (reason := self._queue.take(job))]
        if mark:
            if refused and entry_id not in mark.holes and len(mark.holes) == MAX_HOLES:
                raise TooManyRefusalsError(f"the queue {queue} refuses too many entries: {refused[0]}")
            (mark.holes.add if refused else mark.holes.discard)(entry_id)
            mark.entry_id = entry_id if is_new else mark.entry_id
        return [Refusal(entry_id, queue, refused[0])] if refused else []


def _check(channel: str, epoch: ChannelEpoch, queue: str, mark: MemoryMark) -> None:
    """Raise the reason why a queue with this mark takes no jobs of a channel's epoch, if there is one."""
    if mark.epoch > epoch.epoch:
        raise LeaseLostError(f"a later owner of {channel} has announced itself to the queues: {mark.epoch}")
    if mark.epoch < epoch.epoch:
        raise LeaseLostError(f"the queue {queue} does not know of this epoch of {channel}")
    if epoch.is_ordered and queue in epoch.reached and _is_before(mark.entry_id, epoch.reached[queue]):
        raise QueueBehindError(queue, mark.entry_id or "0-0")


def _is_before(entry_id: str, other: str) -> bool:
    return _order(entry_id) < _order(other)


def _order(entry_id: str) -> tuple[int, int]:
    return id_order(entry_id) if entry_id else (-1, 0)
