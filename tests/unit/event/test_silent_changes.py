"""Values that JSON would change silently are refused, and the error names their path."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, timezone
from types import new_class
from typing import Any, NamedTuple, TypedDict
from zoneinfo import ZoneInfo

import attrs
import msgspec
import pendulum
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domainstream.errors import EventEncodingError
from domainstream.event import BaseEvent, EventDecoder, EventEncoder, EventPayload
from domainstream.settings import MessageLimits

NAIVE = datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001
AWARE = NAIVE.replace(tzinfo=UTC)
IN_MONROVIA = datetime(1960, 1, 1, tzinfo=ZoneInfo("Africa/Monrovia"))
"""Its offset from UTC is -00:44:30."""
NAN = float("nan")


class Always:
    """What compares equal to everything, as a class may decide."""

    def __eq__(self, other: object) -> bool:
        """Claim to be equal."""
        return True

    __hash__ = None  # type: ignore[assignment]


class Struct(EventPayload):
    """A struct with times in every place."""

    at: datetime | None = None
    until: datetime = AWARE
    inner: "Struct | None" = None
    many: tuple[datetime, ...] = ()
    by_ward: dict[str, datetime] = {}  # noqa: RUF012
    by_day: dict[datetime, int] = {}  # noqa: RUF012
    by_both: dict[datetime, datetime] = {}  # noqa: RUF012
    clock: time | None = None
    anything: Any = None


class Flat(EventPayload):
    """A struct with one time."""

    at: datetime | None = None


class ByDay(EventPayload):
    """A struct whose only times are keys."""

    by_day: dict[datetime, int]


class Line(EventPayload):
    """A struct inside of payloads."""

    begun: datetime
    ended: datetime | None = None


class Lines(EventPayload):
    """A struct with a list of structs, whose type says where the times are."""

    lines: list[Line]
    by_ward: dict[str, list[Line]] = {}  # noqa: RUF012


class Pair(NamedTuple):
    """A named tuple."""

    begun: datetime
    ended: datetime


class Typed(TypedDict):
    """A typed dictionary."""

    at: datetime


@dataclass
class Data:
    """A dataclass."""

    at: datetime
    pair: Pair | None = None


@attrs.frozen
class Attrs:
    """An attrs class."""

    at: datetime


class Model(pydantic.BaseModel):
    """A pydantic model that keeps fields that it does not know."""

    model_config = pydantic.ConfigDict(extra="allow")
    at: datetime
    by_day: dict[datetime, int] = {}


class EqualStruct(Always, EventPayload):
    """A struct with an `__eq__` of its own."""

    score: float | None = None


@dataclass
class UncomparedData:
    """A dataclass with a field that comparisons leave out."""

    score: float | None = field(default=None, compare=False)


@attrs.frozen
class UncomparedAttrs:
    """An attrs class with a field that comparisons leave out."""

    score: float | None = attrs.field(eq=False)


class EqualModel(Always, pydantic.BaseModel):
    """A pydantic model with an `__eq__` of its own."""

    score: float | None = None


class EqualFloat(float, Always):
    """A number with an `__eq__` of its own."""

    __slots__ = ()
    __eq__ = Always.__eq__
    __hash__ = None  # type: ignore[assignment]


class Scored(EventPayload):
    """A struct that leaves comparisons to its field's value."""

    score: float | None = None
    inner: "Scored | None" = None


class EqualScored(Always, Scored):
    """A value of another class than declared."""

    more: int = 0


def event_with(payload: Any, payload_type: Any = None) -> BaseEvent[Any]:
    """Return an event of a class for payloads of this type."""
    base: Any = BaseEvent[payload_type or type(payload)]  # type: ignore[misc]
    event_class: Callable[..., BaseEvent[Any]] = new_class(
        "Happened", (base,), {}, lambda fields: fields.update(event_type="domain_coding_stay_coded")
    )
    return event_class(aggregate_id="stay-1", payload=payload)


