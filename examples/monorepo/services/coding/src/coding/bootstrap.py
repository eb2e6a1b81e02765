"""Puts the coding service together. Run it: `REDIS_URL=redis://localhost python -m coding.bootstrap`."""

import asyncio
import os
from typing import NamedTuple

from coding.domain_layer.coding_domain_event import CodingDomainEvent
from coding.infrastructure_layer.consumers.coding_consumer import coding_consumer
from coding.infrastructure_layer.events.coding_event_producer.coding_event_producer_mapper import channel_for
from coding.infrastructure_layer.persistence.in_memory_medical_stays import InMemoryMedicalStays
from domainstream import EventProducer, RedisStreamPublisherClient
from domainstream.producer import EventPublisher
from domainstream.worker import EventConsumer, EventWorker


class Coding(NamedTuple):
    """The parts of the service.

    Attributes:
        producer: Where its events go out.

        stays: What it knows.

        consumer: Where others' events come in.
    """

    producer: EventProducer[CodingDomainEvent]
    stays: InMemoryMedicalStays
    consumer: EventConsumer


def wire(publisher: EventPublisher) -> Coding:
    """Return the service, publishing through `publisher`."""
    producer = EventProducer(publisher, channel_for=channel_for, source="coding")
    stays = InMemoryMedicalStays()
    return Coding(producer, stays, coding_consumer(producer, stays))


async def run(url: str) -> None:
    """Handle events until cancelled."""
    async with RedisStreamPublisherClient.from_url(url) as client:
        await EventWorker.from_url(url, wire(client).consumer).run()


if __name__ == "__main__":
    asyncio.run(run(os.environ["REDIS_URL"]))
