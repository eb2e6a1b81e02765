"""The mapper of the publisher guide, transcribed with its mistakes: the start-up check finds the wrong channel."""

from enum import StrEnum
from typing import assert_never, final

import pytest

from domainstream.channel import EventPublisherChannel
from domainstream.errors import MapperError
from domainstream.event import BaseEvent
from domainstream.producer import EventProducer, verify_mapper
from domainstream.publisher import MemoryPublisher


class Channel(EventPublisherChannel):
    """The guide's channels, and the one that only its mapper knows."""

    DOMAIN_CODING_OPTIMIZATION_EVALUATED = "domain_coding_optimization_evaluated"
    DOMAIN_CODING_MEDICAL_STAY_OPTIMIZATION_EVALUATED = "domain_coding_medical_stay_optimization_evaluated"
    DOMAIN_CODING_MEDICAL_STAY_CREATED = "domain_coding_medical_stay_created"
    DOMAIN_CODING_ORCHESTRATOR_RE_EVALUATED_FROM_IGNORED = "domain_coding_orchestrator_re_evaluated_from_ignored"


class OptimizationEventType(StrEnum):
    """The event types of the optimization."""

    DOMAIN_CODING_OPTIMIZATION_EVALUATED = "domain_coding_optimization_evaluated"


class MedicalStayEventType(StrEnum):
    """The event types of the medical stay."""

    DOMAIN_CODING_MEDICAL_STAY_OPTIMIZATION_EVALUATED = "domain_coding_medical_stay_optimization_evaluated"


@final
class OptimizationEvaluatedEvent(BaseEvent[None]):
    """An optimization was evaluated."""

    event_type = OptimizationEventType.DOMAIN_CODING_OPTIMIZATION_EVALUATED


@final
class MedicalStayOptimizationEvaluatedEvent(BaseEvent[None]):
    """The optimization of a medical stay was evaluated."""

    event_type = MedicalStayEventType.DOMAIN_CODING_MEDICAL_STAY_OPTIMIZATION_EVALUATED


CodingDomainEvent = OptimizationEvaluatedEvent | MedicalStayOptimizationEvaluatedEvent


def get_channel_name_for_event(event: CodingDomainEvent) -> EventPublisherChannel:
    """Map as the guide does."""
    match event:
        case OptimizationEvaluatedEvent():
            return Channel.DOMAIN_CODING_OPTIMIZATION_EVALUATED
        case MedicalStayOptimizationEvaluatedEvent():
            return Channel.DOMAIN_CODING_ORCHESTRATOR_RE_EVALUATED_FROM_IGNORED
        case _:
            assert_never(event)


class GuideChannel(EventPublisherChannel):
    """The guide's channels, as it shows them."""

    DOMAIN_CODING_OPTIMIZATION_EVALUATED = "domain_coding_optimization_evaluated"
    DOMAIN_CODING_MEDICAL_STAY_OPTIMIZATION_EVALUATED = "domain_coding_medical_stay_optimization_evaluated"
    DOMAIN_CODING_MEDICAL_STAY_CREATED = "domain_coding_medical_stay_created"


def get_channel_name_from_guides_enum(event: CodingDomainEvent) -> EventPublisherChannel:
    """Map as the guide does, over the enum that it shows."""
    match event:
        case OptimizationEvaluatedEvent():
            return GuideChannel.DOMAIN_CODING_OPTIMIZATION_EVALUATED
        case MedicalStayOptimizationEvaluatedEvent():
            return GuideChannel.DOMAIN_CODING_ORCHESTRATOR_RE_EVALUATED_FROM_IGNORED  # type: ignore[attr-defined, no-any-return]
        case _:
            assert_never(event)


def test_guides_mapper_is_refused_for_the_channel_of_another_event() -> None:
    """The event that goes to another one's channel is named, with the channel it should go to."""
    with pytest.raises(MapperError) as refusal:
        verify_mapper(get_channel_name_for_event)

    (problem,) = refusal.value.problems
    assert problem.startswith("MedicalStayOptimizationEvaluatedEvent has the type 'domain_coding_medical_stay_")
    assert "is mapped to DOMAIN_CODING_ORCHESTRATOR_RE_EVALUATED_FROM_IGNORED" in problem
    assert problem.endswith("map it to DOMAIN_CODING_MEDICAL_STAY_OPTIMIZATION_EVALUATED")


def test_guides_mapper_is_refused_for_a_channel_that_its_enum_does_not_have() -> None:
    """The event is named, with the channel that does not exist."""
    with pytest.raises(MapperError) as refusal:
        verify_mapper(get_channel_name_from_guides_enum)

    (problem,) = refusal.value.problems
    assert problem.startswith("MedicalStayOptimizationEvaluatedEvent makes the mapper raise AttributeError")
    assert "DOMAIN_CODING_ORCHESTRATOR_RE_EVALUATED_FROM_IGNORED" in problem


def test_no_producer_is_made_with_the_guides_mapper() -> None:
    """A producer with a wrong mapper cannot be created."""
    with pytest.raises(MapperError):
        EventProducer(MemoryPublisher(), channel_for=get_channel_name_for_event, source="coding")
