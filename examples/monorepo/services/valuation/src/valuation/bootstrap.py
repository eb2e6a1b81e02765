"""Puts the valuation service together. Run it: `REDIS_URL=redis://localhost python -m valuation.bootstrap`."""

import logging
from typing import NamedTuple

from contracts.process import start, stop_at_signals
from contracts.retention import RETENTION
from contracts.system import register
from domainstream import EventProducer
from domainstream.bootstrap import open_publisher, open_worker
from domainstream.producer import EventPublisher
from domainstream.worker import EventConsumer
from valuation.domain_layer.valuation_domain_event import ValuationDomainEvent
from valuation.infrastructure_layer.consumers.valuation_consumer import valuation_consumer
from valuation.infrastructure_layer.events.valuation_event_producer.valuation_event_producer_mapper import channel_for


class Valuation(NamedTuple):
    """The parts of the service."""

    producer: EventProducer[ValuationDomainEvent]
    """Publishes the service's events."""

    consumer: EventConsumer
    """Handles events of other services."""


def wire(publisher: EventPublisher) -> Valuation:
    """Return the service, publishing through `publisher`. Raises an error if it does not fit into the system."""
    register("valuation", channel_for)
    producer = EventProducer(publisher, channel_for=channel_for, source="valuation")
    return Valuation(producer, valuation_consumer(producer))


async def run() -> None:
    """Handle events until SIGTERM or Ctrl-C; running handlers are finished."""
    async with open_publisher(retention=RETENTION) as publisher:
        worker = open_worker(wire(publisher).consumer)
        stop_at_signals(worker.stop)
        await worker.run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    start(run())
