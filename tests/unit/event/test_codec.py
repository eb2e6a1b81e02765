"""From typed event to CloudEvents JSON and back: whatever kind of class the payload is."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any, Generic, NamedTuple, NotRequired, TypedDict, TypeVar
from uuid import UUID

import attrs
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from domainstream.event import BaseEvent, EventDecoder, EventEncoder, EventPayload
from domainstream.settings import MessageLimits

SAFE = 2**53 - 1
TEXT = st.text(st.characters(codec="utf-8"))
AnyPayloadT = TypeVar("AnyPayloadT")


class Ward(StrEnum):
    """A text enum."""

    SURGERY = "surgery"
    INTENSIVE_CARE = "intensive care"


class Urgency(IntEnum):
    """A number enum."""

    LOW = 1
    HIGH = 2


class Point(NamedTuple):
    """A named tuple, inside payloads."""

    x: int
    y: int


class Coded(EventPayload):
    """A struct inside payloads."""

    code: str
    price: Decimal


class StructPayload(EventPayload):
    """Every kind of value that JSON has no type of its own for, and nesting of all kinds."""

    at: datetime
    day: date
    clock: time
    stay: timedelta
    price: Decimal
    patient: UUID
    ward: Ward
    urgency: Urgency
    scan: bytes
    point: Point
    codes: tuple[Coded, ...] = ()
    by_ward: dict[Ward, list[Coded]] = {}  # noqa: RUF012
    by_number: dict[int, str] = {}  # noqa: RUF012
    note: str | None = None
    score: float | None = None


@dataclass(frozen=True)
class DataclassPayload:
    """A dataclass with a struct and a model inside."""

    code: Coded
    tags: list[str] = field(default_factory=list)
    model: "ModelPayload | None" = None


@attrs.frozen
class AttrsPayload:
    """An attrs class with a dataclass inside."""

    inner: DataclassPayload
    score: float = 0.0


class TypedDictPayload(TypedDict):
    """A typed dictionary with a struct inside."""

    code: Coded
    note: NotRequired[str]


class ModelPayload(pydantic.BaseModel):
    """A pydantic model with an alias and values that JSON has no type for."""

    stay_id: str = pydantic.Field(alias="stayId")
    at: datetime
    price: Decimal
    patient: UUID
    ward: Ward
    inner: "ModelPayload | None" = None


class Happened(BaseEvent[AnyPayloadT], Generic[AnyPayloadT]):
    """An event of any payload, whose type is given further down."""

    event_type = "domain_coding_stay_coded"


class StructEvent(Happened[StructPayload]):
    """With a struct."""


class DataclassEvent(Happened[DataclassPayload]):
    """With a dataclass."""


class AttrsEvent(Happened[AttrsPayload]):
    """With an attrs class."""


class TypedDictEvent(Happened[TypedDictPayload]):
    """With a typed dictionary."""


class ModelEvent(Happened[ModelPayload]):
    """With a pydantic model."""


CODED = Coded(code="J18.9", price=Decimal("10.50"))
MODEL = ModelPayload(
    stayId="stay-1",
    at=datetime(2026, 1, 2, tzinfo=UTC),
    price=Decimal("1.10"),
    patient=UUID(int=7),
    ward=Ward.SURGERY,
    inner=ModelPayload(
        stayId="stay-2", at=datetime(2026, 1, 3, tzinfo=UTC), price=Decimal(0), patient=UUID(int=8), ward=Ward.SURGERY
    ),
)
STRUCT = StructPayload(
    at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    day=date(2026, 1, 2),
    clock=time(3, 4, 5),
    stay=timedelta(days=2, seconds=0.25),
    price=Decimal("12345678901234567890.123456789"),
    patient=UUID(int=7),
    ward=Ward.INTENSIVE_CARE,
    urgency=Urgency.HIGH,
    scan=b"\x00\xff",
    point=Point(1, -2),
    codes=(CODED,),
    by_ward={Ward.SURGERY: [CODED]},
    by_number={7: "seven"},
    note='émoji 🏥, quote " and back\\slash, \u2028, \x00',
    score=0.1,
)
DATACLASS = DataclassPayload(code=CODED, tags=["a", "b"], model=MODEL)


def round_trip(event: BaseEvent[Any], limits: MessageLimits | None = None) -> BaseEvent[Any]:
    """Return what a consumer reads of `event`."""
    limits = limits or MessageLimits()
    return EventDecoder([type(event)], limits=limits).decode(EventEncoder("coding", limits).encode(event))


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(StructEvent(aggregate_id="stay-1", payload=STRUCT), id="struct"),
        pytest.param(DataclassEvent(aggregate_id="stay-1", payload=DATACLASS), id="dataclass"),
        pytest.param(AttrsEvent(aggregate_id="stay-1", payload=AttrsPayload(DATACLASS, 0.5)), id="attrs"),
        pytest.param(TypedDictEvent(aggregate_id="stay-1", payload={"code": CODED}), id="typed dictionary"),
        pytest.param(ModelEvent(aggregate_id="stay-1", payload=MODEL), id="pydantic"),
    ],
)
def test_event_is_read_as_it_was_written(event: BaseEvent[Any]) -> None:
    """An event comes back equal, of the same class, with a payload of the same class."""
    read = round_trip(event)
    assert read == event
    assert type(read) is type(event)
    assert type(read.payload) is type(event.payload)


def test_every_field_of_the_event_comes_back() -> None:
    """Ids, time, partition key and sequence of an event are the same after encoding and decoding."""
    event = DataclassEvent(
        aggregate_id="stay-1",
        payload=DataclassPayload(CODED),
        id="event-1",
        occurred_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        correlation_id="transaction-1",
        causation_id="event-0",
        partition_key="ward-7",
        sequence=10**20 - 1,
    )
    assert round_trip(event) == event


def test_text_is_read_as_bytes_are() -> None:
    """A message may be handed over as str, as clients with decoded replies do."""
    event = ModelEvent(aggregate_id="stay-1", payload=MODEL)
    assert EventDecoder([ModelEvent]).decode(EventEncoder("coding").encode(event).decode()) == event


def test_model_is_written_under_its_aliases() -> None:
    """A pydantic field with an alias has the alias as its key on the wire."""
    assert b'"stayId":"stay-1"' in EventEncoder("coding").encode(ModelEvent(aggregate_id="stay-1", payload=MODEL))


def test_fields_that_the_type_does_not_know_are_skipped() -> None:
    """A newer producer may add a field to a payload without a new version."""
    data = EventEncoder("coding").encode(TypedDictEvent(aggregate_id="stay-1", payload={"code": CODED}))
    read = EventDecoder([TypedDictEvent]).decode(data.replace(b'"data":{', b'"data":{"added":[1],'))
    assert read.payload == {"code": CODED}


def test_integer_in_a_float_field_is_allowed() -> None:
    """Python and JSON take an integer for a float; the consumer reads the same number."""
    assert round_trip(AttrsEvent(aggregate_id="a", payload=AttrsPayload(DATACLASS, 3))).payload.score == 3.0


@pytest.mark.parametrize("number", [SAFE, -SAFE, 0])
def test_safe_integers_pass(number: int) -> None:
    """Integers up to 2^53 - 1 are exact in every language, so they pass."""
    payload = replace(STRUCT, point=Point(number, number))
    assert round_trip(StructEvent(aggregate_id="a", payload=payload)).payload == payload


@pytest.mark.parametrize("number", [SAFE + 1, -SAFE - 1, 2**64, -(2**70)])
def test_larger_integers_pass_when_the_limit_is_off(number: int) -> None:
    """Without Node.js among the consumers, integers of any size may be allowed."""
    payload = replace(STRUCT, point=Point(number, number))
    lenient = MessageLimits(strict_integers=False)
    assert round_trip(StructEvent(aggregate_id="a", payload=payload), lenient).payload == payload


@settings(deadline=None)
@given(
    tags=st.lists(TEXT),
    score=st.floats(allow_nan=False, allow_infinity=False),
    price=st.decimals(allow_nan=False, allow_infinity=False),
)
def test_any_values_come_back(tags: list[str], score: float, price: Decimal) -> None:
    """A payload of any text and numbers is read as it was written."""
    payload = AttrsPayload(DataclassPayload(Coded(code="", price=price), tags), score)
    assert round_trip(AttrsEvent(aggregate_id="a", payload=payload)).payload == payload


@settings(deadline=None)
@given(
    aggregate_id=TEXT.filter(bool),
    occurred_at=st.datetimes(timezones=st.just(UTC)),
    correlation_id=st.none() | TEXT,
    causation_id=st.none() | TEXT,
    partition_key=st.none() | TEXT,
    sequence=st.none() | st.integers(0, 10**20 - 1),
)
def test_any_attributes_come_back(**fields: Any) -> None:
    """An event with any values in its own fields is read as it was written."""
    event = TypedDictEvent(payload={"code": CODED}, **fields)
    assert round_trip(event) == event
