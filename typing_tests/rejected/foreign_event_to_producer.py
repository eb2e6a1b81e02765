"""A producer only accepts events of its own service."""

from domainstream import BaseEvent, EventPayload, EventProducer, EventPublisherChannel, MemoryPublisher


class Channel(EventPublisherChannel):
    DOMAIN_CODING_OPTIMIZATION_EVALUATED = "domain_coding_optimization_evaluated"


class Payload(EventPayload):
    score: float


class Evaluated(BaseEvent[Payload]):
    event_type = Channel.DOMAIN_CODING_OPTIMIZATION_EVALUATED


class PricingCalculated(BaseEvent[Payload]):
    event_type = "domain_valuation_pricing_calculated"


def channel_for(event: Evaluated) -> Channel | None:
    return Channel.DOMAIN_CODING_OPTIMIZATION_EVALUATED


producer = EventProducer(MemoryPublisher(), channel_for=channel_for, source="coding")


async def publish(foreign: PricingCalculated) -> None:
    # expect-mypy: incompatible type "PricingCalculated"; expected "Evaluated"
    # expect-pyright: "PricingCalculated" is not assignable to "Evaluated"
    await producer.publish(foreign)
