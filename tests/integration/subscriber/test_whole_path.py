"""From an event's JSON in a stream to the handler that gets the typed event."""

import asyncio
from datetime import UTC, datetime

from support.consuming import EVALUATED, GROUP, OptimizationEvaluated, Streams, evaluated, running, subscriptions_of

from domainstream.subscriber import RedisBullMQStreamSubscriber
from domainstream.worker import EventConsumer, EventContext, EventWorker


async def test_event_in_stream_reaches_its_typed_handler(redis_url: str, streams: Streams, bull_prefix: str) -> None:
    """An event that is added to a stream reaches its handler, equal to what was published, with its origin."""
    event = evaluated(correlation_id="stay-7")
    entry_id = await streams.add(event)
    consumer = EventConsumer("valuation")
    handled: asyncio.Future[tuple[OptimizationEvaluated, EventContext]] = asyncio.get_running_loop().create_future()

    @consumer.on(OptimizationEvaluated)
    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        handled.set_result((event, context))

    subscriber = RedisBullMQStreamSubscriber.from_url(
        redis_url,
        group=GROUP,
        subscriptions=subscriptions_of("valuation"),
        prefix=streams.prefix,
        bull_prefix=bull_prefix,
    )
    worker = EventWorker.from_url(redis_url, consumer, bull_prefix=bull_prefix)
    async with running(subscriber), running(worker), asyncio.timeout(10):
        arrived, context = await handled
    assert arrived == event
    assert context.job_id == f"event-{event.id}"
    assert context.job_name == "price-stay"
    assert context.attempt == 1
    assert context.channel == EVALUATED.value
    assert context.entry_id == entry_id
    assert context.correlation_id == "stay-7"
    assert context.timestamp == datetime.fromtimestamp(int(entry_id.split("-")[0]) / 1000, UTC)
