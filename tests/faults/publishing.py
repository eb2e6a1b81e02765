"""Publishes for the fault tests, and records in the ledger what the server acknowledged."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Final, assert_never

from faults.ledger import PUBLISHED, REFUSED, UNCERTAIN, Ledger
from support.consuming import (
    CALCULATED,
    EVALUATED,
    Channel,
    OptimizationEvaluated,
    PricingCalculated,
    calculated,
    evaluated,
)

from domainstream import EventProducer, Outcome, PublishError, Receipt, RedisStreamPublisherClient

Event = OptimizationEvaluated | PricingCalculated

BATCH: Final = 20
PAUSE: Final = 0.02
"""Events of a batch, and seconds between batches, of a publisher that runs continuously."""


def channel_for(event: Event) -> Channel | None:
    """Map both events to their channels."""
    match event:
        case OptimizationEvaluated():
            return EVALUATED
        case PricingCalculated():
            return CALCULATED
        case _:
            assert_never(event)


def events(count: int) -> Iterable[Event]:
    """Return events for both channels in turn."""
    return (calculated() if number % 2 else evaluated() for number in range(count))


class Publisher:
    """Publishes, and records every outcome."""

    def __init__(self, client: RedisStreamPublisherClient, ledger: Ledger) -> None:
        self._producer = EventProducer(client, channel_for=channel_for, source="coding")
        self._ledger = ledger

    async def publish(self, count: int, batch: int = 500) -> None:
        """Publish `count` events in order, batch by batch."""
        left = iter(events(count))
        while some := list(islice(left, batch)):
            await self.publish_all(some)

    async def publish_all(self, some: Sequence[Event]) -> None:
        """Publish events and record the outcome of each; a failed one is not an error here."""
        try:
            receipts = await self._producer.publish_many(some)
        except PublishError as error:
            receipts = list(error.receipts)
        self._note(receipts)

    def _note(self, receipts: Iterable[Receipt]) -> None:
        lines: dict[str, list[str]] = {PUBLISHED: [], UNCERTAIN: [], REFUSED: []}
        for receipt in receipts:
            if receipt.outcome is Outcome.PUBLISHED:
                lines[PUBLISHED].append(f"{receipt.channel} {receipt.event_id}")
            else:
                kind = UNCERTAIN if receipt.outcome is Outcome.UNKNOWN else REFUSED
                lines[kind].append(f"{receipt.event_id} {type(receipt.error).__name__}")
        for kind, some in lines.items():
            if some:
                self._ledger.note(kind, *some)


@asynccontextmanager
async def publishing(url: str, ledger: Ledger, *, prefix: str = "") -> AsyncIterator[None]:
    """Publish continuously during the block."""

    async def publish() -> None:
        async with RedisStreamPublisherClient.from_url(url, prefix=prefix) as client:
            publisher = Publisher(client, ledger)
            while not over.is_set():
                await publisher.publish_all(list(events(BATCH)))
                await asyncio.sleep(PAUSE)

    over = asyncio.Event()
    task = asyncio.create_task(publish())
    try:
        yield
    finally:
        over.set()
        await task
