"""Encoding many events at once gives what encoding each of them gives, errors included."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domainstream.errors import EventEncodingError
from domainstream.event import BaseEvent, EventEncoder, EventPayload
from domainstream.settings import MessageLimits

TRACE = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
TEXT = st.text(st.characters(codec="utf-8"))


class Coded(EventPayload):
    """A payload whose type proves much."""

    code: str = "J18.9"
    score: float | None = None
    count: int = 0
    inner: "Inner | None" = None


class Inner(EventPayload):
    """One level more."""

    labels: list[str] = []  # noqa: RUF012


class ExtendedCoded(Coded):
    """What the payload's type does not know of."""

    more: Any = None


class Noted(EventPayload):
    """A payload whose type proves nothing."""

    notes: dict[str, Any]


class StayCoded(BaseEvent[Coded]):
    """An event."""

    event_type = "domain_coding_stay_coded"


class StayNoted(BaseEvent[Noted]):
    """Another event."""

    event_type = "domain_coding_stay_noted"


CODED = st.builds(
    StayCoded,
    aggregate_id=TEXT.filter(bool),
    payload=st.builds(
        Coded,
        code=TEXT,
        score=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        count=st.integers(-(2**53) + 1, 2**53 - 1),
        inner=st.none() | st.builds(Inner, labels=st.lists(TEXT, max_size=3)),
    ),
    correlation_id=st.none() | TEXT,
    sequence=st.none() | st.integers(0, 10**20 - 1),
)
NOTED = st.builds(StayNoted, aggregate_id=TEXT.filter(bool), payload=st.builds(Noted, notes=st.just({"a": [1, None]})))


def coded(**fields: Any) -> StayCoded:
    """Return an event with this payload."""
    return StayCoded(aggregate_id="stay-1", payload=Coded(**fields))


@settings(deadline=None)
@given(events=st.lists(CODED, max_size=5) | st.lists(NOTED, max_size=3) | st.lists(CODED | NOTED, max_size=5))
def test_many_events_are_written_as_each_of_them_is(events: Sequence[StayCoded | StayNoted]) -> None:
    """Events of one class or of several are written as if each were encoded alone, in their order."""
    encoder = EventEncoder("coding")
    assert encoder.encode_many(events, TRACE) == [encoder.encode(event, TRACE) for event in events]


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(Coded(code=7), id="wrong kind"),  # type: ignore[arg-type]
        pytest.param(Coded(code="\ud800"), id="lone surrogate"),
        pytest.param(Coded(score=float("nan")), id="NaN"),
        pytest.param(Coded(count=2**53), id="large integer"),
        pytest.param(Coded(score=2**60), id="large integer in a float field"),
        pytest.param(Coded(code="x" * 300_000), id="too large"),
        pytest.param(ExtendedCoded(more={"__proto__": 1}), id="__proto__ in a subclass"),
        pytest.param(ExtendedCoded(more=object()), id="no JSON"),
        pytest.param({"code": "J18.9", "count": 2**60}, id="dictionary for a struct"),
    ],
)
def test_one_bad_event_among_many_is_named(bad: Any) -> None:
    """An event that cannot be written is refused among others with the error that it gets alone."""
    event = StayCoded(aggregate_id="stay-2", payload=bad, id="event-2")
    encoder = EventEncoder("coding")
    with pytest.raises(EventEncodingError) as alone:
        encoder.encode(event)
    with pytest.raises(EventEncodingError) as among_many:
        encoder.encode_many([coded(), event, coded()])
    assert str(among_many.value) == str(alone.value)
    assert among_many.value.event_id == "event-2"


@pytest.mark.parametrize("max_depth", [1, 2, 3])
def test_depth_is_limited_for_many_events_too(max_depth: int) -> None:
    """A limit below the depth of the payload is held for many events as for one."""
    encoder = EventEncoder("coding", MessageLimits(max_depth=max_depth))
    with pytest.raises(EventEncodingError, match=f"nests deeper than {max_depth} levels"):
        encoder.encode_many([coded(inner=Inner(labels=["a"]))])


def test_large_integers_may_be_allowed_for_many_events_too() -> None:
    """`strict_integers=False` allows integers of any size in many events."""
    encoder = EventEncoder("coding", MessageLimits(strict_integers=False))
    assert b'"count":1152921504606846976' in encoder.encode_many([coded(count=2**60)])[0]
