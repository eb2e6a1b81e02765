"""Values of subclasses of plain types, and pydantic models: published as what they are, and read back."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import new_class
from typing import Any, cast
from uuid import UUID

import pendulum
import pydantic
import pytest
from freezegun import freeze_time
from msgspec import UNSET

from domainstream.errors import ConfigurationError, EventEncodingError, InvalidEventError, InvalidPayloadError
from domainstream.event import BaseEvent, EventDecoder, EventEncoder, EventPayload
from domainstream.event.payload_codec import payload_codec_of


class StayId(str):
    """An id with a format of its own for logs."""

    __slots__ = ()

    def __str__(self) -> str:
        """Return what a log shows."""
        return f"StayId({super().__str__()})"


class Cents(int):
    """An amount."""


class Score(float):
    """A number."""


class Scan(bytes):
    """Bytes."""


class Price(Decimal):
    """A decimal."""


class Patient(UUID):
    """A UUID."""


class Moment(datetime):
    """A datetime."""


class Day(date):
    """A date."""


class Clock(time):
    """A time of day."""


class Span(timedelta):
    """A duration."""


class Ward(str, Enum):  # noqa: UP042 - its members format themselves as Ward.SURGERY
    """An enum of texts."""

    SURGERY = "surgery"


class Billed(EventPayload):
    """A payload of plain types."""

    stay: str = "s"
    cents: int = 0
    score: float = 0.0
    scan: bytes = b""
    price: Decimal = Decimal(0)
    patient: UUID = UUID(int=0)
    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    day: date = date(2026, 1, 1)
    clock: time = time()
    span: timedelta = timedelta()
    anything: Any = None


class OwnBilled(EventPayload):
    """A payload of such classes."""

    stay: StayId
    cents: Cents
    score: Score
    scan: Scan
    price: Price
    patient: Patient
    at: Moment
    day: Day
    clock: Clock
    span: Span
    pause: pendulum.Duration
    begun: pendulum.DateTime
    by_stay: dict[StayId, list[Cents]] = {}  # noqa: RUF012


class Strict(pydantic.BaseModel):
    """A pydantic model that accepts no other class than the declared one."""

    model_config = pydantic.ConfigDict(strict=True)
    at: datetime
    day: date
    patient: UUID
    price: Decimal
    ward: Ward
    span: timedelta
    codes: tuple[str, ...] = ()
    wards: set[Ward] = set()


class Photo(pydantic.BaseModel):
    """A pydantic model with bytes, and the settings that the wire format needs."""

    model_config = pydantic.ConfigDict(strict=True, ser_json_bytes="base64", val_json_bytes="base64")
    image: bytes
    more: list[bytes] = []
    by_name: dict[str, bytes | None] = {}


class Encoded(pydantic.BaseModel):
    """A model with a field of a format of its own."""

    image: pydantic.Base64Bytes


class Album(pydantic.BaseModel):
    """A model that has bytes in an inner model only."""

    photo: Photo


class Utf8Photo(pydantic.BaseModel):
    """A pydantic model whose bytes would be UTF-8."""

    image: bytes


@dataclass
class Folder:
    """A dataclass with a model inside."""

    photo: Utf8Photo


def happened(payload_type: Any) -> Callable[..., BaseEvent[Any]]:
    """Return an event class for payloads of this type."""
    return new_class(
        "Happened", (BaseEvent[payload_type],), {}, lambda fields: fields.update(event_type="domain_coding_stay_coded")
    )


def round_trip(payload: Any, payload_type: Any = None) -> tuple[Any, Any]:
    """Return the payload as it is on the wire, and as a consumer reads it."""
    event_class: Any = happened(payload_type or type(payload))
    event = event_class(aggregate_id="stay-1", payload=payload)
    data = EventEncoder("coding").encode(event)
    assert EventEncoder("coding").encode_many([event]) == [data]
    return json.loads(data)["data"], EventDecoder([event_class]).decode(data).payload


OWN = {
    "stay": StayId("stay-1"),
    "cents": Cents(7),
    "score": Score(0.5),
    "scan": Scan(b"\x00\xff"),
    "price": Price("1.50"),
    "patient": Patient(int=7),
    "at": Moment(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    "day": Day(2026, 1, 2),
    "clock": Clock(3, 4, 5),
    "span": Span(days=1, seconds=5),
}
WIRE = {
    "stay": "stay-1",
    "cents": 7,
    "score": 0.5,
    "scan": "AP8=",
    "price": "1.50",
    "patient": "00000000-0000-0000-0000-000000000007",
    "at": "2026-01-02T03:04:05.678901Z",
    "day": "2026-01-02",
    "clock": "03:04:05",
    "span": "P1DT5S",
}


@pytest.mark.parametrize("name", OWN)
def test_value_of_a_subclass_is_published_as_its_plain_value(name: str) -> None:
    """A value of a subclass of a plain type is written as its plain value, in a field and in a list of anything."""
    wire, read = round_trip(Billed(**{name: OWN[name], "anything": [OWN[name]]}))  # type: ignore[arg-type]
    assert wire[name] == WIRE[name]
    assert wire["anything"] == [WIRE[name]]
    assert getattr(read, name) == OWN[name]


@pytest.mark.parametrize(
    ("span", "wire", "plain"),
    [
        pytest.param(
            pendulum.duration(days=-1, seconds=-5), "-P1DT5S", timedelta(days=-1, seconds=-5), id="negative duration"
        ),
        pytest.param(pendulum.duration(seconds=-5), "-PT5S", timedelta(seconds=-5), id="negative seconds"),
        pytest.param(pendulum.duration(days=-1, hours=30), "PT21600S", timedelta(hours=6), id="of both signs"),
        pytest.param(pendulum.duration(months=1), "P30D", timedelta(days=30), id="months"),
        pytest.param(
            pendulum.datetime(2026, 1, 1) - pendulum.datetime(2026, 1, 3, 5),
            "-P2DT18000S",
            -timedelta(hours=53),
            id="back in time",
        ),
    ],
)
def test_duration_of_pendulum_keeps_its_length(span: timedelta, wire: str, plain: timedelta) -> None:
    """A duration of pendulum is published as the plain duration of the same length."""
    written, read = round_trip(Billed(span=span, anything=[span]))
    assert written["span"] == wire
    assert written["anything"] == [wire]
    assert read.span == plain


def test_keys_of_subclasses_are_published_as_their_plain_values() -> None:
    """Keys of dictionaries that are of subclasses of `str` and `int` are written as their plain values."""
    assert round_trip(Billed(anything={StayId("stay-1"): 1, Cents(7): 2}))[0]["anything"] == {"stay-1": 1, "7": 2}


def test_field_of_a_subclass_is_read_as_that_class() -> None:
    """A payload's field may be declared as a subclass of a plain type; it is read as an instance of that class."""
    more = {"pause": pendulum.duration(days=1, hours=2), "begun": pendulum.datetime(2026, 1, 2)}
    payload = OwnBilled(**OWN, **more, by_stay={StayId("stay-2"): [Cents(8)]})  # type: ignore[arg-type]
    wire, read = round_trip(payload)
    assert {name: wire[name] for name in WIRE} == WIRE
    assert (wire["pause"], wire["begun"], wire["by_stay"]) == ("P1DT7200S", "2026-01-02T00:00:00Z", {"stay-2": [8]})
    assert read == payload
    assert {name: type(getattr(read, name)) for name in [*OWN, *more]} == {
        name: type(value) for name, value in [*OWN.items(), *more.items()]
    }
    assert [type(key) for key in read.by_stay] == [StayId]


