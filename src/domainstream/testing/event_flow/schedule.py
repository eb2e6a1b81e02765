"""Which job is next, and when: what a queue's server decides."""

from datetime import datetime
from heapq import heappop, heappush
from itertools import count

from msgspec import Struct

from domainstream.queue import Job


class WaitingJob(Struct, frozen=True):
    """A job that has to be tried."""

    job: Job
    """The job."""

    attempt: int = 1
    """Which try the next one is, from 1."""


class JobSchedule:
    """Jobs that wait, in the order in which one worker would take them.

    Those that are due come by priority as BullMQ has it, and then in the order in which they became due.
    """

    def __init__(self) -> None:
        self._due: list[tuple[int, int, WaitingJob]] = []
        self._later: list[tuple[datetime, int, WaitingJob]] = []
        self._numbers = count()

    @property
    def next_due(self) -> datetime | None:
        """When the first of the jobs that are not due yet will be; None without any."""
        return self._later[0][0] if self._later else None

    def add(self, waiting: WaitingJob, due: datetime) -> None:
        """Let a job wait until `due`."""
        heappush(self._later, (due, next(self._numbers), waiting))

    def take(self, now: datetime) -> WaitingJob | None:
        """Return the job that is next, and forget it; None when none is due."""
        while self._later and self._later[0][0] <= now:
            _, _, waiting = heappop(self._later)
            heappush(self._due, (waiting.job.settings.priority, next(self._numbers), waiting))
        return heappop(self._due)[-1] if self._due else None
