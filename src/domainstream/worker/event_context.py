"""What a handler is told beside the event. Before: `domainstream.queue`; next: `event_consumer`. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from domainstream.event import BaseEvent
from domainstream.queue import JobOrigin, RedisEvent

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class ReceivedJob(Struct, frozen=True, gc=False):
    """A job as a queue handed it out.

    Attributes:
        id: The job's id.

        name: The job's name.

        attempt: Which try this is, from 1; a job that came again by `RetryLater` is still in the same try.

        data: JSON text: the event, `_redisEvent` and `correlationId`.
    """

    id: str
    name: str
    attempt: int
    data: str


class EventContext(Struct, frozen=True, gc=False):
    """Where an event came from, and which try this is.

    Attributes:
        job_id: The job's id.

        job_name: The job's name.

        attempt: Which try this is, from 1; a job that came again by `RetryLater` is still in the same try.

        channel: The channel's value; the event's type for a job that did not come from a stream.

        entry_id: The stream entry's id; empty for a job that did not come from a stream.

        timestamp: When the entry was added, on the server's clock, aware; when the event occurred for a job that did
            not
            come from a stream.

        correlation_id: The business transaction the event belongs to; the event's own id where it started one.
    """

    job_id: str
    job_name: str
    attempt: int
    channel: str
    entry_id: str
    timestamp: datetime
    correlation_id: str


def context_of(job: ReceivedJob, origin: JobOrigin, event: BaseEvent[Any]) -> EventContext:
    """Put together what is known about `job`, whose data holds `event` and `origin`."""
    source = origin.redis_event
    return EventContext(
        job_id=job.id,
        job_name=job.name,
        attempt=job.attempt,
        channel=source.name if source else str(event.event_type),
        entry_id=source.id if source else "",
        timestamp=_added_at(source) if source else event.occurred_at,
        correlation_id=origin.correlation_id or event.correlation_id or event.id,
    )


def _added_at(source: RedisEvent) -> datetime:
    return EPOCH + timedelta(milliseconds=source.timestamp)
