"""What the tests of `EventFlow` share: a system of two services, whose handlers a test chooses."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, assert_never

from support.consuming import (
    CALCULATED,
    EVALUATED,
    CalculatedPayload,
    Channel,
    OptimizationEvaluated,
    PricingCalculated,
)

from domainstream import EventProducer, follow_up
from domainstream.queue import JobSettings
from domainstream.subscriber import create_multiple_handlers, to_queue
from domainstream.testing.event_flow import EventFlow
from domainstream.worker import EventConsumer, EventContext

BEGIN = datetime(2026, 1, 31, 12, tzinfo=UTC)
SETTINGS = JobSettings(attempts=3, backoff=timedelta(seconds=10))

Event = OptimizationEvaluated | PricingCalculated


def channel_for(event: Event) -> Channel | None:
    """Map every event to its channel."""
    match event:
        case OptimizationEvaluated():
            return EVALUATED
        case PricingCalculated():
            return CALCULATED
        case _:
            assert_never(event)


def subscriptions_to(*queues: str, settings: JobSettings = SETTINGS) -> Any:
    """Subscribe `valuation` to evaluated optimizations, and `queues` to calculated prices."""
    return create_multiple_handlers(
        {
            EVALUATED: [to_queue("valuation", job="price-stay", settings=settings)],
            CALCULATED: [to_queue(queue, job="record-price", settings=settings) for queue in queues],
        }
    )


def consumer_of(queue: str, event_class: type[Any], handler: Callable[..., Any], **settings: Any) -> EventConsumer:
    """Return a consumer with one handler."""
    consumer = EventConsumer(queue, **settings)
    consumer.on(event_class)(handler)
    return consumer


def valuing(handler: Callable[..., Any], **settings: Any) -> EventFlow:
    """Return a flow in which `handler` gets evaluated optimizations, and nobody listens to prices."""
    consumer = consumer_of("valuation", OptimizationEvaluated, handler)
    return EventFlow(subscriptions_to(), consumers=[consumer], now=BEGIN, **settings)


def producer_of(flow: EventFlow) -> EventProducer[Event]:
    """Return a producer of all events that publishes into `flow`."""
    return EventProducer(flow.publisher, channel_for=channel_for, source="coding")


def pricing(producer: EventProducer[Event]) -> Callable[..., Any]:
    """Return a handler that publishes the price of what was evaluated, with an id that a repeat makes again."""

    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        price = PricingCalculated(aggregate_id=event.aggregate_id, payload=CalculatedPayload(price=7))
        await producer.publish(follow_up(event, price))

    return price_stay


async def do_nothing(event: Event, context: EventContext) -> None:
    """Handle an event by doing nothing."""