def test_field_of_a_subclass_accepts_no_other_kind_of_value() -> None:
    """A value of another kind in a field of a subclass is refused by the consumer, and the error names the class."""
    event_class: Any = happened(OwnBilled)
    data = EventEncoder("coding").encode(happened(Any)(aggregate_id="stay-1", payload={**WIRE, "stay": 7}))
    with pytest.raises(InvalidPayloadError, match=r"\$\.stay: expected StayId, got int"):
        EventDecoder([event_class]).decode(data)


def test_frozen_time_is_published() -> None:
    """A datetime and a date that are made while freezegun holds the clock are published as what they are."""
    with freeze_time("2026-01-02T03:04:05Z"):
        wire, read = round_trip(Billed(at=datetime.now(UTC), day=datetime.now(UTC).date()))
    assert (wire["at"], wire["day"]) == ("2026-01-02T03:04:05Z", "2026-01-02")
    assert read.at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        pytest.param(Billed(anything={"a": [1, object()]}), "$.anything[...][1]", id="value"),
        pytest.param(Billed(anything={(1, 2): 1}), "$.anything", id="key"),
        pytest.param(Billed(anything=[UNSET]), "$.anything[0]", id="unset value"),
        pytest.param(Billed(stay="\ud800"), "$.stay", id="lone surrogate"),
        pytest.param(Billed(anything=("a", {"b": "\ud800"})), "$.anything[1][...]", id="lone surrogate further down"),
    ],
)
def test_value_that_cannot_be_written_is_named_by_its_path(payload: Billed, path: str) -> None:
    """The error for a value that has no form in JSON names the path of the value."""
    with pytest.raises(EventEncodingError) as caught:
        round_trip(payload)
    assert str(caught.value).startswith(f"payload at {path} holds a ")


