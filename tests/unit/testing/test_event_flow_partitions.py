"""A flow of events through a channel with partitions, in memory."""

from typing import Any
from zlib import crc32

import pytest
from support.partitions import PARTITIONS, StayCreated, channel_for, stays, subscriptions

from domainstream import EventProducer
from domainstream.errors import ConfigurationError
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


@pytest.mark.parametrize("of_queue", [8, PARTITIONS], ids=["another number", "as many as the channel"])
async def test_flow_through_a_queue_with_partitions(of_queue: int) -> None:
    """The consumer of a queue with partitions handles the jobs of all of them; each event is in that of its key."""
    consumer = EventConsumer("valuation", partitions=of_queue)

    @consumer.on(StayCreated)
    async def price(event: StayCreated, context: EventContext) -> None:
        """Do nothing."""

    async with EventFlow(subscriptions(of_queue=of_queue), consumers=[consumer]) as flow:
        producer: EventProducer[Any] = EventProducer(flow.publisher, channel_for=channel_for, source="coding")
        events = [event for number in range(2) for event in stays(number, aggregates=20)]
        await producer.publish_many(events)
        await flow.settle()
        handled = flow.handled(StayCreated, queue="valuation")
        assert len(handled) == len(events)
        for aggregate in {event.aggregate_id for event in events}:
            own = [event.payload.number for event in handled if event.aggregate_id == aggregate]
            assert own == [0, 1]
        queues = [f"valuation-p{crc32(event.aggregate_id.encode()) % of_queue}" for event in events]
        assert [job.queue for job in flow.jobs("valuation")] == queues
        assert [job.queue for job in flow.jobs(queues[0])] == [queue for queue in queues if queue == queues[0]]
        assert len(flow.handled(StayCreated, queue=queues[0])) == queues.count(queues[0])


def test_consumer_with_another_number_is_refused() -> None:
    """A consumer that expects other partitions than the subscriptions say would miss jobs."""
    with pytest.raises(ConfigurationError, match="are 8 in the subscriptions and 1 in its consumer; use the same"):
        EventFlow(subscriptions(of_queue=8), consumers=[EventConsumer("valuation")])


def test_second_consumer_is_refused() -> None:
    """A queue with partitions has one consumer, as any other."""
    consumers = [EventConsumer("valuation", partitions=8), EventConsumer("valuation", partitions=8)]
    with pytest.raises(ConfigurationError, match="queue valuation has a consumer"):
        EventFlow(subscriptions(of_queue=8), consumers=consumers)
