"""Decides which job is next, and when, as the server of a queue does."""

from datetime import datetime
from heapq import heappop, heappush
from itertools import count

from msgspec import Struct

from domainstream.queue import Job


class WaitingJob(Struct, frozen=True):
    """A job that waits for its next attempt."""

    job: Job
    """The job."""

    attempt: int = 1
    """The number of that attempt, from 1."""


class JobSchedule:
    """Jobs that wait, in the order in which one worker would take them.

    Due jobs are ordered by priority, as in BullMQ, and then by when they became due.
    """

    def __init__(self) -> None:
        self._due: list[tuple[int, int, WaitingJob]] = []
        self._later: list[tuple[datetime, int, WaitingJob]] = []
        self._numbers = count()

    @property
    def next_due(self) -> datetime | None:
        """When the next of the jobs that are not due yet will be due; None if there are none."""
        return self._later[0][0] if self._later else None

    def add(self, waiting: WaitingJob, due: datetime) -> None:
        """Add a job that is due at `due`."""
        heappush(self._later, (due, next(self._numbers), waiting))

    def take(self, now: datetime) -> WaitingJob | None:
        """Remove and return the next job; None when none is due."""
        while self._later and self._later[0][0] <= now:
            _, _, waiting = heappop(self._later)
            heappush(self._due, (waiting.job.settings.priority, next(self._numbers), waiting))
        return heappop(self._due)[-1] if self._due else None