def refused(event: BaseEvent[Any], limits: MessageLimits | None = None) -> str:
    """Return why an event is refused, alone and among others alike."""
    encoder = EventEncoder("coding", limits or MessageLimits())
    with pytest.raises(EventEncodingError) as alone:
        encoder.encode(event)
    with pytest.raises(EventEncodingError) as among_many:
        encoder.encode_many([event, event])
    assert str(alone.value) == str(among_many.value)
    return str(alone.value)


PLACES = [
    pytest.param(lambda at: Struct(at=at), "$.at", id="optional field"),
    pytest.param(lambda at: Struct(until=at), "$.until", id="field"),
    pytest.param(lambda at: Struct(inner=Struct(at=at)), "$.inner.at", id="inner struct"),
    pytest.param(lambda at: Struct(many=(AWARE, at)), "$.many[1]", id="tuple"),
    pytest.param(lambda at: Struct(by_ward={"surgery": at}), "$.by_ward[...]", id="dictionary"),
    pytest.param(lambda at: Struct(by_day={at: 1}), "$.by_day[...]", id="key"),
    pytest.param(lambda at: Struct(by_both={at: AWARE}), "$.by_both[...]", id="key of a time"),
    pytest.param(lambda at: Struct(anything={"a": [at]}), "$.anything[...][0]", id="anything"),
    pytest.param(lambda at: Flat(at=at), "$.at", id="only field"),
    pytest.param(lambda at: Lines(lines=[Line(begun=AWARE), Line(begun=at)]), "$.lines[1].begun", id="list of structs"),
    pytest.param(lambda at: Lines(lines=[Line(begun=AWARE, ended=at)]), "$.lines[0].ended", id="optional in a list"),
    pytest.param(
        lambda at: Lines(lines=[], by_ward={"a": [Line(begun=at)]}),
        "$.by_ward[...][0].begun",
        id="lists in a dictionary",
    ),
    pytest.param(lambda at: Data(at=at), "$.at", id="dataclass"),
    pytest.param(lambda at: Data(at=AWARE, pair=Pair(AWARE, at)), "$.pair[1]", id="named tuple"),
    pytest.param(lambda at: ByDay(by_day={at: 1}), "$.by_day[...]", id="only keys"),
    pytest.param(lambda at: Attrs(at=at), "$.at", id="attrs"),
    pytest.param(lambda at: Model(at=at), "$.at", id="pydantic"),
    pytest.param(lambda at: Model(at=AWARE, by_day={at: 1}), "$.by_day[...]", id="key of pydantic"),
    pytest.param(lambda at: Model.model_validate({"at": AWARE, "more": at}), "$[...]", id="unknown field of pydantic"),
]


@pytest.mark.parametrize(("payload_of", "path"), PLACES)
@pytest.mark.parametrize("naive", [NAIVE, pendulum.naive(2026, 1, 2, 3, 4, 5)], ids=["datetime", "pendulum"])
def test_datetime_without_time_zone_is_refused(
    payload_of: Callable[[datetime], Any], path: str, naive: datetime
) -> None:
    """A datetime without a time zone is refused, wherever it is, and the error says where and what to write instead."""
    assert f"payload at {path}: a datetime has no time zone; use datetime.now(UTC)" in refused(
        event_with(payload_of(naive))
    )


@pytest.mark.parametrize(("payload_of", "path"), PLACES)
@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(IN_MONROVIA, id="minutes and seconds"),
        pytest.param(AWARE.replace(tzinfo=timezone(timedelta(seconds=20))), id="rounded to UTC"),
        pytest.param(AWARE.replace(tzinfo=timezone(timedelta(hours=1, microseconds=1))), id="microseconds"),
    ],
)
def test_offset_with_seconds_is_refused(payload_of: Callable[[datetime], Any], path: str, odd: datetime) -> None:
    """A datetime is refused if its offset has seconds, which its text would round, so that the moment would change."""
    assert f"payload at {path}: an offset from UTC has seconds" in refused(event_with(payload_of(odd)))


