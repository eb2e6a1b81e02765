"""Failed jobs by what failed and where, so that ten thousand failures become a handful of causes."""

import heapq
from typing import Any

from msgspec import Struct

from domainstream.errors import EventDecodingError
from domainstream.event import EventMessage, read_message
from domainstream.queue.bullmq.inspection import JobState
from domainstream.stream import Delivery
from domainstream.tools.traces import error_of, place_of


class JobFailures(Struct, kw_only=True):
    """Jobs of one queue that are in the same state for the same reason."""

    queue: str
    """The queue's name."""

    state: str
    """As BullMQ calls it."""

    job: str
    """The jobs' name."""

    event_type: str
    """The type of their events; empty if they cannot be read."""

    error: str
    """The type of their last error; empty for jobs that have not failed yet."""

    where: str
    """The innermost line of the user's own code in the last trace, as `file:line in function`; empty without one."""

    jobs: int
    """How many they are."""

    first_ms: int
    """When the first of them failed or, before that, was added: in milliseconds since 1970."""

    last_ms: int
    """The same of the last of them."""

    example: str
    """The id of the last of them, for `domainstream jobs show`."""


class JobFilter(Struct, frozen=True, kw_only=True):
    """Which jobs of a queue are meant; None and 0 mean any."""

    job: str | None = None
    """Their name."""

    error: str | None = None
    """The type of their last error, as `JobFailures.error` has it."""

    since_ms: int = 0
    """When they ended or, before that, began last or were added, at the earliest; in milliseconds since 1970."""

    key: str | None = None
    """The id of the aggregate that their events are about."""

    def matches(self, job: JobState) -> bool:
        """Return whether a job is meant."""
        if self.job not in (None, job.name) or moment_of(job) < self.since_ms:
            return False
        if self.error is not None and error_of(job) != self.error:
            return False
        if self.key is None:
            return True
        message = message_of(job)
        return message is not None and message.subject == self.key


class JobRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job as `--json` writes it."""

    queue: str
    """The queue's name."""

    id: str
    """The job's id."""

    name: str
    """The job's name."""

    state: str
    """As BullMQ calls it."""

    event_type: str = ""
    """The type of its event; empty, as the next three, if the event cannot be read."""

    event_id: str = ""
    """The id of its event."""

    aggregate_id: str = ""
    """The aggregate that its event is about."""

    correlation_id: str = ""
    """The business transaction that its event belongs to."""

    attempts: int
    """How many attempts were made and counted."""

    max_attempts: int
    """How many it gets."""

    starts: int
    """How often it began."""

    added_ms: int
    """When it was added, in milliseconds since 1970."""

    last_ms: int
    """When it ended or, before that, began last or was added."""

    due_ms: int | None = None
    """When a delayed job may begin, if that was asked for."""

    error: str = ""
    """The type of its last error; empty without a failure."""

    where: str = ""
    """The innermost line of the user's own code in its last trace."""

    order_key: str = ""
    """The key by which it is ordered, if that was asked for and its queue's jobs are handled in order."""

    waits_for: str = ""
    """The id of the job that it waits for, if that was asked for; empty if it waits for none."""

    waits_for_it: str = ""
    """The id of the job that waits for it, if that was asked for; empty if none does."""

    held_by: str = ""
    """The id of the failed job that holds its key, if that was asked for; empty if none does."""

    reason: str = ""
    """Why its last attempt failed, or why it waits."""

    traces: tuple[str, ...] = ()
    """Its traces, if they were asked for."""

    data: Any = None
    """Its data, if that was asked for and is JSON."""

    data_base64: str | None = None
    """Its data, if that was asked for and is not JSON."""


def job_record(job: JobState, **more: Any) -> JobRecord:
    """Return the record of a job; `more` are the fields that must be asked for."""
    message = message_of(job)
    return JobRecord(
        queue=job.queue,
        id=job.job_id,
        name=job.name,
        state=job.state,
        attempts=job.attempts,
        max_attempts=job.max_attempts,
        starts=job.starts,
        added_ms=job.added_ms,
        last_ms=moment_of(job),
        due_ms=job.due_ms,
        error=error_of(job),
        where=place_of(job),
        reason=job.failed_reason,
        event_type=message.type if message else "",
        event_id=message.id if message else "",
        aggregate_id=message.subject if message else "",
        correlation_id=(message.correlationid or message.id) if message else "",
        **more,
    )


class Causes:
    """Groups jobs by state, name, event type, error and place. It keeps one line for each group, not the jobs."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, ...], JobFailures] = {}

    def add(self, job: JobState) -> None:
        """Count a job."""
        message, moment = message_of(job), moment_of(job)
        key = (job.state, job.name, message.type if message else "", error_of(job), place_of(job))
        group = self._groups.get(key)
        if group is None:
            state, name, event_type, error, where = key
            self._groups[key] = JobFailures(
                queue=job.queue,
                state=state,
                job=name,
                event_type=event_type,
                error=error,
                where=where,
                jobs=1,
                first_ms=moment,
                last_ms=moment,
                example=job.job_id,
            )
            return
        group.jobs += 1
        group.first_ms = min(group.first_ms, moment)
        if moment >= group.last_ms:
            group.last_ms, group.example = moment, job.job_id

    def largest_first(self) -> list[JobFailures]:
        """Return the groups so far."""
        return sorted(self._groups.values(), key=lambda group: group.jobs, reverse=True)


class Newest:
    """Keeps the newest of many jobs, without their data and traces."""

    def __init__(self, count: int) -> None:
        """Keep `count` jobs."""
        self._count = count
        self._added = 0
        self._heap: list[tuple[int, int, JobRecord]] = []

    def add(self, job: JobState) -> None:
        """Keep a job, in place of the oldest one if there are enough."""
        self._added += 1
        # Of jobs that ended in the same millisecond the first ones are kept.
        order = (moment_of(job), -self._added)
        if len(self._heap) < self._count:
            heapq.heappush(self._heap, (*order, job_record(job)))
        elif order > self._heap[0][:2]:
            heapq.heapreplace(self._heap, (*order, job_record(job)))

    def records(self) -> list[JobRecord]:
        """Return the jobs that were kept, the newest first."""
        return [record for *_, record in sorted(self._heap, reverse=True)]


def moment_of(job: JobState) -> int:
    """Return when a job ended or, before that, began last or was added; in milliseconds since 1970."""
    return job.ended_ms or job.started_ms or job.added_ms


def message_of(job: JobState | Delivery) -> EventMessage | None:
    """Return the envelope of the event of a job or of a stream entry; None for data that is not an event."""
    try:
        return read_message(job.data or b"")
    except EventDecodingError:
        return None
