"""The record of attempts at jobs, and the two ways in which a flow makes its test fail.

The latter are failed assertions, not errors of domainstream: code under test that catches `DomainStreamError` must not
catch them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from domainstream.event import BaseEvent
from domainstream.queue import Job
from domainstream.stream import DeadLetter
from domainstream.text import list_problems
from domainstream.worker import EventContext
from domainstream.worker.outcomes import AttemptResult, Failed, Waiting

_MAX_STACKS: Final = 3
_LATEST: Final = 100


class JobAttempt(Struct, frozen=True):
    """One attempt at a job, or one look at a job that no handler takes."""

    job: Job
    """The job."""

    number: int
    """The number of the attempt, from 1; `RetryLater` does not count, so the next attempt has the same number."""

    at: datetime
    """When it was made, on the clock of the flow."""

    outcome: AttemptResult
    """How it ended: `Completed`, `Delayed`, `Waiting` or `Failed`."""

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

    held: tuple[Job, ...] = ()
    """The jobs that wait behind it, the first one first: those of its key, if its queue has `on_failure="hold"`."""

    def __str__(self) -> str:
        last, job = self.last, self.last.job
        failed = f"{last} ({job.id}), attempt {last.number} of {job.settings.attempts}: {self.reason}"
        return failed + _behind(self.held)


def failed_jobs(attempts: Iterable[JobAttempt], behind: Callable[[Job], tuple[Job, ...]]) -> list[FailedJob]:
    """Return the jobs whose attempts were their last, and failed; `behind` returns the jobs that wait for one."""
    return [
        FailedJob(attempt, attempt.outcome.reason, attempt.outcome.stack, behind(attempt.job))
        for attempt in attempts
        if isinstance(attempt.outcome, Failed) and attempt.outcome.again_in is None
    ]


def worse_than(before: Sequence[FailedJob], now: Sequence[FailedJob]) -> list[FailedJob]:
    """Return the jobs that have failed since, and those that hold more jobs than before."""
    held = [len(job.held) for job in before]
    return [job for number, job in enumerate(now) if number >= len(held) or len(job.held) > held[number]]


class FlowFailedError(AssertionError):
    """Jobs failed permanently or wait for a handler, or entries became dead letters, and the test did not expect it."""

    def __init__(
        self,
        failed: Sequence[FailedJob],
        dead_letters: Sequence[DeadLetter],
        waiting: Sequence[tuple[JobAttempt, Sequence[Job]]] = (),
    ) -> None:
        """Report jobs and entries; `waiting` has with each job those that wait behind it."""
        self.failed = tuple(failed)
        """The jobs."""
        self.dead_letters = tuple(dead_letters)
        """The entries that could not become jobs."""
        self.waiting = tuple(attempt for attempt, _ in waiting)
        """The jobs that wait for a build that handles them."""
        heading = (
            f"Jobs that failed permanently: {len(failed)}; jobs that wait for a handler: {len(waiting)}; entries that "
            f"became dead letters: {len(dead_letters)}. If the test expects that, use await "
            "flow.settle(expect_failures=True) and check flow.failed, flow.held, flow.waiting and flow.dead_letters:"
        )
        waits = [
            f"{attempt} ({attempt.job.id}) waits: {attempt.outcome.reason}{_behind(jobs)}"
            for attempt, jobs in waiting
            if isinstance(attempt.outcome, Waiting)
        ]
        dead = [
            f"channel {dead.delivery.channel}, entry {dead.delivery.entry_id}: {dead.error}: {dead.reason}"
            for dead in dead_letters
        ]
        stacks = [f"{job.last}:\n{job.stack}" for job in failed[:_MAX_STACKS] if job.stack]
        super().__init__("\n\n".join([list_problems(heading, [*map(str, failed), *waits, *dead]), *stacks]))


def _behind(jobs: Sequence[Job]) -> str:
    """Return how many jobs wait behind another one, to be added to what is said about that one."""
    if not jobs:
        return ""
    return f"; {len(jobs)} job{' waits' if len(jobs) == 1 else 's wait'} behind it"


class EndlessFlowError(AssertionError):
    """Attempts kept leading to further attempts, beyond `most_attempts`."""

    def __init__(self, attempts: Sequence[JobAttempt]) -> None:
        latest = Counter(map(str, attempts[-_LATEST:])).most_common()
        super().__init__(
            list_problems(
                f"After {len(attempts)} attempts there are still jobs: a handler publishes what leads back to it, or "
                "raises RetryLater each time. To let a limited time pass, use flow.advance(timedelta(minutes=1)). "
                "If this number of attempts is right, use EventFlow(..., most_attempts=...). The latest were:",
                [f"{times} times {what}" for what, times in latest],
            )
        )
