"""Puts the billing service together. Run it: `REDIS_URL=redis://localhost python -m billing.bootstrap`."""

import logging
from typing import NamedTuple

from billing.infrastructure_layer.consumers.billing_consumer import billing_consumer
from billing.infrastructure_layer.persistence.in_memory_bills import InMemoryBills
from contracts.process import start, stop_at_signals
from domainstream.bootstrap import open_worker
from domainstream.worker import EventConsumer


class Billing(NamedTuple):
    """The parts of the service, which publishes no events."""

    bills: InMemoryBills
    """The service's data."""

    consumer: EventConsumer
    """Handles events of other services."""


def wire() -> Billing:
    """Return the service."""
    bills = InMemoryBills()
    return Billing(bills, billing_consumer(bills))


async def run() -> None:
    """Handle events until SIGTERM or Ctrl-C; running handlers are finished."""
    worker = open_worker(wire().consumer)
    stop_at_signals(worker.stop)
    await worker.run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    start(run())
