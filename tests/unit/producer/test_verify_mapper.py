"""`verify_mapper` proves, without a server, that a mapper knows every event class of its service."""

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, Never, Optional, TypeVar, Union, assert_never

import pytest
from support.channels import CREATED, EVALUATED, Channel
from support.coding import (
    CodingEvent,
    Evaluation,
    MedicalStayCreated,
    MedicalStayDrafted,
    OptimizationEvaluated,
    channel_for,
)

from domainstream.channel import EventPublisherChannel
from domainstream.event import BaseEvent
from domainstream.producer import verify_mapper

ALL: dict[type[BaseEvent[Any]], EventPublisherChannel | None] = {
    OptimizationEvaluated: EVALUATED,
    MedicalStayCreated: CREATED,
    MedicalStayDrafted: None,
}
PayloadT = TypeVar("PayloadT")


class GenericEvaluated(BaseEvent[PayloadT], Generic[PayloadT]):
    """An event class that leaves its payload open."""

    event_type = "domain_coding_optimization_evaluated"


def with_union(event: Union[OptimizationEvaluated, MedicalStayCreated, MedicalStayDrafted]) -> Channel | None:  # noqa: UP007
    """Map; annotated by `Union`."""
    return channel_for(event)


def with_optional(event: Optional[CodingEvent]) -> Channel | None:  # noqa: UP045
    """Map; annotated by an `Optional` of the union."""
    return channel_for(event) if event else None


def with_text(event: "CodingEvent") -> Channel | None:
    """Map; annotated by text."""
    return channel_for(event)


def with_more_parameters(event: CodingEvent, fallback: Channel | None = None) -> Channel | None:
    """Map; has a second parameter."""
    return channel_for(event) or fallback


def with_other_order(flags: dict[str, bool], event: CodingEvent) -> Channel | None:
    """Map; made a mapper by `partial`."""
    return channel_for(event) if flags else None


class Mapper:
    """Maps, with an attribute that is annotated too."""

    flags: dict[str, bool]

    def __call__(self, event: CodingEvent) -> Channel | None:
        """Map, as an object that is called."""
        return channel_for(event)

    def channel_for(self, event: CodingEvent) -> Channel | None:
        """Map, as a method."""
        return channel_for(event)


@pytest.mark.parametrize(
    "mapper",
    [
        channel_for,
        with_union,
        with_optional,
        with_text,
        with_more_parameters,
        partial(with_other_order, {"on": True}),
        Mapper(),
        Mapper().channel_for,
    ],
)
def test_events_are_those_of_the_annotation(mapper: Callable[[Any], EventPublisherChannel | None]) -> None:
    """A function, method, callable object or `partial` is verified for every class that its parameter names."""
    assert verify_mapper(mapper) == ALL


def test_annotation_may_be_a_type_alias() -> None:
    """What `type CodingEvent = A | B` makes is looked into, also where it stands inside of a union."""
    extensions = importlib.import_module("typing_extensions")
    alias = extensions.TypeAliasType("alias", OptimizationEvaluated | MedicalStayCreated)

    def mapper(event: Any) -> Channel | None:
        return channel_for(event)

    mapper.__annotations__["event"] = Union[alias, MedicalStayDrafted]  # noqa: UP007

    assert verify_mapper(mapper) == ALL


def test_service_may_have_a_single_event() -> None:
    """An annotation of one class is proven for that class."""

    def mapper(event: OptimizationEvaluated) -> Channel:
        assert isinstance(event, OptimizationEvaluated)
        return EVALUATED

    assert verify_mapper(mapper) == {OptimizationEvaluated: EVALUATED}


def test_service_may_publish_nothing() -> None:
    """`Never`, also behind an alias, says that there is nothing to prove anything about."""

    def mapper(event: Never) -> Channel | None:
        assert_never(event)

    assert verify_mapper(mapper) == {}
    alias = importlib.import_module("typing_extensions").TypeAliasType("alias", Never)
    assert verify_mapper(channel_for, alias) == {}


def test_generic_event_with_its_payload_counts_as_its_class() -> None:
    """`Event[Payload]` in a union is proven like any other class of it."""

    def mapper(event: GenericEvaluated[Evaluation] | MedicalStayDrafted) -> Channel | None:
        match event:
            case GenericEvaluated():
                return EVALUATED
            case MedicalStayDrafted():
                return None
            case _:
                assert_never(event)

    assert verify_mapper(mapper) == {GenericEvaluated: EVALUATED, MedicalStayDrafted: None}


@pytest.mark.parametrize(
    "events",
    [
        CodingEvent,
        (OptimizationEvaluated, MedicalStayCreated, MedicalStayDrafted),
        iter([OptimizationEvaluated, MedicalStayCreated | MedicalStayDrafted]),
        [OptimizationEvaluated, OptimizationEvaluated, MedicalStayCreated, MedicalStayDrafted],
    ],
)
def test_events_may_be_given(events: object) -> None:
    """A union or an iterable of classes takes the place of the annotation."""

    def mapper(event: Any) -> Channel | None:
        return channel_for(event)

    assert verify_mapper(mapper, events) == ALL


def test_given_events_go_before_the_annotation() -> None:
    """Event classes passed explicitly take precedence over the annotation."""
    assert verify_mapper(channel_for, MedicalStayDrafted) == {MedicalStayDrafted: None}


def test_order_is_that_of_the_union() -> None:
    """The mapping lists the classes as they were declared."""
    assert list(verify_mapper(channel_for)) == [OptimizationEvaluated, MedicalStayCreated, MedicalStayDrafted]


def test_mapper_may_look_its_classes_up() -> None:
    """A table of classes is as good as a `match`."""
    table: dict[type[BaseEvent[Any]], Channel | None] = {MedicalStayCreated: CREATED, MedicalStayDrafted: None}

    def mapper(event: MedicalStayCreated | MedicalStayDrafted) -> Channel | None:
        return table[type(event)]

    assert verify_mapper(mapper) == table


def test_members_may_come_from_several_enums() -> None:
    """The channel's value decides; that there is one enum in the system is the registry's to say."""

    class Another(EventPublisherChannel):
        DOMAIN_CODING_OPTIMIZATION_EVALUATED = "domain_coding_optimization_evaluated"

    class Mapping:
        def __call__(self, event: OptimizationEvaluated) -> EventPublisherChannel:
            assert event.aggregate_id
            return Another.DOMAIN_CODING_OPTIMIZATION_EVALUATED

    assert list(verify_mapper(Mapping())) == [OptimizationEvaluated]
