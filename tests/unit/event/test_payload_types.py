"""Payload types that cannot be written or read are refused before the first event, naming class and field."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from types import new_class
from typing import Any, Generic, NamedTuple, TypedDict, TypeVar

import attrs
import pydantic
import pytest

from domainstream.channel import EventPublisherChannel
from domainstream.errors import ConfigurationError
from domainstream.event import BaseEvent, EventDecoder, EventEncoder, EventPayload
from domainstream.producer import EventProducer, verify_mapper
from domainstream.publisher import MemoryPublisher
from domainstream.worker import EventConsumer, EventContext

T = TypeVar("T")


class Mixed(Enum):
    """An enum of a text and a number."""

    TEXT = "text"
    NUMBER = 1


class Plain:
    """A class that neither JSON nor msgspec knows."""


class TwoTexts(EventPayload):
    """A union of two types that JSON writes alike."""

    amount: Decimal | str


class MixedEnum(EventPayload):
    """A field with a mixed enum."""

    kind: list[Mixed]


class Unknown(EventPayload):
    """A field whose type is imported for the type checker alone."""

    name: str
    stay: "OnlyForTypeCheckers"  # type: ignore[name-defined]  # noqa: F821


class Inherited(TwoTexts):
    """A class whose base is at fault."""

    more: int = 0


class Inner(EventPayload):
    """A class with another one at fault inside."""

    name: str
    lines: dict[str, list[TwoTexts] | None]


class GenericInner(EventPayload, Generic[T]):
    """A generic class."""

    value: T


class Typed(TypedDict):
    """A typed dictionary."""

    plain: Plain


class Named(NamedTuple):
    """A named tuple."""

    x: int
    plain: Plain


@dataclass
class Data:
    """A dataclass."""

    named: Named


@attrs.frozen
class Attrs:
    """An attrs class."""

    anything: complex


class Model(pydantic.BaseModel):
    """A model that is not complete."""

    stay: "OnlyForTypeCheckers"  # type: ignore[name-defined]  # noqa: F821


class ModelInside(EventPayload):
    """A struct with such a model inside."""

    model: Model


UNUSABLE = [
    pytest.param(TwoTexts, "TwoTexts.amount: Type unions may not contain more than one str-like type", id="union"),
    pytest.param(MixedEnum, "MixedEnum.kind: Enums must contain either all str or all int values", id="enum"),
    pytest.param(Unknown, "Unknown.stay: name 'OnlyForTypeCheckers' is not defined", id="name"),
    pytest.param(Inherited, "Inherited.amount: Type unions", id="inherited"),
    pytest.param(Inner, "TwoTexts.amount: Type unions", id="inner class"),
    pytest.param(GenericInner[TwoTexts], "TwoTexts.amount: Type unions", id="argument of a generic class"),
    pytest.param(Typed, "Typed.plain: Plain has no form in JSON", id="typed dictionary"),
    pytest.param(Data, "Named.plain: Plain has no form in JSON", id="named tuple in a dataclass"),
    pytest.param(Attrs, "Attrs.anything: complex has no form in JSON", id="attrs"),
    pytest.param(Model, "Model.stay: name 'OnlyForTypeCheckers' is not defined", id="pydantic"),
    pytest.param(ModelInside, "Model.stay: name 'OnlyForTypeCheckers' is not defined", id="pydantic inside"),
    pytest.param(list[Plain], "its payload: Plain has no form in JSON", id="no record"),
]


class Channel(EventPublisherChannel):
    """The channel of all events here."""

    DOMAIN_CODING_STAY_CODED = "domain_coding_stay_coded"


def happened(payload_type: Any) -> Any:
    """Return an event class for payloads of this type."""
    return new_class(
        "StayCoded", (BaseEvent[payload_type],), {}, lambda fields: fields.update(event_type="domain_coding_stay_coded")
    )


def by_mapper(event_class: Any) -> None:
    """Verify a mapper of the class."""
    verify_mapper(lambda event: {event_class: Channel.DOMAIN_CODING_STAY_CODED}[type(event)], [event_class])


def by_producer(event_class: Any) -> None:
    """Make a producer of the class."""

    def channel_for(event: Any) -> Channel:
        return {event_class: Channel.DOMAIN_CODING_STAY_CODED}[type(event)]

    channel_for.__annotations__["event"] = event_class
    EventProducer(MemoryPublisher(), channel_for=channel_for, source="coding")


def by_consumer(event_class: Any) -> None:
    """Register a handler of the class."""

    async def handle(event: Any, context: EventContext) -> None:
        """Do nothing."""

    EventConsumer("coding").on(event_class)(handle)


def by_decoder(event_class: Any) -> None:
    """Make a decoder of the class."""
    EventDecoder([event_class])


def by_encoder(event_class: Any) -> None:
    """Encode an event of the class."""
    EventEncoder("coding").encode(event_class(aggregate_id="stay-1", payload=None))


@pytest.mark.parametrize("use", [by_mapper, by_producer, by_consumer, by_decoder, by_encoder])
@pytest.mark.parametrize(("payload_type", "problem"), UNUSABLE)
def test_payload_type_that_cannot_be_used_is_refused(
    use: Callable[[Any], None], payload_type: Any, problem: str
) -> None:
    """A payload type that cannot be written or read is refused wherever its event class is first used."""
    with pytest.raises(ConfigurationError) as caught:
        use(happened(payload_type))
    assert str(caught.value).startswith("StayCoded cannot be used:\n  - " + problem)


def test_all_fields_at_fault_are_listed() -> None:
    """The error lists each field at fault once, also where its class is used twice."""

    class Several(EventPayload):
        first: TwoTexts
        second: TwoTexts | None
        third: Plain

    with pytest.raises(ConfigurationError) as caught:
        by_decoder(happened(Several))
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["TwoTexts.amount", "Several.third"]


@pytest.mark.parametrize("payload_type", [int, str | None, dict[str, Any], list[GenericInner[int]], Any, type(None)])
def test_other_payload_types_are_accepted(payload_type: Any) -> None:
    """A payload type that JSON has, including a generic class and `Any`, is accepted."""
    by_decoder(happened(payload_type))
