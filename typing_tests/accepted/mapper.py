"""A mapper with a case for every event, and a producer that only accepts these events."""

from typing import assert_never, assert_type, final

from domainstream import BaseEvent, EventProducer, EventPublisherChannel, MemoryPublisher, Receipt, verify_mapper
from domainstream.event import EventPayload


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
        case OptimizationRejected():
            return Channel.DOMAIN_CODING_OPTIMIZATION_REJECTED
        case MedicalStayDrafted():
            return None
        case _:
            assert_never(event)


async def publish() -> None:
    verify_mapper(channel_for)
    producer = EventProducer(MemoryPublisher(), channel_for=channel_for, source="coding")
    event = OptimizationEvaluated(aggregate_id="opt-1", payload=Payload(stay_id="stay-1"))
    assert_type(await producer.publish(event), Receipt)
    await producer.publish_many([event, MedicalStayDrafted(aggregate_id="stay-1", payload=event.payload)])
