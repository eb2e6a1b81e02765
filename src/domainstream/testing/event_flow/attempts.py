"""What is told of attempts at jobs. Before: `domainstream.worker`; next: `failures` and `driver`. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from msgspec import Struct

from domainstream.event import BaseEvent
from domainstream.queue import Job
from domainstream.worker import EventContext
from domainstream.worker.attempt_result import AttemptResult, Failed


class JobAttempt(Struct, frozen=True):
    """One attempt at a job.

    Attributes:
        job: The job.

        number: Which try it was, from 1; one after `RetryLater` has the number of the one before.

        at: When, on the clock of the flow.

        outcome: How it ended: `Completed`, `Delayed` or `Failed`.

        event: The event that was handled; None when no handler takes the job, or its data cannot be decoded.

        context: What the handler was told beside it; None without an event.
    """

    job: Job
    number: int
    at: datetime
    outcome: AttemptResult
    event: BaseEvent[Any] | None = None
    context: EventContext | None = None

    def __str__(self) -> str:
        event = f" of {type(self.event).__name__}" if self.event else ""
        return f"queue {self.job.queue}, job {self.job.name}{event}"


class FailedJob(Struct, frozen=True):
    """A job that has failed for good.

    Attributes:
        last: The last attempt at it.

        reason: The error's message, or what `GiveUp` was given.

        stack: The trace of the error and of all that caused it.
    """

    last: JobAttempt
    reason: str
    stack: str

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
