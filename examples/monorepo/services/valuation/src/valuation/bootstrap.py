"""Puts the valuation service together. Run it: `REDIS_URL=redis://localhost python -m valuation.bootstrap`."""

import asyncio
import os
from typing import NamedTuple

from domainstream import EventProducer, RedisStreamPublisherClient
from domainstream.producer import EventPublisher
from domainstream.worker import EventConsumer, EventWorker
from valuation.domain_layer.valuation_domain_event import ValuationDomainEvent
from valuation.infrastructure_layer.consumers.valuation_consumer import valuation_consumer
from valuation.infrastructure_layer.events.valuation_event_producer.valuation_event_producer_mapper import channel_for


class Valuation(NamedTuple):
    """The parts of the service.

    Attributes:
        producer: Where its events go out.

        consumer: Where others' events come in.
    """

    producer: EventProducer[ValuationDomainEvent]
    consumer: EventConsumer


def wire(publisher: EventPublisher) -> Valuation:
    """Return the service, publishing through `publisher`."""
    producer = EventProducer(publisher, channel_for=channel_for, source="valuation")
    return Valuation(producer, valuation_consumer(producer))


async def run(url: str) -> None:
    """Handle events until cancelled."""
    async with RedisStreamPublisherClient.from_url(url) as client:
        await EventWorker.from_url(url, wire(client).consumer).run()


if __name__ == "__main__":
    asyncio.run(run(os.environ["REDIS_URL"]))
