"""What a handler gets beside the event: its job, its attempt, and where the event came from."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from domainstream.errors import InvalidEnvelopeError
from domainstream.event import BaseEvent
from domainstream.event.trace_context import read_context, trace_context
from domainstream.queue import JobOrigin
from domainstream.validation import plain_name

Progress = Callable[[Any], Awaitable[None]]
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class ReceivedJob(Struct, frozen=True):
    """A job as a queue handed it out."""

    id: str
    """The job's id."""

    name: str
    """The job's name."""

    attempt: int
    """The number of this attempt, from 1; a retry after `RetryLater` keeps the number."""

    data: str
    """JSON text: the event, `_redisEvent` and `correlationId`."""

    attempts: int = 1
    """How many attempts the job has in all. Defaults to 1."""

    backoff: Any = None
    """The pause between two attempts, as BullMQ stores it: milliseconds, or an object with `type`, `delay` and perhaps
    `jitter` and `maxDelay`. Defaults to None: no pause.
    """

    waits: int = 0
    """How often the job was put back without using an attempt, as by `RetryLater`. Defaults to 0."""

    timestamp_ms: int = 0
    """When the job was added, in milliseconds since 1970. Defaults to 0: unknown."""

    progress: Progress | None = None
    """Stores the job's progress for tools that watch the queue. Defaults to None: progress goes nowhere."""

    trace: str = ""
    """The trace context that the job was given when it was added, as a JSON object; empty if it was given none."""


class EventContext(Struct, frozen=True):
    """Where an event came from, and which attempt this is."""

    job_id: str
    """The job's id."""

    job_name: str
    """The job's name."""

    attempt: int
    """The number of this attempt, from 1; a retry after `RetryLater` keeps the number."""

    channel: str
    """The channel's value; the event's type for a job that did not come from a stream."""

    entry_id: str
    """The stream entry's id; empty for a job that did not come from a stream."""

    timestamp: datetime
    """When the entry was added, by the server's clock, timezone-aware; when the event occurred for a job that did not
    come from a stream.
    """

    correlation_id: str
    """The business transaction the event belongs to; the event's own id if it started one."""

    event_id: str = ""
    """The event's id: the same each time the event is handled."""

    causation_id: str | None = None
    """The id of the event that led to this one, or None."""

    attempts: int = 1
    """How many attempts the job has in all. Defaults to 1."""

    progress: Progress | None = None
    """Where `report_progress` sends its values; None outside of a worker."""

    traceparent: str | None = None
    """The span in which the event was published, or the job added (W3C Trace Context); None if neither has one."""

    tracestate: str | None = None
    """Vendor data of that span (W3C Trace Context), or None."""

    @property
    def is_last_attempt(self) -> bool:
        """Whether the job fails permanently if this attempt fails."""
        return self.attempt >= self.attempts

    async def report_progress(self, value: Any) -> None:
        """Store the job's progress for tools that watch the queue: a percentage, or anything that JSON can hold.

        For coroutine functions. It is sent with the worker's next call to the server; outside of a worker it is
        ignored.
        """
        if self.progress is not None:
            await self.progress(value)


def context_of(job: ReceivedJob, origin: JobOrigin, event: BaseEvent[Any]) -> EventContext:
    """Return the context of `job`, whose data holds `event` and `origin`.

    Raises `InvalidEnvelopeError` for a timestamp beyond the year 9999.
    """
    source = origin.redis_event
    try:
        added_at = EPOCH + timedelta(milliseconds=source.timestamp) if source else event.occurred_at
    except OverflowError:
        raise InvalidEnvelopeError("the timestamp of the job's _redisEvent is beyond the year 9999") from None
    trace = read_context(job.trace) or trace_context(origin.traceparent, origin.tracestate) or {}
    return EventContext(
        job_id=job.id,
        job_name=job.name,
        attempt=job.attempt,
        channel=source.name if source else plain_name(event.event_type),
        entry_id=source.id if source else "",
        timestamp=added_at,
        correlation_id=origin.correlation_id or event.correlation_id or event.id,
        event_id=event.id,
        causation_id=event.causation_id,
        attempts=job.attempts,
        progress=job.progress,
        traceparent=trace.get("traceparent"),
        tracestate=trace.get("tracestate"),
    )