@pytest.mark.parametrize(("payload_of", "path"), PLACES)
@pytest.mark.parametrize(
    "aware",
    [
        pytest.param(AWARE, id="UTC"),
        pytest.param(AWARE.replace(tzinfo=ZoneInfo("UTC")), id="another UTC"),
        pytest.param(datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Paris"), fold=1), id="second of two"),
        pytest.param(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))), id="before year 1 in UTC"),
        pytest.param(datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=5))), id="after year 9999 in UTC"),
        pytest.param(IN_MONROVIA.astimezone(UTC), id="converted as the error says"),
    ],
)
def test_other_datetimes_keep_their_moment(payload_of: Callable[[datetime], Any], path: str, aware: datetime) -> None:
    """A datetime with an offset of whole minutes is published and read as the same moment."""
    fixed = aware.replace(tzinfo=timezone(aware.utcoffset() or timedelta()), fold=0)
    # JSON has no type for times, so a time where the type does not name one is read as text.
    expected = payload_of(msgspec.to_builtins(fixed) if path in {"$.anything[...][0]", "$[...]"} else fixed)
    event = event_with(payload_of(aware))
    data = EventEncoder("coding").encode(event)
    assert EventDecoder([type(event)]).decode(data).payload == expected
    assert EventEncoder("coding").encode_many([event, event]) == [data, data]


def test_dictionary_for_a_struct_is_searched_too() -> None:
    """A naive datetime is found in a dictionary that is passed where a struct is declared."""
    assert "payload at $[...]: a datetime has no time zone" in refused(event_with({"at": NAIVE}, Flat))
    assert "payload at $[...]: a datetime has no time zone" in refused(event_with({"at": NAIVE}, Typed))


TEXT = "2026-01-02T03:04:05"


@pytest.mark.parametrize(
    ("payload", "payload_type", "path"),
    [
        pytest.param(Flat(at=TEXT), Flat, "$.at", id="only field"),  # type: ignore[arg-type]
        pytest.param(Struct(until=f"{TEXT}.678"), Struct, "$.until", id="field"),  # type: ignore[arg-type]
        pytest.param(Lines(lines=[{"begun": TEXT}]), Lines, "$.lines[0].begun", id="inner struct"),  # type: ignore[list-item]
        pytest.param(Struct(by_day={TEXT: 1}), Struct, "$.by_day[...]", id="key"),  # type: ignore[dict-item]
        pytest.param({"at": TEXT}, Typed, "$[...]", id="typed dictionary"),
        pytest.param({"at": TEXT}, Model, "$.at", id="pydantic"),
    ],
)
def test_text_without_time_zone_for_a_datetime_is_refused(payload: Any, payload_type: Any, path: str) -> None:
    """A text without time zone is refused where a datetime is declared, because every reader reads it as a datetime."""
    event = event_with(payload, payload_type)
    assert f"payload at {path}: a datetime has no time zone" in refused(event)
    assert b"2026-01-02T03:04:05" in EventEncoder("coding", MessageLimits(allow_naive=True)).encode(event)


def test_text_that_looks_like_a_time_is_published_as_text() -> None:
    """A text without time zone is published where no datetime is declared, also beside a datetime."""
    data = EventEncoder("coding").encode(event_with(Struct(anything=TEXT, at=AWARE)))
    assert b'"anything":"2026-01-02T03:04:05"' in data


class LateLine(Line):
    """A value of another class than declared, with a time more."""

    noted: datetime


