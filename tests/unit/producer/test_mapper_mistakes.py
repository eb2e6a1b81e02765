"""What `verify_mapper` refuses: everything that is wrong with a mapper, at once, with what to type."""

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import Any, assert_never, final

import pytest
from support.channels import ARCHIVED, CREATED, EVALUATED, Channel
from support.coding import CodingEvent, MedicalStayCreated, MedicalStayDrafted, OptimizationEvaluated, channel_for

from domainstream.channel import EventPublisherChannel
from domainstream.errors import MapperError
from domainstream.event import BaseEvent
from domainstream.producer import EventProducer, verify_mapper
from domainstream.publisher import MemoryPublisher

Mapper = Callable[[Any], EventPublisherChannel | None]


@final
class StayWithoutType(BaseEvent[None]):
    """An event class whose type was forgotten."""


def problems(mapper: Mapper, events: object = None) -> tuple[str, ...]:
    """Return what the refusal of a mapper lists."""
    with pytest.raises(MapperError) as refusal:
        verify_mapper(mapper, events)
    return refusal.value.problems


def forgetful(event: CodingEvent) -> Channel | None:
    """Map two of three classes."""
    match event:
        case OptimizationEvaluated():
            return EVALUATED
        case MedicalStayDrafted():
            return None
        case _:
            assert_never(event)  # type: ignore[arg-type]


def test_forgotten_class_is_named_with_the_case_to_add() -> None:
    """The class that ends in `assert_never` has no case."""
    (problem,) = problems(forgetful)

    assert problem.startswith("MedicalStayCreated has no case")
    assert "add: case MedicalStayCreated(): return" in problem


def test_class_missing_from_a_table_is_forgotten_too() -> None:
    """A `KeyError` of the mapper says the same as `assert_never`."""
    table: dict[type[BaseEvent[Any]], Channel] = {OptimizationEvaluated: EVALUATED}

    (problem,) = problems(lambda event: table[type(event)], [OptimizationEvaluated, MedicalStayCreated])

    assert problem.startswith("MedicalStayCreated has no case")


def test_wrong_channel_is_named_with_the_right_one() -> None:
    """A class mapped to another event's channel is named together with the right channel."""
    (problem,) = problems(lambda _: ARCHIVED, MedicalStayCreated)

    assert f"MedicalStayCreated has the type '{CREATED.value}' but is mapped to {ARCHIVED.name}" in problem
    assert f"map it to {CREATED.name}" in problem


def test_member_of_another_kind_of_enum_is_not_a_channel() -> None:
    """Only members of an `EventPublisherChannel` are channels, whatever their value."""

    class Topic(StrEnum):
        CREATED = CREATED.value

    (problem,) = problems(lambda _: Topic.CREATED, MedicalStayCreated)  # type: ignore[arg-type, return-value]

    assert "neither a channel nor None" in problem


def test_plain_text_is_not_a_channel() -> None:
    """A plain string is rejected, even if it equals the value of a channel."""
    (problem,) = problems(lambda _: CREATED.value, MedicalStayCreated)  # type: ignore[arg-type, return-value]

    assert f"MedicalStayCreated is mapped to {CREATED.value!r}" in problem


def test_class_without_a_type_is_named() -> None:
    """Nothing can be proven about a class that has no event type."""
    (problem,) = problems(lambda event: {StayWithoutType: None}[type(event)], StayWithoutType)

    assert problem == "StayWithoutType has no event_type; add: event_type = YourEventType.NAME"


def falls_off(event: CodingEvent) -> Channel | None:
    """Map all classes, and return nothing for others."""
    match event:
        case OptimizationEvaluated():
            return EVALUATED
        case MedicalStayCreated():
            return CREATED
        case MedicalStayDrafted():
            return None


def has_default(event: CodingEvent) -> Channel | None:
    """Map all classes, and keep others inside the service."""
    match event:
        case OptimizationEvaluated():
            return EVALUATED
        case MedicalStayCreated():
            return CREATED
        case _:
            return None


def gets(event: CodingEvent) -> Channel | None:
    """Look the class up in a table that has no error for others."""
    return {OptimizationEvaluated: EVALUATED, MedicalStayCreated: CREATED}.get(type(event))