def test_payload_that_contains_itself_is_refused() -> None:
    """A payload that contains itself is refused as what it is."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(EventEncodingError, match="payload nests deeper than can be encoded, or contains itself"):
        round_trip(Billed(anything=endless))


class EventType(str, Enum):  # noqa: UP042 - its members format themselves as EventType.CODED
    """Event types in an enum that is no `StrEnum`."""

    CODED = "domain_coding_stay_coded"


class StayCoded(BaseEvent[Billed]):
    """An event whose type comes from that enum."""

    event_type = EventType.CODED


def test_event_type_may_come_from_any_enum_of_strings() -> None:
    """An event whose type is a member of a `(str, Enum)` is written, read, and named in errors by its plain value."""
    event = StayCoded(aggregate_id="stay-1", payload=Billed())
    data = EventEncoder("coding").encode(event)
    assert json.loads(data)["type"] == "domain_coding_stay_coded"
    assert isinstance(EventDecoder([StayCoded, StayCoded]).decode(data), StayCoded)
    with pytest.raises(EventEncodingError, match=r"type domain_coding_stay_coded\]"):
        EventEncoder("coding").encode(StayCoded(aggregate_id="stay-1", payload=Billed(anything=object())))
    with pytest.raises(InvalidEventError, match=r"type domain_coding_stay_coded\]"):
        StayCoded(aggregate_id="", payload=Billed())
    with pytest.raises(ConfigurationError, match="share the event type domain_coding_stay_coded"):
        EventDecoder([StayCoded, cast("Any", happened(Billed))])


@pytest.mark.parametrize("name", ["aggregate_id", "id", "correlation_id", "causation_id", "partition_key"])
def test_attribute_that_cannot_be_written_is_named(name: str) -> None:
    """The error for a field of the event with a lone surrogate names the field, and not the payload."""
    event = happened(Billed)(**{"aggregate_id": "stay-1", "payload": Billed(), name: "\ud800"})
    with pytest.raises(EventEncodingError, match=f"^{name} holds a lone surrogate"):
        EventEncoder("coding").encode(event)


def test_strict_models_are_published_and_read() -> None:
    """A pydantic model with `strict=True` and values that JSON has no type for is published and read back equal."""
    payload = Strict(
        at=datetime(2026, 1, 2, tzinfo=UTC),
        day=date(2026, 1, 2),
        patient=UUID(int=7),
        price=Decimal("1.50"),
        ward=Ward.SURGERY,
        span=timedelta(days=1),
        codes=("J18.9",),
        wards={Ward.SURGERY},
    )
    assert round_trip(payload)[1] == payload


@pytest.mark.parametrize("image", [b"text", b"\xfb\xff\xfe\x00", b""])
def test_bytes_of_models_are_base64(image: bytes) -> None:
    """Bytes of a pydantic model are base64 in the alphabet of all other payloads."""
    photo = Photo(image=image, more=[image], by_name={"a": image, "b": None})
    text = round_trip(Billed(scan=image))[0]["scan"]
    wire, read = round_trip(Album(photo=photo))
    assert wire["photo"] == {"image": text, "more": [text], "by_name": {"a": text, "b": None}}
    assert read.photo == photo


def test_fields_with_a_format_of_their_own_keep_it() -> None:
    """Bytes of a pydantic field that brings its own format are written in that format."""
    payload = Encoded(image=b"+/8=")
    wire, read = round_trip(payload)
    assert wire == payload.model_dump(mode="json")
    assert read == payload


@pytest.mark.parametrize("payload_type", [Utf8Photo, Folder, list[Utf8Photo]])
def test_models_whose_bytes_would_not_be_base64_are_refused(payload_type: Any) -> None:
    """A model that writes bytes as UTF-8 is refused before any event, and the error holds the setting to add."""
    with pytest.raises(ConfigurationError) as caught:
        payload_codec_of(cast("Any", happened(payload_type)))
    assert "Utf8Photo.image would not be base64 on the wire" in str(caught.value)
    assert 'model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")' in str(caught.value)
