"""What a payload's type proves spares work; what it does not prove is still looked for in each message."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from types import new_class
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import msgspec
import pydantic
import pytest

from domainstream.errors import EventEncodingError
from domainstream.event import BaseEvent, EventDecoder, EventEncoder, EventPayload
from domainstream.event.payload_traits import times_of, traits_of
from domainstream.settings import MessageLimits

LARGE = 2**60
AWARE = datetime(2026, 1, 2, tzinfo=UTC)


class Text(EventPayload):
    """Texts only."""

    text: str


class ExtendedText(Text):
    """What somebody may pass where a `Text` is asked for."""

    number: int = 0
    more: dict[str, Any] = {}  # noqa: RUF012


class Number(EventPayload):
    """One integer."""

    number: int


class Numbers(EventPayload):
    """Several numbers of its own."""

    number: int | None = None
    score: float = 0.0
    text: str = ""


class InnerNumbers(EventPayload):
    """Numbers further down."""

    numbers: list[float]


class InnerIntegers(EventPayload):
    """Integers further down."""

    integers: list[int]


class Annotations(EventPayload):
    """Types behind annotations that msgspec keeps."""

    number: Annotated[int, msgspec.Meta(description="A number.")] = 0
    more: Annotated[dict[str, Any], msgspec.Meta(description="Anything.")] = {}  # noqa: RUF012


class Score(EventPayload):
    """A number that may be left out."""

    score: int | msgspec.UnsetType = msgspec.UNSET


class InnerText(EventPayload):
    """A struct further down."""

    inner: Text


class LargeEnum(IntEnum):
    """An enum whose value Node.js would round."""

    LARGE = LARGE


class SmallEnum(IntEnum):
    """An enum of small values."""

    SMALL = 1


class Ward(StrEnum):
    """An enum of texts."""

    SURGERY = "surgery"


class LargeConstant(EventPayload):
    """An enum's value."""

    constant: LargeEnum


class LargeLiteral(EventPayload):
    """A literal."""

    constant: Literal[1152921504606846976]


class SmallConstants(EventPayload):
    """Constants that every language reads."""

    small: SmallEnum
    ward: Ward
    literal: Literal[1, "a"]


class TextDict(TypedDict):
    """A typed dictionary of texts, which may hold more at run time."""

    text: str


class Point(NamedTuple):
    """A tuple of texts."""

    x: str
    y: tuple[str, bool]


@dataclass
class Nested:
    """Four levels: this one, the list, the tuple in it, and the tuple in that."""

    points: list[Point]


class Tree(EventPayload):
    """A type that contains itself."""

    children: "list[Tree]" = []  # noqa: RUF012


class RawText(EventPayload):
    """JSON that the producer brings."""

    raw: msgspec.Raw


class Model(pydantic.BaseModel):
    """A pydantic model."""

    text: str


def event_of(payload_type: Any) -> Callable[..., BaseEvent[Any]]:
    """Return an event class with payloads of this type."""
    return new_class(
        "Happened", (BaseEvent[payload_type],), {}, lambda fields: fields.update(event_type="domain_coding_stay_coded")
    )


@pytest.mark.parametrize(
    ("payload_type", "payload"),
    [
        pytest.param(Number, Number(number=LARGE), id="integer"),
        pytest.param(Number, {"number": LARGE}, id="dictionary for a struct"),
        pytest.param(Numbers, Numbers(number=-LARGE), id="optional integer"),
        pytest.param(Numbers, Numbers(score=LARGE), id="integer in a float field"),
        pytest.param(InnerNumbers, InnerNumbers(numbers=[0.5, LARGE]), id="further down"),
        pytest.param(Score, Score(score=LARGE), id="integer that may be unset"),
        pytest.param(Annotations, Annotations(number=LARGE), id="integer behind an annotation"),
        pytest.param(Annotations, Annotations(more={"__proto__": 1}), id="dictionary behind an annotation"),
        pytest.param(LargeConstant, LargeConstant(constant=LargeEnum.LARGE), id="enum"),
        pytest.param(LargeLiteral, LargeLiteral(constant=LARGE), id="literal"),  # type: ignore[arg-type]
        pytest.param(Text, ExtendedText(text="", number=LARGE), id="field of a subclass"),
        pytest.param(InnerText, InnerText(inner=ExtendedText(text="", number=LARGE)), id="field of an inner subclass"),
        pytest.param(TextDict, {"text": "", "number": LARGE}, id="key that the type does not know"),
        pytest.param(Text, ExtendedText(text="", more={"__proto__": 1}), id="__proto__ in a subclass"),
        pytest.param(TextDict, {"text": "", "more": {"1": 1, 1: 1}}, id="key twice"),
        pytest.param(Any, {"1": 1, 1: 1}, id="key twice in anything"),
        pytest.param(Any, LARGE, id="integer as anything"),
        pytest.param(RawText, RawText(raw=msgspec.Raw(b'{"a":1,"a":2}')), id="key twice in raw JSON"),
        pytest.param(RawText, RawText(raw=msgspec.Raw(b'{"a":1152921504606846976}')), id="integer in raw JSON"),
    ],
)
def test_what_the_type_does_not_prove_is_looked_for(payload_type: Any, payload: Any) -> None:
    """A message that a consumer would refuse is not written, whatever the payload's type claims."""
    event = event_of(payload_type)(aggregate_id="stay-1", payload=payload)
    with pytest.raises(EventEncodingError, match="consumers would reject the message"):
        EventEncoder("coding").encode(event)


