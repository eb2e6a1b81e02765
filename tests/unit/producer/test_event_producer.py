"""The event producer: each event goes to its channel, or stays inside, and its receipt says so."""

import json
from collections.abc import Iterator
from typing import Any, final

import pytest
from support.channels import CREATED, EVALUATED, Channel
from support.coding import (
    CodingEvent,
    MedicalStayCreated,
    MedicalStayDrafted,
    OptimizationEvaluated,
    channel_for,
    created,
    drafted,
    evaluated,
)
from support.publishers import ScriptedPublisher

from domainstream import Confirm, EventProducer, MemoryPublisher, MessageLimits, Outcome
from domainstream.channel import EventPublisherChannel
from domainstream.errors import ConfigurationError, EventEncodingError, MapperError
from domainstream.event import BaseEvent, EventPayload

TRACE = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "vendor=1"}


class StrangerPayload(EventPayload):
    """A payload of another service."""

    name: str


class Stranger(BaseEvent[StrangerPayload]):
    """An event of another service."""

    event_type = "domain_billing_invoice_paid"


@pytest.fixture
def publisher() -> MemoryPublisher:
    """A publisher that keeps its entries."""
    return MemoryPublisher(clock=lambda: 1_700_000_000.0)


@pytest.fixture
def producer(publisher: MemoryPublisher) -> EventProducer[CodingEvent]:
    """The producer of the sample service."""
    return EventProducer(publisher, channel_for=channel_for, source="coding")


def stored(publisher: MemoryPublisher, channel: EventPublisherChannel) -> list[dict[str, Any]]:
    """Return the messages of a channel, oldest first."""
    return [json.loads(data) for _, data in publisher.streams.get(channel.value, [])]


async def test_event_goes_to_its_channel(producer: EventProducer[CodingEvent], publisher: MemoryPublisher) -> None:
    """The entry stands in the channel that the mapper names, and in no other."""
    await producer.publish(evaluated())

    assert list(publisher.streams) == [EVALUATED.value]


async def test_published_event_has_its_entry_in_the_receipt(producer: EventProducer[CodingEvent]) -> None:
    """The receipt names event, channel and entry."""
    event = evaluated()

    receipt = await producer.publish(event)

    assert receipt.event_id == event.id
    assert receipt.outcome == Outcome.PUBLISHED
    assert receipt.channel == EVALUATED.value
    assert receipt.entry_id == "1700000000000-0"


async def test_event_mapped_to_none_is_not_published(producer: EventProducer[CodingEvent]) -> None:
    """The receipt says so, and names neither channel nor entry."""
    event = drafted()

    receipt = await producer.publish(event)

    assert receipt.event_id == event.id
    assert receipt.outcome == Outcome.NOT_PUBLISHED
    assert receipt.channel is None
    assert receipt.entry_id is None
    assert receipt.error is None


async def test_event_mapped_to_none_never_reaches_the_publisher() -> None:
    """Alone, in a batch of its like or among others, it stays in the service."""
    publisher = ScriptedPublisher()
    producer = EventProducer(publisher, channel_for=channel_for, source="coding")

    await producer.publish(drafted())
    await producer.publish_many([drafted(), drafted()])
    sent = created()
    await producer.publish_many([drafted(), sent])

    assert [[message.event_id for message in call] for call in publisher.calls] == [[sent.id]]


async def test_receipts_stand_in_the_order_of_the_events(producer: EventProducer[CodingEvent]) -> None:
    """Receipts keep the order of the events even where published and unpublished events alternate."""
    events: list[CodingEvent] = [drafted(), evaluated(), drafted(), created(), evaluated(), drafted()]

    receipts = await producer.publish_many(events)

    assert [receipt.event_id for receipt in receipts] == [event.id for event in events]
    assert [receipt.channel for receipt in receipts] == [None, EVALUATED, None, CREATED, EVALUATED, None]


async def test_events_of_a_channel_are_stored_in_order(
    producer: EventProducer[CodingEvent], publisher: MemoryPublisher
) -> None:
    """The stream holds them as they were handed over."""
    await producer.publish_many(evaluated(score=number) for number in range(5))

    assert [message["data"]["score"] for message in stored(publisher, EVALUATED)] == [0, 1, 2, 3, 4]


