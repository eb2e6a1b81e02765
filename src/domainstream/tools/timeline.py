"""Gathers everything about a transaction or an aggregate, across streams, dead letters and queues."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from domainstream.errors import EventDecodingError, InvalidEnvelopeError
from domainstream.event import EventMessage, read_message
from domainstream.queue import job_origin
from domainstream.queue.bullmq.inspection import BullMQInspection, JobState
from domainstream.redis.nodes import RedisNodes
from domainstream.stream.dead_letters import RedisDeadLetterInspection
from domainstream.stream.inspection.index import RedisIndexSearch
from domainstream.stream.inspection.streams import RedisStreamInspection
from domainstream.stream.state import ms_of
from domainstream.tools.event_search import Search, possible_entries, possible_jobs
from domainstream.tools.traces import error_of, place_of

__all__ = ["ORDER", "Search", "TimelineEntry", "in_order", "timeline_of"]

ORDER: Final = ("published", "buried", "added", "started", "completed", "failed")
"""The order of one event's entries, and of two entries in the same millisecond."""


_TRACE_PARENT: Final = re.compile(r"[\da-f]{2}-([\da-f]{32})-[\da-f]{16}-[\da-f]{2}.*")


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

    happened_ms: int | None = None
    """When the event happened, by the clock of its program; None if it cannot be read."""

    trace_id: str = ""
    """The trace in which the event was published; empty without one."""

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

    error: str = ""
    """The type of the error with which the job failed or, for its last start, why it will be tried again."""

    where: str = ""
    """The innermost line of the user's own code in the traceback of that error."""

    reason: str = ""
    """The message of that error, if it was asked for: it may quote the event."""


async def timeline_of(
    client: Redis | RedisNodes, search: Search, *, since: str, prefix: str, bull_prefix: str, reasons: bool = False
) -> list[TimelineEntry]:
    """Return all that is still stored about a transaction, event or aggregate, in the order in which it happened.

    `since` is the id of the first stream entry to look at. `reasons` includes the messages of errors.
    """
    nodes = RedisNodes.of(client)
    streams = RedisStreamInspection(nodes, prefix=prefix)
    index = RedisIndexSearch(nodes, prefix=prefix)
    published = [
        _stream_entry(message, "published", delivery.timestamp_ms, delivery.channel, delivery.entry_id)
        async for delivery in possible_entries(search, streams, index, since=since)
        if (message := _message(delivery.data, search.wanted)) is not None
    ]
    dead_letters = RedisDeadLetterInspection(nodes, prefix=prefix)
    buried = [
        _stream_entry(message, "buried", ms_of(stored.dead_letter_id), channel, stored.dead_letter_id)
        for channel in await dead_letters.channels()
        async for stored in search.within(f"the dead letters of {channel}", dead_letters.dead_letters(channel))
        if (message := _message(stored.dead_letter.delivery.data, search.wanted)) is not None
    ]
    queues = BullMQInspection(nodes, bull_prefix=bull_prefix)
    event_ids = list(dict.fromkeys(entry.event_id for entry in (*published, *buried)))
    jobs = [
        entry
        async for job in possible_jobs(search, queues, event_ids)
        if _belongs(job, search.wanted)
        for entry in _job_entries(job, _message(job.data, search.wanted), reasons=reasons)
    ]
    # The newest were found first: reversed, entries of the same millisecond keep the order of their stream.
    return in_order([*reversed(published), *buried, *jobs])


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


def _message(data: bytes | None, wanted: str) -> EventMessage | None:
    """Return the event if it has this id, belongs to this transaction or is about this aggregate."""
    # Most entries are about something else: searching for bytes is much cheaper than decoding.
    if data is None or _as_json(wanted) not in data:
        return None
    try:
        message = read_message(data)
    except EventDecodingError:
        return None
    return message if wanted in (message.correlationid, message.id, message.subject) else None


def _as_json(correlation_id: str) -> bytes:
    """Return the id as encoded in JSON, without its quotation marks."""
    return msgspec.json.encode(correlation_id)[1:-1]


def _belongs(job: JobState, wanted: str) -> bool:
    return _as_json(wanted) in job.data and (_transaction_of(job) == wanted or _message(job.data, wanted) is not None)


def _transaction_of(job: JobState) -> str:
    try:
        return job_origin(job.data).correlation_id or ""
    except InvalidEnvelopeError:
        return ""


def _stream_entry(message: EventMessage, what: str, time_ms: int, channel: str, entry_id: str) -> TimelineEntry:
    return TimelineEntry(
        time_ms=time_ms,
        what=what,
        event_type=message.type,
        event_id=message.id,
        aggregate_id=message.subject,
        causation_id=message.causationid,
        correlation_id=message.correlationid or message.id,
        happened_ms=round(message.time.timestamp() * 1000),
        trace_id=_trace_id(message),
        channel=channel,
        entry_id=entry_id,
    )


def _trace_id(message: EventMessage) -> str:
    """Return the trace id of an event's W3C trace context; empty for none, or for one that is malformed."""
    found = _TRACE_PARENT.fullmatch(message.traceparent or "")
    return found[1] if found else ""


def _job_entries(job: JobState, message: EventMessage | None, *, reasons: bool) -> Iterator[TimelineEntry]:
    ended = job.state if job.state in ORDER else None
    times = {"added": job.added_ms, "started": job.started_ms, ended: job.ended_ms}
    # A job that will be tried again has not ended: its last start shows why it failed.
    failed = "failed" if ended == "failed" else None if ended else "started"
    for what, time_ms in times.items():
        if what and time_ms is not None:
            has_failed = what == failed and bool(job.failed_reason)
            yield TimelineEntry(
                time_ms=time_ms,
                what=what,
                event_type=message.type if message else "",
                event_id=message.id if message else "",
                aggregate_id=message.subject if message else "",
                causation_id=message.causationid if message else None,
                trace_id=_trace_id(message) if message else "",
                correlation_id=_transaction_of(job) or (message.correlationid or message.id if message else ""),
                queue=job.queue,
                job=job.name,
                job_id=job.job_id,
                attempts=job.attempts,
                error=error_of(job) if has_failed else "",
                where=place_of(job) if has_failed else "",
                reason=job.failed_reason if has_failed and reasons else "",
            )
