"""What a handler is told beside the event."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from domainstream.errors import InvalidEnvelopeError
from domainstream.event import BaseEvent
from domainstream.queue import JobOrigin, RedisEvent

Progress = Callable[[Any], Awaitable[None]]
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class ReceivedJob(Struct, frozen=True):
    """A job as a queue handed it out."""

    id: str
    """The job's id."""

    name: str
    """The job's name."""

    attempt: int
    """Which try this is, from 1; a job that came again by `RetryLater` is still in the same try."""

    data: str
    """JSON text: the event, `_redisEvent` and `correlationId`."""

    attempts: int = 1
    """How many tries there may be. Defaults to 1."""

    backoff: Any = None
    """The pause between two tries, as BullMQ's job has it: milliseconds, or an object with `type`, `delay` and perhaps
    `jitter`. Defaults to None: no pause.
    """

    progress: Progress | None = None
    """Stores how far the job is, for those who watch the queue. Defaults to None: nobody can be told."""


class EventContext(Struct, frozen=True):
    """Where an event came from, and which try this is."""

    job_id: str
    """The job's id."""

    job_name: str
    """The job's name."""

    attempt: int
    """Which try this is, from 1; a job that came again by `RetryLater` is still in the same try."""

    channel: str
    """The channel's value; the event's type for a job that did not come from a stream."""

    entry_id: str
    """The stream entry's id; empty for a job that did not come from a stream."""

    timestamp: datetime
    """When the entry was added, on the server's clock, aware; when the event occurred for a job that did not come from
    a stream.
    """

    correlation_id: str
    """The business transaction the event belongs to; the event's own id where it started one."""

    event_id: str = ""
    """The event's id: the same for each repeat."""

    causation_id: str | None = None
    """The id of the event that led to this one, or None."""

    attempts: int = 1
    """How many tries there may be. Defaults to 1."""

    progress: Progress | None = None
    """Where `report_progress` goes; None outside of a worker."""

    @property
    def is_last_attempt(self) -> bool:
        """Whether the job has failed for good if this try fails."""
        return self.attempt >= self.attempts

    async def report_progress(self, value: Any) -> None:
        """Tell those who watch the queue how far the job is: a number of percent, or whatever JSON can hold.

        For coroutine functions. It goes with the worker's next call to the server; outside of a worker, nowhere.
        """
        if self.progress is not None:
            await self.progress(value)


def context_of(job: ReceivedJob, origin: JobOrigin, event: BaseEvent[Any]) -> EventContext:
    """Put together what is known about `job`, whose data holds `event` and `origin`.

    Raises `InvalidEnvelopeError` for a time that no calendar has.
    """
    source = origin.redis_event
    return EventContext(
        job_id=job.id,
        job_name=job.name,
        attempt=job.attempt,
        channel=source.name if source else str(event.event_type),
        entry_id=source.id if source else "",
        timestamp=_added_at(source) if source else event.occurred_at,
        correlation_id=origin.correlation_id or event.correlation_id or event.id,
        event_id=event.id,
        causation_id=event.causation_id,
        attempts=job.attempts,
        progress=job.progress,
    )


def _added_at(source: RedisEvent) -> datetime:
    try:
        return EPOCH + timedelta(milliseconds=source.timestamp)
    except OverflowError:
        raise InvalidEnvelopeError("the timestamp of the job's _redisEvent is beyond the year 9999") from None