@pytest.mark.parametrize("mapper", [falls_off, has_default, gets, partial(falls_off), lambda _: None])
def test_mapper_that_takes_unknown_events_for_unpublished_is_refused(mapper: Mapper) -> None:
    """A mapper that returns None for a class it does not name is refused, with what to add at its end."""
    (problem,) = problems(mapper, CodingEvent)

    assert "returns None for events that it does not name" in problem
    assert problem.endswith("end its match with: case _: assert_never(event)")


def test_producer_refuses_such_a_mapper() -> None:
    """A producer whose mapper falls off its end is not made."""
    with pytest.raises(MapperError, match="falls_off returns None for events that it does not name"):
        EventProducer(MemoryPublisher(), channel_for=falls_off, source="coding")


def test_mapper_that_looks_into_the_payload_is_reported() -> None:
    """A mapper decides on the class alone, so that what is proven for a class holds for all its events."""

    def curious(event: OptimizationEvaluated) -> Channel | None:
        return EVALUATED if event.payload.score > 0.5 else None

    (problem,) = problems(curious)

    assert problem.startswith("OptimizationEvaluated without a payload makes the mapper raise AttributeError")
    assert "map by class alone" in problem


def test_everything_that_is_wrong_is_listed_at_once() -> None:
    """A forgotten class, a wrong channel and a class without type make one error."""

    def careless(event: BaseEvent[Any]) -> Channel | None:
        match event:
            case OptimizationEvaluated():
                return CREATED
            case _:
                raise NotImplementedError

    found = problems(careless, [OptimizationEvaluated, MedicalStayCreated, StayWithoutType])

    assert [problem.split()[0] for problem in found] == [
        "OptimizationEvaluated",
        "MedicalStayCreated",
        "StayWithoutType",
    ]


def open_base(event: BaseEvent) -> Channel | None:  # type: ignore[type-arg]
    """Map whatever comes."""
    return channel_for(event)  # type: ignore[arg-type]


def open_generic(event: BaseEvent[Any]) -> Channel | None:
    """Map whatever comes."""
    return channel_for(event)  # type: ignore[arg-type]


def unannotated(event):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Map whatever comes."""
    return channel_for(event)


def annotated_otherwise(event: list[int]) -> Channel | None:
    """Map what is no event."""
    return EVALUATED if event else None


@pytest.mark.parametrize(
    "mapper", [open_base, open_generic, unannotated, annotated_otherwise, {"a": EVALUATED}.get, partial(open_generic)]
)
def test_mapper_that_names_no_events_cannot_be_verified(mapper: Mapper) -> None:
    """An open base class, another type or no annotation is refused with the annotation to type."""
    (problem,) = problems(mapper)

    assert problem.startswith("no event classes are known")
    assert "(event: MyDomainEvent), with MyDomainEvent = A | B" in problem


def test_no_events_at_all_cannot_be_verified() -> None:
    """An empty iterable of event classes is rejected."""
    (problem,) = problems(channel_for, [])

    assert problem.startswith("no event classes are known")


@pytest.mark.parametrize("annotation", ["Missing", "Channel.Missing", "1 +", "'CodingEvent' | 'Channel'"])
def test_annotation_that_cannot_be_read_is_refused(annotation: str) -> None:
    """A name that exists for type checkers only is refused with its way out."""

    def mapper(event: Any) -> Channel | None:
        return channel_for(event)

    mapper.__annotations__["event"] = annotation

    (problem,) = problems(mapper)

    assert "import it outside `if TYPE_CHECKING:`" in problem


def test_message_names_the_mapper() -> None:
    """The error names the mapper function."""
    with pytest.raises(MapperError, match="The mapper forgetful is wrong"):
        verify_mapper(forgetful)


def test_message_names_the_class_of_a_callable_object() -> None:
    """A mapper without a name of its own goes by its class, not by its address."""

    class Forgetful:
        def __call__(self, event: CodingEvent) -> Channel | None:
            return forgetful(event)

    with pytest.raises(MapperError, match="The mapper Forgetful is wrong"):
        verify_mapper(Forgetful())
