"""The base classes of domain events and their payloads."""

from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType, NoneType
from typing import Any, ClassVar, Final, Generic, TypeVar, dataclass_transform

import msgspec
from uuid_utils import uuid7

from domainstream.errors import InvalidEventError
from domainstream.event.foreign_types import plain_value
from domainstream.event.upcasting import Upcast, frozen_steps, verify_steps
from domainstream.validation import plain_name, raise_problems

PayloadT_co = TypeVar("PayloadT_co", covariant=True)
EventT = TypeVar("EventT", bound="BaseEvent[Any]")

SEQUENCE_DIGITS = 20
"""Sequence numbers are zero-padded to this many digits on the wire, so that they sort as text as they do as numbers."""

current_correlation_id: Final[ContextVar[str | None]] = ContextVar("domainstream_correlation_id", default=None)
"""The correlation id of the event being handled; None outside handlers. Set by `correlation_scope`."""

current_causation_id: Final[ContextVar[str | None]] = ContextVar("domainstream_causation_id", default=None)
"""The id of the event being handled; None outside handlers. Set by `correlation_scope`."""

_TEXTS: Final = ("aggregate_id", "id", "correlation_id", "causation_id", "partition_key")
_TEXT_OR_NONE: Final = frozenset({str, NoneType})
_INTEGER_OR_NONE: Final = frozenset({int, NoneType})
_SEQUENCE: Final = f"sequence must be a non-negative integer of at most {SEQUENCE_DIGITS} digits"
_DATETIME: Final = frozenset({datetime})
"""A set, because libraries that freeze time replace the class where it is an attribute of a module."""


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


class _EventMeta(_FrozenMeta):
    """Refuses fields that no message carries, versions that are not numbers, and upcasters with a gap.

    The handler would see the default of such a field, whatever the producer set.
    """

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> Any:
        if "upcasters" in namespace:
            namespace["upcasters"] = frozen_steps(name, namespace["upcasters"])
        cls = super().__new__(mcs, name, bases, namespace, **options)
        if any(isinstance(base, _EventMeta) for base in bases):
            lost = [field for field in cls.__struct_fields__ if field not in BaseEvent.__struct_fields__]
            raise_problems(name, [*map(lost_field_problem, lost), _version_problem(cls.version)])
            verify_steps(name, cls.upcasters, cls.version)
        return cls


def lost_field_problem(field: str) -> str:
    """Return why an event class must not have this field, and where the field belongs."""
    return (
        f"{field} would not be part of the message, so handlers would not see its value; move it to the payload's "
        f"class, or write {field}: ClassVar if it is the same for all events of the class"
    )


def _version_problem(version: object) -> str | None:
    if isinstance(version, int) and not isinstance(version, bool) and version >= 1:
        return None
    return f"its version is {version!r}; use a whole number from 1 on"


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class BaseEvent(msgspec.Struct, Generic[PayloadT_co], metaclass=_EventMeta, frozen=True, kw_only=True):
    """Something that happened in a domain; frozen, all fields by keyword.

    A subclass names its payload and its event type; facts of the event are fields of its payload::

        @final
        class OptimizationEvaluated(BaseEvent[OptimizationEvaluatedPayload]):
            event_type = OptimizationEventType.DOMAIN_CODING_OPTIMIZATION_EVALUATED

    Ids and times of a class of their own, such as `class StayId(str)` or pendulum's, become plain ones of equal value.
    Raises `InvalidEventError` when an id is empty or not a string, `occurred_at` is naive, or `sequence` is negative.
    A subclass with a field of its own raises `ConfigurationError`, because no message would carry it, as does one
    with an invalid version; one whose upcasters do not lead to its version raises `UpcasterError`.
    """

    event_type: ClassVar[str]
    """The event's type, equal to the value of its channel."""

    version: ClassVar[int] = 1
    """The version of the payload's schema. Raise it with each breaking change and add an upcaster."""

    upcasters: ClassVar[Mapping[int, Upcast]] = MappingProxyType({})
    """For each old version n that is still read, the function that converts a payload to version n + 1, as a dict of
    plain JSON values. Every consumer of the class uses them.
    """

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
    """A key that events share which belong together; None means the aggregate id. In a channel with partitions, events
    with the same key are in the same stream, in their order. Handlers may still see them in another order.
    """

    sequence: int | None = None
    """The event's number within its aggregate, starting at 0; None if the service does not count."""

    def __post_init__(self) -> None:
        """Check the fields, convert `occurred_at` to UTC, and the others to plain strings and integers."""
        if type(self.occurred_at) not in _DATETIME or self.occurred_at.tzinfo is not UTC:
            msgspec.structs.force_setattr(self, "occurred_at", _in_utc(self))
        # Type annotations alone do not protect the wire: an `int` where the envelope has a string would be published
        # without complaint, and every consumer would reject the whole message.
        if not (
            type(self.aggregate_id) is str
            and type(self.id) is str
            and type(self.correlation_id) in _TEXT_OR_NONE
            and type(self.causation_id) in _TEXT_OR_NONE
            and type(self.partition_key) in _TEXT_OR_NONE
            and type(self.sequence) in _INTEGER_OR_NONE
        ):
            _make_plain(self)
        if not (self.aggregate_id and self.id):
            raise _invalid(self, "aggregate_id and id must be non-empty strings")
        if self.sequence is not None and not 0 <= self.sequence < 10**SEQUENCE_DIGITS:
            raise _invalid(self, _SEQUENCE)

    def caused(self, follow_up: EventT) -> EventT:
        """Return `follow_up` as an event that this one caused: same correlation id, this event's id as causation id."""
        return msgspec.structs.replace(follow_up, correlation_id=self.correlation_id or self.id, causation_id=self.id)


def event_type_of(event_class: type[BaseEvent[Any]]) -> str:
    """Return the event type as a plain string, whatever enum it comes from; empty if it is missing."""
    event_type = getattr(event_class, "event_type", None)
    return plain_name(event_type) if isinstance(event_type, str) else ""


def _in_utc(event: BaseEvent[Any]) -> datetime:
    """Return `occurred_at` as a plain datetime in UTC."""
    if not isinstance(event.occurred_at, datetime):
        raise _invalid(event, f"occurred_at is {type(event.occurred_at).__name__}; use datetime.now(UTC)")
    moment: datetime = plain_value(event.occurred_at)
    if moment.utcoffset() is None:
        raise _invalid(event, "occurred_at has no time zone; use datetime.now(UTC)")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise _invalid(event, "occurred_at is outside the years 1 to 9999 in UTC") from None


def _make_plain(event: BaseEvent[Any]) -> None:
    """Replace instances of subclasses of `str` and `int` by plain ones; refuse fields of any other type."""
    for name in _TEXTS:
        value: object = getattr(event, name)
        required = name in {"aggregate_id", "id"}
        if isinstance(value, str):
            msgspec.structs.force_setattr(event, name, plain_name(value))
        elif value is not None or required:
            expected = "must be a non-empty string" if required else "must be a string or None"
            raise _invalid(event, f"{name} {expected}, not {type(value).__name__}; use str(...)")
    sequence: object = event.sequence
    if isinstance(sequence, int):
        msgspec.structs.force_setattr(event, "sequence", int.__int__(sequence))
    elif sequence is not None:
        raise _invalid(event, _SEQUENCE)


def _invalid(event: BaseEvent[Any], problem: str) -> InvalidEventError:
    event_id: object = event.id
    return InvalidEventError(
        f"{type(event).__name__}: {problem}",
        event_id=event_id if isinstance(event_id, str) else None,
        event_type=event_type_of(type(event)) or None,
    )
