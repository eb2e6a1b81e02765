"""What happened: the classes users derive their domain events and payloads from. Next: `event_message`."""

from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, TypeVar, dataclass_transform

import msgspec
from uuid_utils import uuid7

from domainstream.errors import InvalidEventError

PayloadT = TypeVar("PayloadT", covariant=True)
EventT = TypeVar("EventT", bound="BaseEvent[Any]")


@dataclass_transform(frozen_default=True, kw_only_default=True)
class _FrozenMeta(msgspec.StructMeta):
    """Make every class frozen and keyword-only; msgspec does not pass `kw_only` on to subclasses by itself."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> Any:  # noqa: N804
        return super().__new__(mcs, name, bases, namespace, **{"frozen": True, "kw_only": True, **options})


class EventPayload(msgspec.Struct, metaclass=_FrozenMeta):
    """Base of payloads: a frozen, keyword-only struct.

    A convenience: a payload may also be a dataclass, an attrs class, a TypedDict or a pydantic model.
    """


def _new_id() -> str:
    return str(uuid7())


def _now() -> datetime:
    return datetime.now(UTC)


class BaseEvent(msgspec.Struct, Generic[PayloadT], metaclass=_FrozenMeta):
    """Something that happened in a domain. Frozen; all fields by keyword.

    A subclass names its payload and its type, and nothing else::

        @final
        class OptimizationEvaluated(BaseEvent[OptimizationEvaluatedPayload]):
            event_type = OptimizationEventType.DOMAIN_CODING_OPTIMIZATION_EVALUATED

    Attributes:

        event_type: The type of the event, equal to the value of its channel.

        version: The version of the payload's shape; raise it with each breaking change and give the codec an upcaster.

        aggregate_id: Which aggregate it happened to.

        payload: What is to be known about it.

        id: A UUIDv7, made when the event is created. Consumers tell repeats by it.

        occurred_at: When it happened, aware; kept in UTC.

        correlation_id: The business transaction it belongs to; None for an event that starts one.

        causation_id: The id of the event that led to it, or None.

        partition_key: Events that share it must stay in order; None means the aggregate id.

        sequence: Its number within the aggregate, from 0, or None.

    Raises `InvalidEventError` when the aggregate id or the id is empty, `occurred_at` is naive, or `sequence` is negative.
    """

    event_type: ClassVar[str]
    version: ClassVar[int] = 1

    aggregate_id: str
    payload: PayloadT
    id: str = msgspec.field(default_factory=_new_id)
    occurred_at: datetime = msgspec.field(default_factory=_now)
    correlation_id: str | None = None
    causation_id: str | None = None
    partition_key: str | None = None
    sequence: int | None = None

    def __post_init__(self) -> None:
        """Check the fields and bring `occurred_at` to UTC."""
        if self.occurred_at.tzinfo is not UTC:
            msgspec.structs.force_setattr(self, "occurred_at", _in_utc(self))
        if not self.aggregate_id or not self.id:
            raise _invalid(self, "aggregate_id and id must not be empty")
        if self.sequence is not None and self.sequence < 0:
            raise _invalid(self, f"sequence counts from 0, got {self.sequence}")

    def caused(self, follow_up: EventT) -> EventT:
        """Return `follow_up` as led to by this event: same correlation, this event as its cause."""
        return msgspec.structs.replace(
            follow_up, correlation_id=self.correlation_id or self.id, causation_id=self.id
        )


def _in_utc(event: BaseEvent[Any]) -> datetime:
    if event.occurred_at.utcoffset() is None:
        raise _invalid(event, "occurred_at has no time zone: use datetime.now(UTC)")
    return event.occurred_at.astimezone(UTC)


def _invalid(event: BaseEvent[Any], why: str) -> InvalidEventError:
    return InvalidEventError(
        f"{type(event).__name__}: {why}", event_id=event.id, event_type=getattr(type(event), "event_type", None)
    )
