"""The base classes of domain events and their payloads."""

from contextvars import ContextVar
from datetime import UTC, datetime
from types import NoneType
from typing import Any, ClassVar, Final, Generic, TypeVar, dataclass_transform

import msgspec
from uuid_utils import uuid7

from domainstream.errors import InvalidEventError

PayloadT_co = TypeVar("PayloadT_co", covariant=True)
EventT = TypeVar("EventT", bound="BaseEvent[Any]")

SEQUENCE_DIGITS = 20
"""Sequence numbers are zero-padded to this many digits on the wire, so that they sort as text as they do as numbers."""

current_correlation_id: Final[ContextVar[str | None]] = ContextVar("domainstream_correlation_id", default=None)
"""The correlation id of the event being handled; None outside handlers. Set by `correlation_scope`."""

current_causation_id: Final[ContextVar[str | None]] = ContextVar("domainstream_causation_id", default=None)
"""The id of the event being handled; None outside handlers. Set by `correlation_scope`."""

_TEXT_OR_NONE = (str, NoneType)


class _FrozenMeta(msgspec.StructMeta):
    """Makes every class frozen and keyword-only; msgspec does not pass `kw_only` on to subclasses by itself."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> Any:
        return super().__new__(mcs, name, bases, namespace, **{"frozen": True, "kw_only": True, **options})


# Type checkers take these defaults from the nearest decorated base, and msgspec decorates Struct without them.
@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class EventPayload(msgspec.Struct, metaclass=_FrozenMeta, frozen=True, kw_only=True):
    """Convenience base class for payloads: a frozen, keyword-only struct.

    A payload may also be a dataclass, an attrs class, a TypedDict or a pydantic model.
    """


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class BaseEvent(msgspec.Struct, Generic[PayloadT_co], metaclass=_FrozenMeta, frozen=True, kw_only=True):
    """Something that happened in a domain; frozen, all fields by keyword.

    A subclass names its payload and its event type, and nothing else::

        @final
        class OptimizationEvaluated(BaseEvent[OptimizationEvaluatedPayload]):
            event_type = OptimizationEventType.DOMAIN_CODING_OPTIMIZATION_EVALUATED

    Raises `InvalidEventError` when an id is empty or not a string, `occurred_at` is naive, or `sequence` is negative.
    """

    event_type: ClassVar[str]
    """The event's type, equal to the value of its channel."""

    version: ClassVar[int] = 1
    """The version of the payload's schema. Raise it with each breaking change and add an upcaster to the decoder."""

    aggregate_id: str
    """The aggregate that the event happened to."""

    payload: PayloadT_co
    """The facts of the event."""

    id: str = msgspec.field(default_factory=lambda: str(uuid7()))
    """A UUIDv7, generated when the event is created. Consumers recognise duplicates by it."""

    occurred_at: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))
    """When the event happened: an aware datetime, converted to UTC."""

    correlation_id: str | None = msgspec.field(default_factory=current_correlation_id.get)
    """The business transaction that the event belongs to; None for an event that starts one. Defaults to the
    correlation id of the event being handled, if any (see `caused_by`).
    """

    causation_id: str | None = msgspec.field(default_factory=current_causation_id.get)
    """The id of the event that led to this one, or None. Defaults to the event being handled, if any."""

    partition_key: str | None = None
    """Events with the same key must stay in order; None means the aggregate id."""

    sequence: int | None = None
    """The event's number within its aggregate, starting at 0; None if the service does not count."""

    def __post_init__(self) -> None:
        """Check the fields and convert `occurred_at` to UTC."""
        if self.occurred_at.tzinfo is not UTC:
            if self.occurred_at.utcoffset() is None:
                raise _invalid(self, "occurred_at has no time zone; use datetime.now(UTC)")
            try:
                msgspec.structs.force_setattr(self, "occurred_at", self.occurred_at.astimezone(UTC))
            except OverflowError:
                raise _invalid(self, "occurred_at is outside the years 1 to 9999 in UTC") from None
        if (problem := _field_problem(self)) is not None:
            raise _invalid(self, problem)

    def caused(self, follow_up: EventT) -> EventT:
        """Return `follow_up` as an event that this one caused: same correlation id, this event's id as causation id."""
        return msgspec.structs.replace(follow_up, correlation_id=self.correlation_id or self.id, causation_id=self.id)


def _field_problem(event: Any) -> str | None:
    """Return what is wrong with a field that no consumer could read back.

    Type annotations alone do not protect the wire: an `int` where the envelope has a string would be published
    without complaint, and every consumer would reject the whole message.
    """
    if not (isinstance(event.aggregate_id, str) and event.aggregate_id and isinstance(event.id, str) and event.id):
        return "aggregate_id and id must be non-empty strings"
    if not (
        isinstance(event.correlation_id, _TEXT_OR_NONE)
        and isinstance(event.causation_id, _TEXT_OR_NONE)
        and isinstance(event.partition_key, _TEXT_OR_NONE)
    ):
        return "correlation_id, causation_id and partition_key must be strings or None"
    sequence = event.sequence
    if sequence is not None and not (isinstance(sequence, int) and 0 <= sequence < 10**SEQUENCE_DIGITS):
        return f"sequence must be a non-negative integer of at most {SEQUENCE_DIGITS} digits"
    return None


def _invalid(event: BaseEvent[Any], problem: str) -> InvalidEventError:
    return InvalidEventError(
        f"{type(event).__name__}: {problem}", event_id=event.id, event_type=getattr(type(event), "event_type", None)
    )
