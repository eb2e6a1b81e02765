"""A worker of one queue, in Python, whose handlers write down in which order they begin and end, and often fail."""

import asyncio
import random
import signal
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from faults.children.subscriber import QUEUES
from faults.ledger import Ledger
from support.consuming import OptimizationEvaluated, PricingCalculated

from domainstream.worker import EventConsumer, EventContext, EventWorker
from domainstream.worker.settings import WorkerSettings

TURNS: Final = "turns"
"""The file of all handlers, in both languages: `begun`, `failed` or `done`, and the event's id."""

CALM: Final = "calm"
"""Once the ledger has this file, no handler fails any more."""


@dataclass(frozen=True, kw_only=True)
class KeyedWorkerOrder:
    """The options of such a worker."""

    url: str
    """The server."""

    ledger: Ledger
    """Where handlers write."""

    failing: float = 0.2
    """Which part of the attempts fails."""

    longest: float = 0.01
    """The seconds that a handler takes at most."""

    concurrency: int = 20
    """Handlers at a time."""


def run_keyed_worker(order: KeyedWorkerOrder) -> None:
    """Run until killed, or until SIGTERM."""
    asyncio.run(_run(order))


async def _run(order: KeyedWorkerOrder) -> None:
    consumer = EventConsumer(QUEUES[1])

    @consumer.on(OptimizationEvaluated, PricingCalculated)
    async def handle(event: OptimizationEvaluated | PricingCalculated, _: EventContext) -> None:
        order.ledger.note(TURNS, f"begun {event.id}")
        await asyncio.sleep(random.random() * order.longest)
        if random.random() < order.failing and not (order.ledger.folder / CALM).exists():
            order.ledger.note(TURNS, f"failed {event.id}")
            raise ValueError("an attempt that fails")
        order.ledger.note(TURNS, f"done {event.id}")

    settings = WorkerSettings(
        lock=timedelta(seconds=1), stalled_interval=timedelta(milliseconds=500), max_stalled=1_000
    )
    worker = EventWorker.from_url(order.url, consumer, concurrency=order.concurrency, settings=settings)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    await worker.run()
