"""For a mapper without a case for an event, type checkers name the event's class."""

from typing import assert_never, final

from domainstream import BaseEvent, EventPayload, EventPublisherChannel


class Channel(EventPublisherChannel):
    DOMAIN_CODING_OPTIMIZATION_EVALUATED = "domain_coding_optimization_evaluated"
    DOMAIN_CODING_OPTIMIZATION_REJECTED = "domain_coding_optimization_rejected"


class Payload(EventPayload):
    stay_id: str


@final
class OptimizationEvaluated(BaseEvent[Payload]):
    event_type = Channel.DOMAIN_CODING_OPTIMIZATION_EVALUATED


@final
class OptimizationRejected(BaseEvent[Payload]):
    event_type = Channel.DOMAIN_CODING_OPTIMIZATION_REJECTED


@final
class MedicalStayDrafted(BaseEvent[Payload]):
    event_type = "domain_coding_medical_stay_drafted"


CodingDomainEvent = OptimizationEvaluated | OptimizationRejected | MedicalStayDrafted


def channel_for(event: CodingDomainEvent) -> Channel | None:
    match event:
        case OptimizationEvaluated():
            return Channel.DOMAIN_CODING_OPTIMIZATION_EVALUATED
        case MedicalStayDrafted():
            return None
        case _:
            # expect-mypy: has incompatible type "OptimizationRejected"
            # expect-pyright: Type "OptimizationRejected" is not assignable to type "Never"
            assert_never(event)
