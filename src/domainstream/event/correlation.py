"""Links events to what caused them: the event being handled, the ids of follow-up events, and log fields.

A handler runs at least once. If the id of each event it publishes is derived from the event it handles, a second run
publishes the same ids as the first. Job ids come from event ids, so the next queue ignores the duplicates.
"""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from hashlib import sha256
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from domainstream.event.base_event import BaseEvent, current_causation_id, current_correlation_id
from domainstream.telemetry import current_ids
from domainstream.validation import plain_name

EventT = TypeVar("EventT", bound=BaseEvent[Any])

# The bits of a UUIDv8 (RFC 9562, section 5.8), counted from its least significant end.
_TIMESTAMP_SHIFT: Final = 80
_BELOW_TIMESTAMP: Final = (1 << _TIMESTAMP_SHIFT) - 1
_VERSION: Final = 0xF << 76
_VERSION_8: Final = 8 << 76
_VARIANT: Final = 0b11 << 62
_VARIANT_RFC: Final = 0b10 << 62


@contextmanager
def correlation_scope(*, correlation_id: str, causation_id: str) -> Iterator[None]:
    """Give these two ids to the events created in this block, and to its log records.

    The ids are context variables: tasks and threads started inside the block inherit them.
    """
    correlation = current_correlation_id.set(plain_name(correlation_id))
    causation = current_causation_id.set(plain_name(causation_id))
    try:
        yield
    finally:
        current_causation_id.reset(causation)
        current_correlation_id.reset(correlation)


def caused_by(event: BaseEvent[Any]) -> AbstractContextManager[None]:
    """Return a context in which `event` is the cause of the events created inside.

    A worker does this around each handler; use it for code that runs elsewhere::

        with caused_by(event):
            follow_up = PricingCalculated(...)  # has event's correlation id, and event.id as its causation id

    This includes events created in tasks and by `asyncio.to_thread`. A `correlation_id` or `causation_id` that is
    passed explicitly is kept.
    """
    return correlation_scope(correlation_id=event.correlation_id or event.id, causation_id=event.id)


def follow_up(cause: BaseEvent[Any], event: EventT, *, name: str = "") -> EventT:
    """Return `event` as caused by `cause`, with an id that a repeated run of the handler reproduces.

    The id is derived from the cause, the event's type and its aggregate id. A handler that publishes several events of
    one type about one aggregate must give each a `name`; otherwise they share an id and count as one event. If the
    handler also creates the aggregate, derive the aggregate's id as well: `follow_up_id(cause, "payment")`.
    """
    derived = follow_up_id(cause, event.event_type, event.aggregate_id, name)
    return msgspec.structs.replace(cause.caused(event), id=derived)


def follow_up_id(cause: BaseEvent[Any], *names: str) -> str:
    """Return an id derived from the id of `cause` and `names`: equal for equal input, different for different input.

    It is a UUIDv8 (RFC 9562): the first 16 bytes of the SHA-256 of the JSON array of the cause's id and the names, with
    version and variant set. If the cause's id is a UUIDv7, or such a UUIDv8, its 48-bit millisecond timestamp replaces
    the first 48 bits, so that ids sort by the time of the first cause. No other time is used, because a repeated
    handler's events occur later than those of its first run, and still must lead to the same ids.
    """
    digest = sha256(msgspec.json.encode([cause.id, *(str(plain_name(name)) for name in names)])).digest()
    bits = int.from_bytes(digest[:16])
    if (timestamp := _timestamp(cause.id)) is not None:
        bits = timestamp << _TIMESTAMP_SHIFT | bits & _BELOW_TIMESTAMP
    return str(UUID(int=bits & ~(_VERSION | _VARIANT) | _VERSION_8 | _VARIANT_RFC))


def _timestamp(event_id: str) -> int | None:
    """Return the milliseconds at the front of a UUIDv7 or UUIDv8; None for other ids."""
    try:
        uuid = UUID(event_id)
    except ValueError:
        return None
    return uuid.int >> _TIMESTAMP_SHIFT if uuid.version in (7, 8) else None


class CorrelationFilter(logging.Filter):
    """Adds the `correlation_id` and `causation_id` of the event being handled to each log record.

    Where OpenTelemetry is installed, it also adds the `trace_id` and `span_id` of the current span.

    Usage::

        handler.addFilter(CorrelationFilter())
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s [%(correlation_id)s]"))

    Add it to log handlers, not to loggers: a logger's filters do not see the records of its child loggers. Fields that
    a record already has are kept.
    """

    def __init__(self, absent: str = "-") -> None:
        """Use `absent` as the value outside handlers."""
        super().__init__()
        self._absent = absent

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields and let the record pass."""
        for name, current in (("correlation_id", current_correlation_id), ("causation_id", current_causation_id)):
            if not hasattr(record, name):
                setattr(record, name, current.get() or self._absent)
        ids = current_ids() or (self._absent, self._absent)
        for name, value in zip(("trace_id", "span_id"), ids, strict=True):
            if not hasattr(record, name):
                setattr(record, name, value)
        return True
