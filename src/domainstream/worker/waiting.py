"""Jobs that wait for a build that handles them.

A producer may be deployed before its consumers, so a job may hold an event type, a job name or an event version that
this build does not know yet. Such a job is put back after a pause, without using an attempt, until an updated worker
takes it. BullMQ counts how often a job was started and how many attempts were made, so the difference says how often it
has been put back, and no state of our own is needed.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Final, TypeGuard

from msgspec import Struct

from domainstream.errors import HandlerNotFoundError, UnknownEventVersionError
from domainstream.telemetry import Signal, emit
from domainstream.worker.context import ReceivedJob

LONGEST_PAUSE: Final = timedelta(minutes=10)

_DOUBLINGS: Final = 10
"""How many pauses double from one second: the last one takes 512 s."""

_REPORT_INTERVAL: Final = 60.0
"""Seconds between two lines about jobs of one kind: a queue may hold many thousands of them."""

_MAX_KINDS: Final = 1_000
_MAX_WAITS: Final = 10**6
"""A bound for counts in Redis, which any program may write."""


class Wait(Struct, frozen=True):
    """Lets jobs that a consumer does not handle yet wait: `EventConsumer(..., unhandled=Wait(timedelta(days=1)))`."""

    limit: timedelta = timedelta(days=7)
    """How long they wait before they fail. Defaults to 7 days."""


def is_unhandled(error: BaseException) -> TypeGuard[HandlerNotFoundError | UnknownEventVersionError]:
    """Return whether another build of the service may handle the job that this one does not."""
    if isinstance(error, UnknownEventVersionError):
        return error.version is not None
    return isinstance(error, HandlerNotFoundError)


def next_wait(job: ReceivedJob, limit: timedelta, now: float) -> timedelta | None:
    """Return the pause before `job` is looked at again; None when it has waited for `limit`. `now` is a POSIX time.

    The pause doubles from 1 second to 10 minutes. A job that was in a backlog for longer than the limit has not waited
    yet, and `RetryLater` counts as well where we count: so the pauses and the age must both reach the limit.
    """
    waits = min(job.waits, _MAX_WAITS)
    doublings = min(waits, _DOUBLINGS)
    waited = timedelta(seconds=2**doublings - 1) + (waits - doublings) * LONGEST_PAUSE
    if waited < limit:
        return min(timedelta(seconds=2**doublings), LONGEST_PAUSE, limit - waited)
    return LONGEST_PAUSE if now - job.timestamp_ms / 1000 < limit.total_seconds() else None


class WaitReporter:
    """Logs jobs of one queue that wait, at most once a minute for each kind of job."""

    def __init__(self, queue: str, clock: Callable[[], float]) -> None:
        """Report jobs of `queue`; `clock` returns a POSIX time."""
        self._queue = queue
        self._clock = clock
        self._kinds: dict[tuple[str, str | None, type[Exception]], tuple[float, int]] = {}
        """When the next line about a kind is due, and how many waits it has to count."""

    def report(
        self, job: ReceivedJob, error: HandlerNotFoundError | UnknownEventVersionError, pause: timedelta
    ) -> None:
        """Report that `job` waits for `pause`, or count it for the next line about its kind."""
        kind, now = (job.name, error.event_type, type(error)), self._clock()
        due, others = self._kinds.get(kind, (now, 0))
        if now < due:
            self._kinds[kind] = (due, others + 1)
            return
        if len(self._kinds) >= _MAX_KINDS:
            self._kinds.clear()
        self._kinds[kind] = (now + _REPORT_INTERVAL, 0)
        emit(
            Signal.WORKER_JOB_WAITS,
            queue=self._queue,
            job=job.id,
            name=job.name,
            event=error.event_type,
            waits=job.waits + 1,
            pause_s=pause.total_seconds(),
            others=others,
            reason=error,
        )
