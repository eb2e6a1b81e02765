"""Where a producer sends events of a channel with partitions: by the aggregate, or by the key that an event names."""

import json
from collections.abc import Sequence
from typing import final

from support.publishers import ScriptedPublisher

from domainstream import BaseEvent, EventPayload, EventProducer, EventPublisherChannel, MemoryPublisher
from domainstream.channel.partitions import target_of, targets_of


class Channel(EventPublisherChannel, partitions={"DOMAIN_CODING_STAY_CREATED": 8}):
    """A channel with partitions."""

    DOMAIN_CODING_STAY_CREATED = "domain_coding_stay_created"


class StayPayload(EventPayload):
    """Nothing but a number."""

    number: int = 0


@final
class StayCreated(BaseEvent[StayPayload]):
    """An event of the channel."""

    event_type = Channel.DOMAIN_CODING_STAY_CREATED


TARGETS = targets_of("domain_coding_stay_created", 8)


def channel_for(event: StayCreated) -> Channel | None:
    """Map the only event."""
    assert isinstance(event, StayCreated)
    return Channel.DOMAIN_CODING_STAY_CREATED


def stay(aggregate: str, number: int = 0, *, key: str | None = None) -> StayCreated:
    """Return an event."""
    return StayCreated(aggregate_id=aggregate, payload=StayPayload(number=number), partition_key=key)


async def sent(events: Sequence[StayCreated]) -> list[str]:
    """Return where the events were sent, by `publish` and by `publish_many` alike."""
    publisher = ScriptedPublisher()
    producer = EventProducer(publisher, channel_for=channel_for, source="coding")
    for event in events:
        await producer.publish(event)
    await producer.publish_many(events)
    targets = [message.target for call in publisher.calls for message in call]
    assert targets[: len(events)] == targets[len(events) :]
    return targets[: len(events)]


async def test_events_of_an_aggregate_stay_together() -> None:
    """Without a key, the aggregate decides on the partition."""
    targets = await sent([stay(aggregate) for aggregate in ("stay-1", "stay-2", "stay-1")])
    assert targets == [target_of(TARGETS, aggregate) for aggregate in ("stay-1", "stay-2", "stay-1")]
    assert targets[0] != targets[1]


async def test_event_may_name_another_key() -> None:
    """Events of several aggregates that name the same key are in one partition."""
    targets = await sent([stay("stay-1", key="patient-7"), stay("stay-2", key="patient-7")])
    assert targets == [target_of(TARGETS, "patient-7")] * 2


async def test_message_does_not_say_its_partition() -> None:
    """On the wire an event of a channel with partitions looks like any other."""
    publisher = ScriptedPublisher()
    producer = EventProducer(publisher, channel_for=channel_for, source="coding")
    await producer.publish(stay("stay-1"))
    message = publisher.calls[0][0]
    assert "partitionkey" not in json.loads(message.data)
    assert message.channel == json.loads(message.data)["type"] == "domain_coding_stay_created"


async def test_memory_publisher_keeps_the_order() -> None:
    """In memory a channel is one list, in which each partition has its order."""
    publisher = MemoryPublisher()
    producer = EventProducer(publisher, channel_for=channel_for, source="coding")
    receipts = await producer.publish_many([stay(f"stay-{number % 3}", number) for number in range(30)])
    stored = [json.loads(data)["data"]["number"] for _, data in publisher.streams["domain_coding_stay_created"]]
    assert stored == [*range(30)]
    assert {receipt.channel for receipt in receipts} == {"domain_coding_stay_created"}
