"""Gathers what belongs to a correlation id, across channels, dead letters and queues."""

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Final

import msgspec
from msgspec import Struct

from domainstream.cli.common.redis_server import RedisServer
from domainstream.errors import EventDecodingError, InvalidEnvelopeError
from domainstream.event import EventMessage, read_message
from domainstream.queue import job_origin
from domainstream.queue.bullmq.inspection import BullMQInspection, JobState
from domainstream.stream.dead_letters.inspection import RedisDeadLetterInspection
from domainstream.stream.state import ms_of

ORDER: Final = ("published", "buried", "added", "started", "completed", "failed")
"""What comes first of the steps of one event, and of two steps at the same millisecond."""


class Step(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened."""

    time_ms: int
    """When, in milliseconds since 1970; entries by the server's clock, jobs by those of their programs."""

    what: str
    """`published`, `buried` as a dead letter, or what became of a job: `added`, `started`, `completed`, `failed`."""

    event_type: str = ""
    """The event's type; empty where it cannot be read."""

    event_id: str = ""
    """The event's id."""

    aggregate_id: str = ""
    """What the event is about."""

    causation_id: str | None = None
    """The event that caused it; None for the first."""

    correlation_id: str = ""
    """The transaction that the event belongs to."""

    channel: str | None = None
    """Where the entry or the letter is."""

    entry_id: str | None = None
    """The entry's, or the letter's id."""

    queue: str | None = None
    """Where the job is."""

    job: str | None = None
    """The job's name."""

    job_id: str | None = None
    """The job's id."""

    attempts: int | None = None
    """How often the job was tried."""


async def story_of(server: RedisServer, correlation_id: str, *, since: str, bull_prefix: str) -> list[Step]:
    """Return everything that is still kept of a business transaction, in the order in which it happened.

    `since` is the entry id from which on streams are looked at.
    """
    steps = [step async for step in _entries(server, correlation_id, since)]
    steps += [step async for step in _letters(server, correlation_id)]
    steps += [step async for step in _jobs(server, correlation_id, bull_prefix)]
    return in_order(steps)


def in_order(steps: Iterable[Step]) -> list[Step]:
    """Sort steps by time, but let none stand before its cause: the clocks of programs and servers differ."""
    keyed: list[tuple[int, int, Step]] = []
    published: dict[str, int] = {}
    latest: dict[tuple[str | None, str | None], int] = {}
    for step in sorted(steps, key=_stage):
        at = step.time_ms
        if step.what == "published":
            published[step.event_id] = min(at, published.get(step.event_id, at))
        elif step.queue:
            job = (step.queue, step.job_id)
            at = latest[job] = max(at, latest.get(job, published.get(step.event_id, 0)))
        keyed.append((at, _stage(step), step))
    return [step for _, _, step in sorted(keyed, key=lambda one: one[:2])]


def _stage(step: Step) -> int:
    return ORDER.index(step.what)


async def _entries(server: RedisServer, correlation_id: str, since: str) -> AsyncIterator[Step]:
    for channel in await server.streams.channels():
        async for delivery in server.streams.entries(channel, since=since):
            if message := _message(delivery.data, correlation_id):
                yield _step(message, "published", delivery.timestamp_ms, channel, delivery.entry_id)


async def _letters(server: RedisServer, correlation_id: str) -> AsyncIterator[Step]:
    letters = RedisDeadLetterInspection(server.client, prefix=server.prefix)
    for channel in await letters.channels():
        async for letter in letters.dead_letters(channel):
            if message := _message(letter.dead_letter.delivery.data, correlation_id):
                yield _step(message, "buried", ms_of(letter.dead_letter_id), channel, letter.dead_letter_id)


async def _jobs(server: RedisServer, correlation_id: str, bull_prefix: str) -> AsyncIterator[Step]:
    inspection = BullMQInspection(server.client, bull_prefix=bull_prefix)
    for queue in await inspection.queues():
        async for job in inspection.jobs(queue, holding=_as_json(correlation_id)):
            if _belongs(job, correlation_id):
                for step in _steps_of(job, correlation_id, _message(job.data, correlation_id)):
                    yield step


def _message(data: bytes | None, correlation_id: str) -> EventMessage | None:
    """Return the event, when it belongs to the transaction, which has the id of its first event."""
    # Most entries are others': looking for the bytes is much cheaper than reading.
    if data is None or _as_json(correlation_id) not in data:
        return None
    try:
        message = read_message(data)
    except EventDecodingError:
        return None
    return message if correlation_id in (message.correlationid, message.id) else None


def _as_json(correlation_id: str) -> bytes:
    """Return how an id stands in JSON, between its quotation marks."""
    return msgspec.json.encode(correlation_id)[1:-1]


def _belongs(job: JobState, correlation_id: str) -> bool:
    try:
        return job_origin(job.data).correlation_id == correlation_id
    except InvalidEnvelopeError:
        return False


def _step(message: EventMessage, what: str, time_ms: int, channel: str, entry_id: str) -> Step:
    return Step(
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


def _steps_of(job: JobState, correlation_id: str, message: EventMessage | None) -> Iterator[Step]:
    ended = job.state if job.state in ORDER else None
    times = {"added": job.added_ms, "started": job.started_ms, ended: job.ended_ms}
    for what, time_ms in times.items():
        if what and time_ms is not None:
            yield Step(
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
