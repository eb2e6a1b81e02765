"""What happened: the classes users derive their domain events and payloads from."""

from datetime import UTC, datetime
from types import NoneType
from typing import Any, ClassVar, Generic, TypeVar, dataclass_transform

import msgspec
from uuid_utils import uuid7

from domainstream.errors import InvalidEventError
from domainstream.event.correlation import causation_now, correlation_now

PayloadT_co = TypeVar("PayloadT_co", covariant=True)
EventT = TypeVar("EventT", bound="BaseEvent[Any]")

SEQUENCE_DIGITS = 20
"""So many digits a sequence has on the wire, so that it sorts as text as it does as a number."""

_TEXT_OR_NONE = (str, NoneType)


class _FrozenMeta(msgspec.StructMeta):
    """Make every class frozen and keyword-only; msgspec does not pass `kw_only` on to subclasses by itself."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> Any:
        return super().__new__(mcs, name, bases, namespace, **{"frozen": True, "kw_only": True, **options})


# Type checkers take these defaults from the nearest decorated base, and msgspec decorates Struct without them.
@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class EventPayload(msgspec.Struct, metaclass=_FrozenMeta, frozen=True, kw_only=True):
    """Base of payloads: a frozen, keyword-only struct.

    A convenience: a payload may also be a dataclass, an attrs class, a TypedDict or a pydantic model.
    """


def _new_id() -> str:
    return str(uuid7())


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class BaseEvent(msgspec.Struct, Generic[PayloadT_co], metaclass=_FrozenMeta, frozen=True, kw_only=True):
    """Something that happened in a domain. Frozen; all fields by keyword.

    A subclass names its payload and its type, and nothing else::

        @final
        class OptimizationEvaluated(BaseEvent[OptimizationEvaluatedPayload]):
            event_type = OptimizationEventType.DOMAIN_CODING_OPTIMIZATION_EVALUATED

    Raises `InvalidEventError` when an id is empty or no text, `occurred_at` is naive, or `sequence` is negative.
    """

    event_type: ClassVar[str]
    """The type of the event, equal to the value of its channel."""

    version: ClassVar[int] = 1
    """The version of the payload's shape; raise it with each breaking change and give the codec an upcaster."""

    aggregate_id: str
    """Which aggregate it happened to."""

    payload: PayloadT_co
    """What is to be known about it."""

    id: str = msgspec.field(default_factory=_new_id)
    """A UUIDv7, made when the event is created. Consumers tell repeats by it."""

    occurred_at: datetime = msgspec.field(default_factory=_now)
    """When it happened, aware; kept in UTC."""

    correlation_id: str | None = msgspec.field(default_factory=correlation_now.get)
    """The business transaction it belongs to; None for an event that starts one. Defaults to that of the event that is
    being handled, if any (see `caused_by`).
    """

    causation_id: str | None = msgspec.field(default_factory=causation_now.get)
    """The id of the event that led to it, or None. Defaults to the event that is being handled, if any."""

    partition_key: str | None = None
    """Events that share it must stay in order; None means the aggregate id."""

    sequence: int | None = None
    """Its number within the aggregate, from 0, or None."""

    def __post_init__(self) -> None:
        """Check the fields and bring `occurred_at` to UTC."""
        if self.occurred_at.tzinfo is not UTC:
            msgspec.structs.force_setattr(self, "occurred_at", _in_utc(self))
        if (why := _wrong(self)) is not None:
            raise _invalid(self, why)

    def caused(self, follow_up: EventT) -> EventT:
        """Return `follow_up` as led to by this event: same correlation, this event as its cause."""
        return msgspec.structs.replace(follow_up, correlation_id=self.correlation_id or self.id, causation_id=self.id)


def _in_utc(event: BaseEvent[Any]) -> datetime:
    if event.occurred_at.utcoffset() is None:
        raise _invalid(event, "occurred_at has no time zone: use datetime.now(UTC)")
    try:
        return event.occurred_at.astimezone(UTC)
    except OverflowError:
        raise _invalid(event, "occurred_at is outside of the years 1 to 9999 in UTC") from None


def _wrong(event: Any) -> str | None:
    """Say which field could not be read back from a message; whole messages are lost over an integer for a text."""
    if not (isinstance(event.aggregate_id, str) and event.aggregate_id and isinstance(event.id, str) and event.id):
        return "aggregate_id and id must be texts that are not empty"
    if not (
        isinstance(event.correlation_id, _TEXT_OR_NONE)
        and isinstance(event.causation_id, _TEXT_OR_NONE)
        and isinstance(event.partition_key, _TEXT_OR_NONE)
    ):
        return "correlation_id, causation_id and partition_key must be texts or None"
    sequence = event.sequence
    if sequence is not None and not (isinstance(sequence, int) and 0 <= sequence < 10**SEQUENCE_DIGITS):
        return f"sequence must be an integer from 0, of at most {SEQUENCE_DIGITS} digits"
    return None


def _invalid(event: BaseEvent[Any], why: str) -> InvalidEventError:
    return InvalidEventError(
        f"{type(event).__name__}: {why}", event_id=event.id, event_type=getattr(type(event), "event_type", None)
    )