async def test_many_events_go_to_the_publisher_in_one_call() -> None:
    """All events of a call go to the publisher in one call, whatever their channels."""
    publisher = ScriptedPublisher()
    producer = EventProducer(publisher, channel_for=channel_for, source="coding")

    await producer.publish_many([evaluated(), created(), evaluated()])

    assert [[message.channel for message in call] for call in publisher.calls] == [[EVALUATED, CREATED, EVALUATED]]


async def test_publisher_learns_how_many_replicas_to_wait_for() -> None:
    """What a call of the producer waits for, its publisher waits for."""
    publisher = ScriptedPublisher()
    producer = EventProducer(publisher, channel_for=channel_for, source="coding")
    await producer.publish(evaluated())
    await producer.publish(evaluated(), confirm="all")
    await producer.publish_many([evaluated()], confirm=2)
    assert publisher.confirms == [None, "all", 2]


@pytest.mark.parametrize(("confirm", "replicas"), [(None, None), (0, None), (2, 2), ("all", 1), ("fsync", 1)])
async def test_memory_has_as_many_replicas_as_are_asked_for(
    producer: EventProducer[CodingEvent], confirm: Confirm | None, replicas: int | None
) -> None:
    """A publisher in memory confirms what a test asks for."""
    assert (await producer.publish(evaluated(), confirm=confirm)).confirmed_by == replicas


async def test_message_knows_its_channel_as_plain_text() -> None:
    """What a publisher gets is a string, not the member of an enum."""
    publisher = ScriptedPublisher()

    await EventProducer(publisher, channel_for=channel_for, source="coding").publish(created())

    assert type(publisher.calls[0][0].channel) is str


async def test_no_events_give_no_receipts(publisher: MemoryPublisher, producer: EventProducer[CodingEvent]) -> None:
    """An empty batch is sent nowhere."""
    assert await producer.publish_many([]) == []
    assert publisher.streams == {}


async def test_events_may_come_from_a_generator(producer: EventProducer[CodingEvent]) -> None:
    """A generator is read once, and to its end."""

    def events() -> Iterator[CodingEvent]:
        yield created()
        yield drafted()

    receipts = await producer.publish_many(events())

    assert [receipt.outcome for receipt in receipts] == [Outcome.PUBLISHED, Outcome.NOT_PUBLISHED]


async def test_mapper_runs_once_for_each_event(publisher: MemoryPublisher) -> None:
    """The mapper is called exactly once per event, for batches and first events too."""
    asked: list[str] = []

    def counting(event: Any) -> EventPublisherChannel | None:
        asked.append(event.id)
        return channel_for(event)

    producer = EventProducer(publisher, channel_for=counting, source="coding")
    events = [created(), drafted(), evaluated(), created()]

    await producer.publish_many(events[1:])
    await producer.publish(events[0])

    assert asked == [event.id for event in [*events[1:], events[0]]]


async def test_source_is_on_the_wire(producer: EventProducer[CodingEvent], publisher: MemoryPublisher) -> None:
    """A message says which service it comes from."""
    await producer.publish(created())

    assert stored(publisher, CREATED)[0]["source"] == "/services/coding"


async def test_trace_headers_are_on_the_wire(publisher: MemoryPublisher) -> None:
    """What `trace` returns for the current span stands in the message."""
    producer = EventProducer(publisher, channel_for=channel_for, source="coding", trace=lambda: TRACE)

    await producer.publish(created())

    (message,) = stored(publisher, CREATED)
    assert {name: message[name] for name in TRACE} == TRACE


async def test_trace_is_asked_once_a_call(publisher: MemoryPublisher) -> None:
    """The events of one call belong to the span in which it was made."""
    states = iter("ab")
    producer = EventProducer(
        publisher, channel_for=channel_for, source="coding", trace=lambda: {"tracestate": next(states)}
    )

    await producer.publish_many([created(), created()])

    assert [message["tracestate"] for message in stored(publisher, CREATED)] == ["a", "a"]


