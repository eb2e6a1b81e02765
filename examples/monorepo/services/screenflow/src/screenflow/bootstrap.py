"""Puts the screenflow service together. Run it: `REDIS_URL=redis://localhost python -m screenflow.bootstrap`."""

import asyncio
import os
from typing import NamedTuple

from domainstream import EventProducer, RedisStreamPublisherClient
from domainstream.producer import EventPublisher
from domainstream.worker import EventConsumer, EventWorker
from screenflow.domain_layer.screenflow_domain_event import ScreenflowDomainEvent
from screenflow.infrastructure_layer.consumers.screenflow_consumer import screenflow_consumer
from screenflow.infrastructure_layer.events.screenflow_event_producer.screenflow_event_producer_mapper import (
    channel_for,
)
from screenflow.infrastructure_layer.persistence.in_memory_runs import InMemoryRuns


class Screenflow(NamedTuple):
    """The parts of the service.

    Attributes:
        producer: Where its events go out.

        runs: What it knows.

        consumer: Where others' events come in.
    """

    producer: EventProducer[ScreenflowDomainEvent]
    runs: InMemoryRuns
    consumer: EventConsumer


def wire(publisher: EventPublisher) -> Screenflow:
    """Return the service, publishing through `publisher`."""
    producer = EventProducer(publisher, channel_for=channel_for, source="screenflow")
    runs = InMemoryRuns()
    return Screenflow(producer, runs, screenflow_consumer(producer, runs))


async def run(url: str) -> None:
    """Handle events until cancelled."""
    async with RedisStreamPublisherClient.from_url(url) as client:
        await EventWorker.from_url(url, wire(client).consumer).run()


if __name__ == "__main__":
    asyncio.run(run(os.environ["REDIS_URL"]))
