"""Puts the coding service together. Run it: `python -m coding.bootstrap [stays]`, with REDIS_URL and DATABASE_URL.

Its relay is a process of its own: `domainstream run relay coding.bootstrap:outbox`.
"""

import logging
import sys
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from coding.application_layer.hand_in_stays import hand_in_stays
from coding.domain_layer.coding_domain_event import CodingDomainEvent
from coding.infrastructure_layer.consumers.coding_consumer import coding_consumer
from coding.infrastructure_layer.events.coding_event_producer.coding_event_producer_mapper import channel_for
from coding.infrastructure_layer.events.coding_outbox import outbox
from coding.infrastructure_layer.persistence.database import open_database
from coding.synthetic_stays import synthetic_stays
from contracts.process import start, stop_at_signals
from contracts.system import register
from domainstream.bootstrap import open_worker
from domainstream.outbox import Outbox
from domainstream.worker import EventConsumer


class Coding(NamedTuple):
    """The parts of the service."""

    outbox: Outbox[CodingDomainEvent]
    """Stores the service's events."""

    sessions: async_sessionmaker[AsyncSession]
    """Make the sessions of its transactions."""

    consumer: EventConsumer
    """Handles events of other services."""


def wire(outbox: Outbox[CodingDomainEvent], engine: AsyncEngine) -> Coding:
    """Return the service on the database of `engine`. Raises an error if it does not fit into the system."""
    register("coding", channel_for)
    sessions = async_sessionmaker(engine)
    return Coding(outbox, sessions, coding_consumer(outbox, sessions))


async def run(stays: int) -> None:
    """Hand in `stays` stays, then handle events until SIGTERM or Ctrl-C; running handlers are finished."""
    async with open_database() as engine:
        coding = wire(outbox, engine)
        worker = open_worker(coding.consumer)
        stop_at_signals(worker.stop)
        await hand_in_stays(list(synthetic_stays(stays, seed=1)), outbox=coding.outbox, sessions=coding.sessions)
        await worker.run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    start(run(stays=int(sys.argv[1]) if sys.argv[1:] else 0))
