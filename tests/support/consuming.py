"""What the tests of the consuming half share: channels, events, and the ways into streams and out of queues."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, final

from redis.asyncio import Redis

from domainstream.channel import EventPublisherChannel
from domainstream.event import BaseEvent, EventEncoder, EventPayload
from domainstream.stream import Delivery
from domainstream.subscriber import Subscriptions, create_multiple_handlers, to_queue

GROUP = "domain-events"
PATIENCE = 30.0
"""Seconds until a test stops waiting for what should happen at once."""


class Channel(EventPublisherChannel):
    """Two channels, one of which nobody listens to in most tests."""

    DOMAIN_CODING_OPTIMIZATION_EVALUATED = "domain_coding_optimization_evaluated"
    DOMAIN_VALUATION_PRICING_CALCULATED = "domain_valuation_pricing_calculated"


class EventType(StrEnum):
    """The types of the events below."""

    EVALUATED = "domain_coding_optimization_evaluated"
    CALCULATED = "domain_valuation_pricing_calculated"


class EvaluatedPayload(EventPayload):
    """What an optimization came to."""

    score: float


@final
class OptimizationEvaluated(BaseEvent[EvaluatedPayload]):
    """An event that has a handler in most tests."""

    event_type = EventType.EVALUATED


class CalculatedPayload(EventPayload):
    """What a pricing came to."""

    price: int


@final
class PricingCalculated(BaseEvent[CalculatedPayload]):
    """An event that has no handler in most tests."""

    event_type = EventType.CALCULATED


EVALUATED = Channel.DOMAIN_CODING_OPTIMIZATION_EVALUATED
CALCULATED = Channel.DOMAIN_VALUATION_PRICING_CALCULATED


def evaluated(**fields: Any) -> OptimizationEvaluated:
    """Return an event whose fields do not matter, but for those given."""
    return OptimizationEvaluated(**{"aggregate_id": "opt-1", "payload": EvaluatedPayload(score=0.5), **fields})


def calculated() -> PricingCalculated:
    """Return an event of the channel that nobody listens to."""
    return PricingCalculated(aggregate_id="price-1", payload=CalculatedPayload(price=7))


def message(event: BaseEvent[Any]) -> bytes:
    """Return an event as it stands in a stream's entry."""
    return EventEncoder("coding").encode(event)


def delivery(event: BaseEvent[Any], entry_id: str = "1700000000123-0") -> Delivery:
    """Return an event as a reader delivers it."""
    return Delivery(str(event.event_type), entry_id, message(event))


def subscriptions_of(queue: str) -> Subscriptions:
    """Subscribe one queue to the evaluated channel, and nobody to the other."""
    return create_multiple_handlers({EVALUATED: [to_queue(queue, job="price-stay")], CALCULATED: []})


async def until(condition: Callable[[], Any], *, patience: float = PATIENCE) -> Any:
    """Wait until `condition`, a function or coroutine function, is true, and return what it says."""
    async with asyncio.timeout(patience):
        while True:
            value = condition()
            value = await value if asyncio.iscoroutine(value) else value
            if value:
                return value
            await asyncio.sleep(0.005)


class Stubborn:
    """Handlers that ignore every cancellation until they are asked to give in."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        """Set when a handler has begun."""
        self.give_in = asyncio.Event()
        """Set it to let the handlers end."""
        self.begun = self.cancellations = 0

    async def handle(self, *_: Any) -> None:
        """Wait, whatever comes."""
        self.begun += 1
        self.started.set()
        while not self.give_in.is_set():
            try:
                await self.give_in.wait()
            except asyncio.CancelledError:
                self.cancellations += 1


@asynccontextmanager
async def running(program: Any) -> AsyncIterator[asyncio.Task[None]]:
    """Run a subscriber or worker for the time of the block, then close it."""
    task: asyncio.Task[None] = asyncio.create_task(program.run())
    try:
        yield task
    finally:
        async with asyncio.timeout(PATIENCE):
            await program.close()
            await asyncio.wait([task])
    task.result()


class Streams:
    """The streams of one test on a real server."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self.redis = redis
        self.prefix = prefix

    def key(self, channel: str) -> str:
        """Return the key of a channel's stream."""
        return f"{self.prefix}{channel}"

    async def add(self, event: BaseEvent[Any], entry_id: str = "*") -> str:
        """Put an event into the stream of its channel and return the entry's id, by default one of the server."""
        added: Any = await self.redis.xadd(self.key(str(event.event_type)), {"data": message(event)}, id=entry_id)
        return str(added.decode())

    async def add_data(self, channel: str, **fields: bytes) -> str:
        """Put an entry with these fields into a stream and return its id."""
        values: dict[Any, Any] = {**fields}
        entry_id: Any = await self.redis.xadd(self.key(channel), values)
        return str(entry_id.decode())

    async def pending(self, channel: str, group: str = GROUP) -> int:
        """Return how many entries the group has not acknowledged."""
        summary: Any = await self.redis.xpending(self.key(channel), group)
        return int(summary["pending"])

    async def dead(self, channel: str) -> list[dict[bytes, bytes]]:
        """Return the fields of the channel's dead letters."""
        entries: Any = await self.redis.xrange(f"{self.key(channel)}:dead")
        return [fields for _, fields in entries]


class BullJobs:
    """The jobs of one BullMQ queue of a test, as they stand in Redis."""

    def __init__(self, redis: Redis, prefix: str, queue: str) -> None:
        self.redis = redis
        self.key = f"{prefix}:{queue}"

    async def ids(self, state: str = "wait") -> list[str]:
        """Return the ids of the jobs in a state, oldest first."""
        key = f"{self.key}:{state}"
        if state in ("wait", "active"):
            found: Any = await self.redis.lrange(key, 0, -1)
            return [job.decode() for job in reversed(found)]
        found = await self.redis.zrange(key, 0, -1)
        return [job.decode() for job in found]

    async def fields(self, job_id: str) -> dict[str, bytes]:
        """Return what BullMQ keeps of a job."""
        found: Any = await self.redis.hgetall(f"{self.key}:{job_id}")
        return {name.decode(): value for name, value in found.items()}
