"""Puts the coding service together. Run it: `REDIS_URL=redis://localhost python -m coding.bootstrap [stays]`."""

import logging
import sys
from typing import NamedTuple

from coding.application_layer.hand_in_stays import hand_in_stays
from coding.domain_layer.coding_domain_event import CodingDomainEvent
from coding.infrastructure_layer.consumers.coding_consumer import coding_consumer
from coding.infrastructure_layer.events.coding_event_producer.coding_event_producer_mapper import channel_for
from coding.infrastructure_layer.persistence.in_memory_medical_stays import InMemoryMedicalStays
from coding.synthetic_stays import synthetic_stays
from contracts.process import start, stop_at_signals
from contracts.retention import RETENTION
from contracts.system import register
from domainstream import EventProducer
from domainstream.bootstrap import open_publisher, open_worker
from domainstream.producer import EventPublisher
from domainstream.worker import EventConsumer


class Coding(NamedTuple):
    """The parts of the service."""

    producer: EventProducer[CodingDomainEvent]
    """Publishes the service's events."""

    stays: InMemoryMedicalStays
    """The service's data."""

    consumer: EventConsumer
    """Handles events of other services."""


def wire(publisher: EventPublisher) -> Coding:
    """Return the service, publishing through `publisher`. Raises an error if it does not fit into the system."""
    register("coding", channel_for)
    producer = EventProducer(publisher, channel_for=channel_for, source="coding")
    stays = InMemoryMedicalStays()
    return Coding(producer, stays, coding_consumer(producer, stays))


async def run(stays: int) -> None:
    """Hand in `stays` stays, then handle events until SIGTERM or Ctrl-C; running handlers are finished."""
    async with open_publisher(retention=RETENTION) as publisher:
        coding = wire(publisher)
        worker = open_worker(coding.consumer)
        stop_at_signals(worker.stop)
        await hand_in_stays(list(synthetic_stays(stays, seed=1)), producer=coding.producer, known=coding.stays)
        await worker.run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    start(run(stays=int(sys.argv[1]) if sys.argv[1:] else 0))
