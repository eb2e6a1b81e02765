"""Gathers everything that belongs to a correlation id, across streams, dead letters and queues."""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from domainstream.errors import EventDecodingError, InvalidEnvelopeError
from domainstream.event import EventMessage, read_message
from domainstream.queue import job_origin
from domainstream.queue.bullmq.inspection import BullMQInspection, JobState
from domainstream.stream.dead_letters import RedisDeadLetterInspection
from domainstream.stream.inspection.streams import RedisStreamInspection
from domainstream.stream.state import ms_of

ORDER: Final = ("published", "buried", "added", "started", "completed", "failed")
"""The order of one event's entries, and of two entries in the same millisecond."""


class TimelineEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened in a business transaction."""

    time_ms: int
    """When, in milliseconds since 1970: stream entries by the server's clock, jobs by their programs' clocks."""

    what: str
    """`published`, `buried` (stored as a dead letter), or a job's `added`, `started`, `completed` or `failed`."""

    event_type: str = ""
    """The event's type; empty if the event cannot be read."""

    event_id: str = ""
    """The event's id."""

    aggregate_id: str = ""
    """The aggregate that the event is about."""

    causation_id: str | None = None
    """The id of the event that caused it; None for the first."""

    correlation_id: str = ""
    """The transaction that the event belongs to."""

    channel: str | None = None
    """The channel of the stream entry or dead letter."""

    entry_id: str | None = None
    """The id of the stream entry or dead letter."""

    queue: str | None = None
    """The job's queue."""

    job: str | None = None
    """The job's name."""

    job_id: str | None = None
    """The job's id."""

    attempts: int | None = None
    """How often the job was attempted."""


async def timeline_of(
    client: Redis, correlation_id: str, *, since: str, prefix: str, bull_prefix: str
) -> list[TimelineEntry]:
    """Return everything that is still stored about a business transaction, in the order in which it happened.

    `since` is the id of the first stream entry to look at.
    """
    streams = RedisStreamInspection(client, prefix=prefix)
    published = [
        _stream_entry(message, "published", delivery.timestamp_ms, channel, delivery.entry_id)
        for channel in await streams.channels()
        async for delivery in streams.entries(channel, since=since)
        if (message := _message(delivery.data, correlation_id)) is not None
    ]
    dead_letters = RedisDeadLetterInspection(client, prefix=prefix)
    buried = [
        _stream_entry(message, "buried", ms_of(stored.dead_letter_id), channel, stored.dead_letter_id)
        for channel in await dead_letters.channels()
        async for stored in dead_letters.dead_letters(channel)
        if (message := _message(stored.dead_letter.delivery.data, correlation_id)) is not None
    ]
    queues = BullMQInspection(client, bull_prefix=bull_prefix)
    jobs = [
        entry
        for queue in await queues.queues()
        async for job in queues.jobs(queue, holding=_as_json(correlation_id))
        if _belongs(job, correlation_id)
        for entry in _job_entries(job, correlation_id, _message(job.data, correlation_id))
    ]
    return in_order([*published, *buried, *jobs])


def in_order(entries: Iterable[TimelineEntry]) -> list[TimelineEntry]:
    """Sort entries by time, but never an effect before its cause: clocks of programs and servers differ."""
    keyed: list[tuple[int, int, TimelineEntry]] = []
    published: dict[str, int] = {}
    latest: dict[tuple[str | None, str | None], int] = {}
    for entry in sorted(entries, key=_stage):
        at = entry.time_ms
        if entry.what == "published":
            published[entry.event_id] = min(at, published.get(entry.event_id, at))
        elif entry.queue:
            job = (entry.queue, entry.job_id)
            at = latest[job] = max(at, latest.get(job, published.get(entry.event_id, 0)))
        keyed.append((at, _stage(entry), entry))
    return [entry for _, _, entry in sorted(keyed, key=lambda key: key[:2])]


def _stage(entry: TimelineEntry) -> int:
    return ORDER.index(entry.what)


def _message(data: bytes | None, correlation_id: str) -> EventMessage | None:
    """Return the event if it belongs to the transaction, whose id may be that of its first event."""
    # Most entries belong to other transactions: searching for bytes is much cheaper than decoding.
    if data is None or _as_json(correlation_id) not in data:
        return None
    try:
        message = read_message(data)
    except EventDecodingError:
        return None
    return message if correlation_id in (message.correlationid, message.id) else None


def _as_json(correlation_id: str) -> bytes:
    """Return the id as encoded in JSON, without its quotation marks."""
    return msgspec.json.encode(correlation_id)[1:-1]


def _belongs(job: JobState, correlation_id: str) -> bool:
    try:
        return job_origin(job.data).correlation_id == correlation_id
    except InvalidEnvelopeError:
        return False


def _stream_entry(message: EventMessage, what: str, time_ms: int, channel: str, entry_id: str) -> TimelineEntry:
    return TimelineEntry(
        time_ms=time_ms,
        what=what,
        event_type=message.type,
        event_id=message.id,
        aggregate_id=message.subject,
        causation_id=message.causationid,
        correlation_id=message.correlationid or message.id,
        channel=channel,
        entry_id=entry_id,
    )


def _job_entries(job: JobState, correlation_id: str, message: EventMessage | None) -> Iterator[TimelineEntry]:
    ended = job.state if job.state in ORDER else None
    times = {"added": job.added_ms, "started": job.started_ms, ended: job.ended_ms}
    for what, time_ms in times.items():
        if what and time_ms is not None:
            yield TimelineEntry(
                time_ms=time_ms,
                what=what,
                event_type=message.type if message else "",
                event_id=message.id if message else "",
                aggregate_id=message.subject if message else "",
                causation_id=message.causationid if message else None,
                correlation_id=correlation_id,
                queue=job.queue,
                job=job.name,
                job_id=job.job_id,
                attempts=job.attempts,
            )
