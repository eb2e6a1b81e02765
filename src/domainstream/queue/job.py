"""Makes jobs of delivered events, and reads from a job's data where it came from.

The data is the event's own JSON object with two more fields, under the names that consumers of the original system
read: `_redisEvent` and `correlationId`.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from msgspec import Raw, Struct, field

from domainstream.errors import InvalidEnvelopeError
from domainstream.event import EventMessage
from domainstream.queue.settings import JobSettings
from domainstream.stream import Delivery

ID_PREFIX: Final = "event-"
"""Keeps job ids from being all digits, and from clashing with a queue's own keys such as `meta` or `wait`."""

DEFAULT_SETTINGS: Final = JobSettings()

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_VALID_NAME = re.compile(r"[^\s:]+")
_SAFE = re.compile(r"[A-Za-z0-9_-]+")
_UNSAFE = re.compile(rb"[^A-Za-z0-9_-]")


class Job(Struct, frozen=True, gc=False):
    """One piece of work for one queue."""

    queue: str
    """The queue's name."""

    name: str
    """The job's name, by which other consumers choose what to do."""

    id: str
    """Derived from the event's id; a queue accepts each id once."""

    data: bytes
    """JSON text: the event, `_redisEvent` and `correlationId`."""

    settings: JobSettings = DEFAULT_SETTINGS
    """How it is tried, delayed and kept."""

    order_key: str = ""
    """It is handled after those jobs of its queue with the same key that were added before; empty for no order."""

    order_place: str = ""
    """Where it stands among them if they are of several channels: it goes before those with a greater text that have
    not begun. Made by `order_place`.
    """

    trace: str = ""
    """The trace context of the event's message, as `trace_of` makes it; empty if it has none."""


class RedisEvent(Struct, frozen=True, gc=False):
    """The stream entry that an event came in: `_redisEvent` in a job's data."""

    name: str
    """The channel's value."""

    id: str
    """The entry's id."""

    timestamp: int
    """When it was added, in milliseconds since 1970."""


class JobOrigin(Struct, frozen=True, gc=False, omit_defaults=True):
    """What a job's data holds beside the event; and where the event's own trace context is."""

    redis_event: RedisEvent | None = field(name="_redisEvent", default=None)
    """Where the event came from; None for a job that did not come from a stream."""

    correlation_id: str | None = field(name="correlationId", default=None)
    """The business transaction the event belongs to, or None."""

    traceparent: str | None = None
    """The event's own; not written."""

    tracestate: str | None = None
    """The event's own; not written."""


_read_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_read_origin = msgspec.json.Decoder(JobOrigin).decode
_write = msgspec.json.Encoder().encode


def job_id(event_id: str, *, job: str = "") -> str:
    """Return the job id of an event: `event-` and its id; each byte other than A-Z a-z 0-9 _ - is written as `.2f`.

    Different events have different ids. `job` distinguishes several jobs of one event in one queue.
    """
    return f"{ID_PREFIX}{_safe(event_id)}" + (f".{_safe(job)}" if job else "")


def order_place(delivery: Delivery, occurred_at: datetime) -> str:
    """Return the place of an event's job: when its entry was added, and within that millisecond, when it happened.

    Texts of one length, for the years 1970 to 9999.
    """
    return f"{delivery.timestamp_ms:015}-{(occurred_at - _EPOCH) // _MICROSECOND:018}"


def job_data(delivery: Delivery, message: EventMessage) -> bytes:
    """Return the data of the jobs of a delivered event, whose envelope is `message`.

    The event's own fields are copied byte by byte, numbers and all; fields of these two names that it may have are
    replaced.
    """
    # A channel carries events of its own type; the stream may be one of its partitions.
    source = RedisEvent(message.type, delivery.entry_id, delivery.timestamp_ms)
    origin = _write(JobOrigin(source, message.correlationid or message.id))
    event = (delivery.data or b"{}").rstrip()
    # A name may also be spelled with backslash-u escapes.
    if b"_redisEvent" in event or b"correlationId" in event or rb"\u" in event:
        return _write(_read_fields(event) | _read_fields(origin))
    # An envelope has fields, so something precedes the comma.
    return event[:-1] + b"," + origin[1:]


def job_origin(data: bytes | str) -> JobOrigin:
    """Return what a job's data holds beside the event, raising `InvalidEnvelopeError` when that is malformed."""
    try:
        return _read_origin(data)
    except msgspec.DecodeError:
        raise InvalidEnvelopeError("the job's _redisEvent or correlationId is not what a subscriber writes") from None


def name_problem(what: str, name: str) -> str | None:
    """Return what is wrong with the name of a queue or job; None when it is valid.

    BullMQ separates the parts of a key by ":", and puts the queue's name into the name of its connections, which
    Redis does not allow to contain whitespace.
    """
    if _VALID_NAME.fullmatch(name):
        return None
    return f"the {what} {name!r} must be non-empty and contain neither ':' nor whitespace, as in {what}='price-stay'"


def _safe(text: str) -> str:
    if _SAFE.fullmatch(text):
        return text
    return _UNSAFE.sub(lambda found: b".%02x" % found.group()[0], text.encode()).decode()
