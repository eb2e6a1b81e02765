"""The domain events of a sample service, and a correct mapper for them."""

from enum import StrEnum
from typing import Any, assert_never, final

from support.channels import CREATED, EVALUATED, Channel

from domainstream.event import BaseEvent, EventPayload


class CodingEventType(StrEnum):
    """The types of the events below."""

    DOMAIN_CODING_OPTIMIZATION_EVALUATED = "domain_coding_optimization_evaluated"
    DOMAIN_CODING_MEDICAL_STAY_CREATED = "domain_coding_medical_stay_created"
    DOMAIN_CODING_MEDICAL_STAY_DRAFTED = "domain_coding_medical_stay_drafted"


class Evaluation(EventPayload):
    """The result of an optimization."""

    score: float


class Stay(EventPayload):
    """A medical stay."""

    stay_id: str


@final
class OptimizationEvaluated(BaseEvent[Evaluation]):
    """Goes to a channel."""

    event_type = CodingEventType.DOMAIN_CODING_OPTIMIZATION_EVALUATED


@final
class MedicalStayCreated(BaseEvent[Stay]):
    """Goes to another channel."""

    event_type = CodingEventType.DOMAIN_CODING_MEDICAL_STAY_CREATED


@final
class MedicalStayDrafted(BaseEvent[Stay]):
    """Stays inside the service."""

    event_type = CodingEventType.DOMAIN_CODING_MEDICAL_STAY_DRAFTED


CodingEvent = OptimizationEvaluated | MedicalStayCreated | MedicalStayDrafted


def channel_for(event: CodingEvent) -> Channel | None:
    """Map each event to its channel."""
    match event:
        case OptimizationEvaluated():
            return EVALUATED
        case MedicalStayCreated():
            return CREATED
        case MedicalStayDrafted():
            return None
        case _:
            assert_never(event)


def evaluated(score: float = 0.5, **fields: Any) -> OptimizationEvaluated:
    """Return an event that goes to `EVALUATED`."""
    return OptimizationEvaluated(aggregate_id="opt-1", payload=Evaluation(score=score), **fields)


def created(aggregate_id: str = "stay-1", **fields: Any) -> MedicalStayCreated:
    """Return an event that goes to `CREATED`."""
    return MedicalStayCreated(aggregate_id=aggregate_id, payload=Stay(stay_id="stay-1"), **fields)


def drafted(**fields: Any) -> MedicalStayDrafted:
    """Return an event that stays inside the service."""
    return MedicalStayDrafted(aggregate_id="stay-1", payload=Stay(stay_id="stay-1"), **fields)
