"""The jobs of one key are handled one after the other, from streams to handlers."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from bullmq import Job, Queue
from redis.asyncio import Redis
from support.consuming import (
    CALCULATED,
    EVALUATED,
    GROUP,
    CalculatedPayload,
    OptimizationEvaluated,
    PricingCalculated,
    Streams,
    evaluated,
    running,
    until,
)

from domainstream.event import BaseEvent
from domainstream.queue import JobSettings
from domainstream.subscriber import AGGREGATE, RedisBullMQStreamSubscriber, create_multiple_handlers, to_queue
from domainstream.worker import EventConsumer, EventWorker, GiveUp

QUEUE = "billing"
SOON = JobSettings(priority=1, attempts=3, backoff=timedelta(milliseconds=20), jitter=0)
"""Settings with which a handler's failures take no long time."""


class Billing:
    """A consumer that fails as a test says, and what it has handled of each aggregate."""

    def __init__(self) -> None:
        self.consumer = EventConsumer(QUEUE)
        self.handled: dict[str, list[str]] = defaultdict(list)
        """The ids of handled events, by aggregate."""
        self.fails: dict[str, int] = {}
        """How often the handler of an event fails before it succeeds, by the event's id."""
        self.gives_up: set[str] = set()
        """The events that fail permanently."""
        for event_class in (OptimizationEvaluated, PricingCalculated):
            self.consumer.on(event_class)(self.bill)

    async def bill(self, event: BaseEvent[Any], _: Any) -> None:
        """Handle an event."""
        if event.id in self.gives_up:
            raise GiveUp("no price")
        self.fails[event.id] = self.fails.get(event.id, 0) - 1
        await asyncio.sleep(0)
        if self.fails[event.id] >= 0:
            raise RuntimeError("not yet")
        self.handled[event.aggregate_id].append(event.id)


def subscriber_of(redis_url: str, streams: Streams, bull_prefix: str, **order: Any) -> RedisBullMQStreamSubscriber:
    """Return a subscriber of two channels with one queue."""
    handler = to_queue(QUEUE, job="bill", settings=SOON, **order)
    return RedisBullMQStreamSubscriber.from_url(
        redis_url,
        group=GROUP,
        subscriptions=create_multiple_handlers({EVALUATED: [handler], CALCULATED: [handler]}),
        prefix=streams.prefix,
        bull_prefix=bull_prefix,
    )


@asynccontextmanager
async def billing(redis_url: str, streams: Streams, bull_prefix: str, **order: Any) -> AsyncIterator[Billing]:
    """Run a subscriber and a worker of its queue."""
    consumer = Billing()
    worker = EventWorker.from_url(redis_url, consumer.consumer, bull_prefix=bull_prefix)
    async with running(subscriber_of(redis_url, streams, bull_prefix, **order)), running(worker):
        yield consumer


async def publish(
    streams: Streams, consumer: Billing, *, aggregates: int = 5, events: int = 20
) -> dict[str, list[str]]:
    """Publish events of several aggregates, of which every third fails twice; return their ids by aggregate."""
    published = {
        f"stay-{number}": [evaluated(aggregate_id=f"stay-{number}") for _ in range(events)]
        for number in range(aggregates)
    }
    for row in zip(*published.values(), strict=True):
        for event in row:
            consumer.fails[event.id] = 2 if len(consumer.fails) % 3 == 0 else 0
            await streams.add(event)
    return {aggregate: [event.id for event in events] for aggregate, events in published.items()}


async def test_events_of_an_aggregate_are_handled_in_order(redis_url: str, streams: Streams, bull_prefix: str) -> None:
    """Although handlers fail and are tried again, each event is handled after those of its aggregate before it."""
    async with billing(redis_url, streams, bull_prefix, order_by=AGGREGATE) as consumer:
        published = await publish(streams, consumer)
        await until(lambda: sum(map(len, consumer.handled.values())) == 100)
    assert consumer.handled == published


async def test_without_a_rule_they_are_not(redis_url: str, streams: Streams, bull_prefix: str) -> None:
    """Control: what fails comes after its successors."""
    async with billing(redis_url, streams, bull_prefix) as consumer:
        published = await publish(streams, consumer)
        await until(lambda: sum(map(len, consumer.handled.values())) == 100)
    assert consumer.handled != published


@pytest.mark.parametrize("on_failure", ["hold", "skip"])
async def test_what_fails_permanently_holds_its_aggregate_or_is_skipped(
    redis_url: str, streams: Streams, bull_prefix: str, on_failure: str
) -> None:
    """Other aggregates go on in any case."""
    events = [evaluated() for _ in range(3)]
    other = evaluated(aggregate_id="stay-2")
    async with billing(redis_url, streams, bull_prefix, order_by=AGGREGATE, on_failure=on_failure) as consumer:
        consumer.gives_up.add(events[0].id)
        for event in (*events, other):
            await streams.add(event)
        await until(lambda: consumer.handled["stay-2"])
        if on_failure == "skip":
            await until(lambda: len(consumer.handled["opt-1"]) == 2)
    assert consumer.handled["opt-1"] == ([event.id for event in events[1:]] if on_failure == "skip" else [])


async def test_job_that_was_removed_lets_the_next_one_pass(
    redis_url: str, streams: Streams, bull_prefix: str, redis: Redis
) -> None:
    """When a person removes the failed job, the rest goes on in order."""
    events = [evaluated() for _ in range(3)]
    queue = Queue(QUEUE, {"connection": redis_url, "prefix": bull_prefix})
    async with billing(redis_url, streams, bull_prefix, order_by=AGGREGATE) as consumer:
        consumer.gives_up.add(events[0].id)
        for event in events:
            await streams.add(event)
        key = f"{bull_prefix}:{QUEUE}:failed"
        await until(lambda: redis.zcard(key))
        job = await Job.fromId(queue, f"event-{events[0].id}")
        await job.remove()
        await until(lambda: len(consumer.handled["opt-1"]) == 2)
    await queue.close()
    assert consumer.handled["opt-1"] == [event.id for event in events[1:]]


async def test_events_of_several_channels_are_in_the_order_in_which_they_came(
    redis_url: str, streams: Streams, bull_prefix: str, redis: Redis
) -> None:
    """As long as they have not begun, jobs of all channels line up by the time of their entries."""
    events: list[BaseEvent[Any]] = []
    for number in range(10):
        events += (evaluated(), PricingCalculated(aggregate_id="opt-1", payload=CalculatedPayload(price=number)))
    for number, event in enumerate(events):
        await streams.add(event, f"{1_700_000_000_000 + number}-0")
    consumer = Billing()
    async with running(subscriber_of(redis_url, streams, bull_prefix, order_by=AGGREGATE)):
        await until(lambda: redis.llen(f"{bull_prefix}:{QUEUE}:order:keys:opt-1"))
        waiting = f"{bull_prefix}:{QUEUE}:waiting-children"

        async def is_complete() -> bool:
            return int(await redis.zcard(waiting)) == len(events) - 1

        await until(is_complete)
    async with running(EventWorker.from_url(redis_url, consumer.consumer, bull_prefix=bull_prefix)):
        await until(lambda: len(consumer.handled["opt-1"]) == len(events))
    assert consumer.handled["opt-1"] == [event.id for event in events]