async def test_without_a_span_there_are_no_trace_headers(
    producer: EventProducer[CodingEvent], publisher: MemoryPublisher
) -> None:
    """A message of a service without tracing has none of the attributes."""
    await producer.publish(created())

    assert TRACE.keys().isdisjoint(stored(publisher, CREATED)[0])


async def test_message_beyond_the_limits_is_not_sent(publisher: MemoryPublisher) -> None:
    """The producer's limits decide what a message may be."""
    producer = EventProducer(publisher, channel_for=channel_for, source="coding", limits=MessageLimits(max_bytes=64))

    with pytest.raises(EventEncodingError):
        await producer.publish(created())

    assert publisher.streams == {}


def test_producer_refuses_an_annotated_mapper_that_is_wrong(publisher: MemoryPublisher) -> None:
    """What `verify_mapper` finds keeps the service from starting."""

    def swapped(event: OptimizationEvaluated | MedicalStayCreated) -> Channel:
        return CREATED if isinstance(event, OptimizationEvaluated) else EVALUATED

    with pytest.raises(MapperError) as refusal:
        EventProducer(publisher, channel_for=swapped, source="coding")

    assert len(refusal.value.problems) == 2


async def test_producer_refuses_an_open_mapper_at_the_first_wrong_event(publisher: MemoryPublisher) -> None:
    """Where the annotation proves nothing, the class of each event is checked before its first one is sent."""

    def swapped(event: BaseEvent[Any]) -> EventPublisherChannel | None:
        return EVALUATED if isinstance(event, MedicalStayCreated) else channel_for(event)  # type: ignore[arg-type]

    producer = EventProducer(publisher, channel_for=swapped, source="coding")

    with pytest.raises(MapperError, match=f"map it to {CREATED.name}"):
        await producer.publish_many([evaluated(), created()])

    assert publisher.streams == {}


async def test_class_is_checked_again_when_its_channel_changes(publisher: MemoryPublisher) -> None:
    """A mapper that was right for one event of a class is not taken to be right for the next."""
    channels = iter([CREATED, EVALUATED])
    producer = EventProducer[BaseEvent[Any]](publisher, channel_for=lambda _: next(channels), source="coding")
    await producer.publish(created())

    with pytest.raises(MapperError):
        await producer.publish(created())

    assert len(publisher.streams[CREATED.value]) == 1


async def test_class_without_a_type_is_refused(publisher: MemoryPublisher) -> None:
    """An event class that forgot its type is named, and nothing of the batch is sent."""

    @final
    class Untyped(BaseEvent[None]):
        """Has no event type."""

    producer = EventProducer[BaseEvent[Any]](publisher, channel_for=lambda _: CREATED, source="coding")

    with pytest.raises(MapperError, match="Untyped has no event_type"):
        await producer.publish_many([created(), Untyped(aggregate_id="a", payload=None)])

    assert publisher.streams == {}


async def test_event_that_is_not_published_needs_no_type(publisher: MemoryPublisher) -> None:
    """The class of an event that stays inside the service is not checked."""
    producer = EventProducer[BaseEvent[Any]](publisher, channel_for=lambda _: None, source="coding")

    assert (await producer.publish(MedicalStayDrafted(aggregate_id="a", payload=object()))).entry_id is None  # type: ignore[arg-type]


def test_source_that_is_not_a_name_is_refused(publisher: MemoryPublisher) -> None:
    """A producer's source is the name of a service: an empty one, or a path, would be wrong on the wire."""
    for source in ("", "/services/coding", "two words"):
        with pytest.raises(ConfigurationError, match="source must be a service name"):
            EventProducer(publisher, channel_for=channel_for, source=source)


async def test_event_of_another_service_is_refused_without_quoting_it(publisher: MemoryPublisher) -> None:
    """A class that is not in the mapper's union is refused by name before the mapper sees it."""
    producer: EventProducer[Any] = EventProducer(publisher, channel_for=channel_for, source="coding")
    stranger = StrangerPayload(name="patient-4711")

    with pytest.raises(MapperError, match="Stranger is not an event of this service") as refusal:
        await producer.publish(Stranger(aggregate_id="a", payload=stranger))

    assert "patient-4711" not in str(refusal.value)