@pytest.mark.parametrize(
    ("payload", "payload_type", "path"),
    [
        pytest.param(LateLine(begun=AWARE, noted=NAIVE), Line, "$.noted", id="subclass"),
        pytest.param(Lines(lines=[LateLine(begun=AWARE, noted=NAIVE)]), Lines, "$.lines[0].noted", id="inner subclass"),
        pytest.param({"at": AWARE, "more": NAIVE}, Typed, "$[...]", id="key that the type does not know"),
    ],
)
def test_times_that_the_type_does_not_know_are_searched_too(payload: Any, payload_type: Any, path: str) -> None:
    """A naive datetime is found where a payload holds more than its declared type has."""
    assert f"payload at {path}: a datetime has no time zone" in refused(event_with(payload, payload_type))


def test_naive_datetimes_may_be_allowed() -> None:
    """`MessageLimits(allow_naive=True)` publishes datetimes without time zone, but no offset with seconds."""
    limits = MessageLimits(allow_naive=True)
    event = event_with(Struct(at=NAIVE))
    assert b'"at":"2026-01-02T03:04:05"' in EventEncoder("coding", limits).encode(event)
    assert "an offset from UTC has seconds" in refused(event_with(Struct(at=IN_MONROVIA)), limits)


def test_naive_datetimes_are_read() -> None:
    """A reader accepts a datetime without time zone, because producers may have been allowed to write it."""
    event = event_with(Struct(at=NAIVE))
    data = EventEncoder("coding", MessageLimits(allow_naive=True)).encode(event)
    assert EventDecoder([type(event)]).decode(data).payload == event.payload


def test_times_of_day_need_no_zone() -> None:
    """A time of day without offset is published as it is; one whose offset has seconds is refused."""
    assert b'"clock":"03:04:05"' in EventEncoder("coding").encode(event_with(Struct(clock=NAIVE.time())))
    odd = time(3, 4, tzinfo=timezone(timedelta(seconds=3630)))
    assert "payload at $.clock: an offset from UTC has seconds" in refused(event_with(Struct(clock=odd)))


@settings(deadline=None)
@given(at=st.datetimes(timezones=st.timezones(), allow_imaginary=False))
def test_published_datetimes_are_the_same_moment(at: datetime) -> None:
    """Any datetime is either read as the same moment, or refused."""
    event = event_with(Flat(at=at))
    try:
        data = EventEncoder("coding").encode(event)
    except EventEncodingError:
        assert at.utcoffset() % timedelta(minutes=1)  # type: ignore[operator]
    else:
        read = EventDecoder([type(event)]).decode(data).payload.at
        assert read - at.replace(tzinfo=timezone(at.utcoffset() or timedelta())) == timedelta()


@pytest.mark.parametrize(
    ("payload", "payload_type", "path"),
    [
        pytest.param(EqualStruct(score=NAN), EqualStruct, "$.score", id="struct"),
        pytest.param(UncomparedData(NAN), UncomparedData, "$.score", id="field of a dataclass"),
        pytest.param(UncomparedAttrs(NAN), UncomparedAttrs, "$.score", id="field of an attrs class"),
        pytest.param(EqualModel(score=NAN), EqualModel, "$.score", id="pydantic"),
        pytest.param(Scored(score=EqualFloat("nan")), Scored, "$.score", id="value"),
        pytest.param(Scored(inner=EqualScored(score=NAN)), Scored, "$.inner.score", id="inner class"),
        pytest.param(EqualScored(score=NAN), Scored, "$.score", id="subclass"),
    ],
)
def test_nan_is_refused_whatever_claims_to_be_equal(payload: Any, payload_type: Any, path: str) -> None:
    """NaN is refused also where a class or a field has an `__eq__` that would call null the same."""
    assert f"payload at {path}: a number is NaN or infinite" in refused(event_with(payload, payload_type))


@pytest.mark.parametrize("payload", [EqualScored(more=2**60), Scored(inner=EqualScored(more=2**60))])
def test_large_integers_are_refused_whatever_claims_to_be_equal(payload: Any) -> None:
    """An integer that Node.js would round is found in a class with an `__eq__` of its own."""
    assert "consumers would reject the message: an integer is beyond" in refused(event_with(payload, Scored))
