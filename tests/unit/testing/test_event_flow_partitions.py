"""A flow of events through a channel with partitions, in memory."""

from typing import Any

from support.partitions import StayCreated, channel_for, stays, subscriptions

from domainstream import EventProducer
from domainstream.testing.event_flow import EventFlow
from domainstream.worker import EventConsumer, EventContext


async def test_flow_through_partitions() -> None:
    """Events of a channel with partitions are handled as any others, and contexts name the channel."""
    consumer = EventConsumer("valuation")

    @consumer.on(StayCreated)
    async def price(event: StayCreated, context: EventContext) -> None:
        """Do nothing."""

    async with EventFlow(subscriptions(), consumers=[consumer]) as flow:
        producer: EventProducer[Any] = EventProducer(flow.publisher, channel_for=channel_for, source="coding")
        events = [event for number in range(3) for event in stays(number, aggregates=4)]
        await producer.publish_many(events)
        await flow.settle()
        assert flow.handled(StayCreated) == events
        assert {context.channel for context in flow.contexts(StayCreated)} == {"domain_coding_stay_created"}
