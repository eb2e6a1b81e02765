"""Which jobs of a flow wait behind which, in the queues whose jobs are handled one after the other."""

from collections import deque
from collections.abc import Mapping, Sequence

from domainstream.queue import Job
from domainstream.queue.job import job_origin
from domainstream.queue.settings import OnFailure
from domainstream.stream.state import id_order
from domainstream.testing.event_flow.fakes import ScheduledJob


class JobOrder:
    """The jobs of each queue and key that have not ended, in the order of their events.

    Only the first of them may begin. One that has failed permanently stays the first if its queue says "hold".
    """

    def __init__(self, on_failure: Mapping[str, OnFailure]) -> None:
        """Order the jobs of the queues that `on_failure` has."""
        self._on_failure = on_failure
        # Repeats have a place of their own: jobs that were completed were not behind those that still are in the way.
        self._lines: dict[tuple[str, str, bool], deque[ScheduledJob]] = {}

    def as_published(self, queue: str, jobs: Sequence[Job]) -> Sequence[Job]:
        """Return new jobs of a queue as their events were published: they come channel by channel.

        A server compares the times of entries and events, and lets jobs be that have begun. A flow reads all channels
        before it handles anything, and numbers the entries of all of them, also where all times are the same.
        """
        return sorted(jobs, key=_published) if queue in self._on_failure else jobs

    def join(self, scheduled: ScheduledJob) -> bool:
        """Put a job behind those of its queue and key; return whether it may begin, as there are none."""
        if not scheduled.job.order_key:
            return True
        line = self._lines.setdefault(_line_of(scheduled.job, is_repeat=scheduled.is_repeat), deque())
        line.append(scheduled)
        return len(line) == 1

    def leave(self, scheduled: ScheduledJob, *, has_failed: bool) -> ScheduledJob | None:
        """Note that a job has ended; return the one that may begin now, if there is any."""
        job = scheduled.job
        if not job.order_key or (has_failed and self._on_failure[job.queue] == "hold"):
            return None
        line = self._lines[_line_of(job, is_repeat=scheduled.is_repeat)]
        line.popleft()
        return line[0] if line else None

    def behind(self, job: Job) -> tuple[Job, ...]:
        """Return the jobs that wait for a job which is the first of its key, the first one first."""
        for is_repeat in (False, True):
            line = self._lines.get(_line_of(job, is_repeat=is_repeat))
            if line and line[0].job.id == job.id:
                return tuple(other.job for other in list(line)[1:])
        return ()


def _published(job: Job) -> tuple[int, int]:
    origin = job_origin(job.data).redis_event
    return id_order(origin.id) if origin else (0, 0)


def _line_of(job: Job, *, is_repeat: bool) -> tuple[str, str, bool]:
    return (job.queue, job.order_key, is_repeat)
