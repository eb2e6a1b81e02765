"""Puts the screenflow service together. Run it: `REDIS_URL=redis://localhost python -m screenflow.bootstrap`."""

import logging
from typing import NamedTuple

from contracts.process import start, stop_at_signals
from contracts.retention import RETENTION
from contracts.system import register
from domainstream import EventProducer
from domainstream.bootstrap import open_publisher, open_worker
from domainstream.producer import EventPublisher
from domainstream.worker import EventConsumer
from screenflow.domain_layer.screenflow_domain_event import ScreenflowDomainEvent
from screenflow.infrastructure_layer.consumers.screenflow_consumer import screenflow_consumer
from screenflow.infrastructure_layer.events.screenflow_event_producer.screenflow_event_producer_mapper import (
    channel_for,
)
from screenflow.infrastructure_layer.persistence.in_memory_runs import InMemoryRuns


class Screenflow(NamedTuple):
    """The parts of the service."""

    producer: EventProducer[ScreenflowDomainEvent]
    """Publishes the service's events."""

    runs: InMemoryRuns
    """The service's data."""

    consumer: EventConsumer
    """Handles events of other services."""


def wire(publisher: EventPublisher) -> Screenflow:
    """Return the service, publishing through `publisher`. Raises an error if it does not fit into the system."""
    register("screenflow", channel_for)
    producer = EventProducer(publisher, channel_for=channel_for, source="screenflow")
    runs = InMemoryRuns()
    return Screenflow(producer, runs, screenflow_consumer(producer, runs))


async def run() -> None:
    """Handle events until SIGTERM or Ctrl-C; running handlers are finished."""
    async with open_publisher(retention=RETENTION) as publisher:
        worker = open_worker(wire(publisher).consumer)
        stop_at_signals(worker.stop)
        await worker.run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    start(run())