@pytest.mark.parametrize(
    ("payload_type", "payload"),
    [
        pytest.param(Numbers, Numbers(number=2**53 - 1, score=1e300), id="safe integer and large float"),
        pytest.param(Numbers, Numbers(number=None), id="None for an integer"),
        pytest.param(InnerNumbers, InnerNumbers(numbers=[1e300]), id="large float further down"),
        pytest.param(Number, {"number": 1}, id="dictionary for a struct"),
        pytest.param(Text, ExtendedText(text="", number=1), id="harmless subclass"),
        pytest.param(
            SmallConstants, SmallConstants(small=SmallEnum.SMALL, ward=Ward.SURGERY, literal="a"), id="small constants"
        ),
    ],
)
def test_what_consumers_can_read_is_written(payload_type: Any, payload: Any) -> None:
    """A payload that every consumer can read is written, also where its type proves nothing."""
    happened: Any = event_of(payload_type)
    data = EventEncoder("coding").encode(happened(aggregate_id="stay-1", payload=payload))
    assert EventDecoder([happened]).decode(data).aggregate_id == "stay-1"


@pytest.mark.parametrize(
    ("payload_type", "depth"),
    [(str, 0), (Text, 1), (InnerText, 2), (Nested, 4), (list[Text] | None, 2), (set[str], 1), (InnerNumbers, 2)],
)
def test_depth_is_known_from_the_type(payload_type: Any, depth: int) -> None:
    """A type of texts proves how deep its JSON nests."""
    assert traits_of(payload_type) == (depth, None)


@pytest.mark.parametrize(
    "payload_type", [Any, dict[str, str], Tree, Model, ExtendedText, LargeConstant, InnerIntegers, Annotations]
)
def test_open_types_prove_nothing(payload_type: Any) -> None:
    """A type with dictionaries, `Any`, models, itself or nested integers proves nothing."""
    assert traits_of(payload_type) is None


@pytest.mark.parametrize(("number", "exact"), [(2**53 - 1, True), (2**53, False), (-(2**53), False), (None, True)])
def test_type_of_integers_tells_where_they_are(number: int | None, exact: bool) -> None:
    """The integers of a payload are found through its type; floats of any size are exact in every language."""
    traits = traits_of(Numbers)
    assert traits is not None
    assert traits.exact_in_node is not None
    assert traits.exact_in_node(Numbers(number=number, score=1e300)) is exact


@pytest.mark.parametrize("payload_type", [list[datetime | None], dict[str, datetime | None]])
def test_type_of_times_knows_items_that_may_be_none(payload_type: Any) -> None:
    """Times are found through the type of a list or a dictionary also where some of its values are None."""
    keep_their_moment = times_of(payload_type)
    assert callable(keep_their_moment)

    def values(*items: Any) -> Any:
        return list(items) if payload_type == list[datetime | None] else dict(zip("abc", items, strict=False))

    assert keep_their_moment(values(None, AWARE, None))
    assert not keep_their_moment(values(None, AWARE.replace(tzinfo=None)))


def test_unset_field_is_absent_on_the_wire() -> None:
    """A field whose value is UNSET is absent on the wire, for one event and for many, and is read as UNSET."""
    scored = event_of(Score)
    events = [scored(aggregate_id="stay-1", payload=Score()), scored(aggregate_id="stay-2", payload=Score(score=7))]
    encoder = EventEncoder("coding")
    lines = encoder.encode_many(events)
    assert lines == [encoder.encode(event) for event in events]
    assert [json.loads(line)["data"] for line in lines] == [{}, {"score": 7}]
    assert [EventDecoder([type(events[0])]).decode(line).payload for line in lines] == [Score(), Score(score=7)]


def test_type_that_nests_deeper_than_the_limit_is_looked_at() -> None:
    """A limit below the depth of a type is held, although the type proves its depth."""
    event = event_of(Nested)(aggregate_id="stay-1", payload=Nested([Point("", ("", True))]))
    assert EventEncoder("coding", MessageLimits(max_depth=5)).encode(event)
    with pytest.raises(EventEncodingError, match="nests deeper than 4 levels"):
        EventEncoder("coding", MessageLimits(max_depth=4)).encode(event)
