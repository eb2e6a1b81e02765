"""The programs between which latency is measured: `python -m benchmarks.children ROLE URL COUNT`.

Each says when it is ready. Those that handle print the median and the 99th percentile in milliseconds after COUNT
events; an event's age is counted from when it was made, which its publisher did right before publishing.
"""

import asyncio
import logging
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import datetime

import msgspec
from faststream import FastStream
from faststream.redis import RedisBroker, StreamSub

from benchmarks.sample import EVENT_TYPE, Channel, OptimizationEvaluated, PeerEvent
from domainstream.subscriber import RedisBullMQStreamSubscriber, create_multiple_handlers, to_queue
from domainstream.worker import EventConsumer, EventContext, EventWorker

WARM_UP = 0.1
"""The part of the events, from the first on, that is not counted."""


class Ages:
    """Collects the ages of events and prints what they come to."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._ages: list[float] = []

    def add(self, made: datetime) -> None:
        """Note an event that was made at `made`."""
        self._ages.append((time.time() - made.timestamp()) * 1000)
        if len(self._ages) == self._count:
            counted = self._ages[int(self._count * WARM_UP) :]
            p99 = statistics.quantiles(counted, n=100)[-1]
            say(msgspec.json.encode((statistics.median(counted), p99)).decode())


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


async def subscriber(url: str, _: int) -> None:
    """Carry events to the queue."""
    handlers = [to_queue("valuation", job="price-stay")]
    subscriptions = create_multiple_handlers({Channel.DOMAIN_CODING_OPTIMIZATION_EVALUATED: handlers})
    async with RedisBullMQStreamSubscriber.from_url(url, group="bench", subscriptions=subscriptions) as program:
        say("ready")
        await program.run()


async def worker(url: str, count: int) -> None:
    """Handle the queue's jobs."""
    consumer, ages = EventConsumer("valuation"), Ages(count)

    @consumer.on(OptimizationEvaluated)
    async def handle(event: OptimizationEvaluated, _: EventContext) -> None:
        ages.add(event.occurred_at)

    say("ready")
    await EventWorker.from_url(url, consumer).run()


async def peer(url: str, count: int) -> None:
    """Handle the stream's entries with FastStream."""
    broker, ages = RedisBroker(url, logger=logging.getLogger("peer")), Ages(count)

    @broker.subscriber(stream=StreamSub(EVENT_TYPE, group="bench", consumer="peer"))
    async def handle(event: PeerEvent) -> None:
        ages.add(event.time)

    app = FastStream(broker, logger=None)

    @app.after_startup
    async def ready() -> None:
        say("ready")

    await app.run()


ROLES: dict[str, Callable[[str, int], Awaitable[None]]] = {"subscriber": subscriber, "worker": worker, "peer": peer}

if __name__ == "__main__":
    role, url, count = sys.argv[1:]
    asyncio.run(ROLES[role](url, int(count)))  # type: ignore[arg-type]
