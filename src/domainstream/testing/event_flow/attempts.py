"""The record of attempts at jobs."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from msgspec import Struct

from domainstream.event import BaseEvent
from domainstream.queue import Job
from domainstream.worker import EventContext
from domainstream.worker.outcomes import AttemptResult, Failed


class JobAttempt(Struct, frozen=True):
    """One attempt at a job."""

    job: Job
    """The job."""

    number: int
    """The number of the attempt, from 1; `RetryLater` does not count, so the next attempt has the same number."""

    at: datetime
    """When it was made, on the clock of the flow."""

    outcome: AttemptResult
    """How it ended: `Completed`, `Delayed` or `Failed`."""

    event: BaseEvent[Any] | None = None
    """The event that was handled; None when no handler takes the job, or its data cannot be decoded."""

    context: EventContext | None = None
    """The handler's context; None without an event."""

    def __str__(self) -> str:
        event = f" of {type(self.event).__name__}" if self.event else ""
        return f"queue {self.job.queue}, job {self.job.name}{event}"


class FailedJob(Struct, frozen=True):
    """A job that failed permanently."""

    last: JobAttempt
    """The last attempt at it."""

    reason: str
    """The error's message, or what `GiveUp` was given."""

    stack: str
    """The traceback of the error with its causes."""

    def __str__(self) -> str:
        last, job = self.last, self.last.job
        return f"{last} ({job.id}), attempt {last.number} of {job.settings.attempts}: {self.reason}"


def failed_jobs(attempts: Iterable[JobAttempt]) -> list[FailedJob]:
    """Return the jobs whose attempts were their last, and failed."""
    return [
        FailedJob(attempt, attempt.outcome.reason, attempt.outcome.stack)
        for attempt in attempts
        if isinstance(attempt.outcome, Failed) and attempt.outcome.again_in is None
    ]
