"""What a producer raises: nothing is sent when an event is at fault; when the server is, each event has its receipt."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from support.channels import CREATED, EVALUATED
from support.coding import CodingEvent, channel_for, created, drafted, evaluated
from support.publishers import ScriptedPublisher

from domainstream import EventProducer, MemoryPublisher, Outcome, PublishError, receipts_of
from domainstream.channel import EventPublisherChannel
from domainstream.errors import EventEncodingError, PublisherClosedError, ServerOutOfMemoryError, ServerUnavailableError

PUBLISHED, NOT_PUBLISHED, _, REJECTED, UNKNOWN = Outcome


class RefusedByMapperError(Exception):
    """What a user's mapper raises in these tests."""


def producer_of(publisher: ScriptedPublisher | MemoryPublisher) -> EventProducer[CodingEvent]:
    """Make the producer of the sample service."""
    return EventProducer(publisher, channel_for=channel_for, source="coding")


async def test_exception_of_the_mapper_publishes_nothing() -> None:
    """An exception of the mapper is raised unchanged, and no event of the batch is sent."""
    publisher = ScriptedPublisher()

    def failing(event: Any) -> EventPublisherChannel | None:
        if event.aggregate_id == "bad":
            raise RefusedByMapperError
        return channel_for(event)

    producer = EventProducer(publisher, channel_for=failing, source="coding")

    with pytest.raises(RefusedByMapperError):
        await producer.publish_many([evaluated(), drafted(), created(aggregate_id="bad"), evaluated()])

    assert publisher.calls == []


async def test_event_that_cannot_be_encoded_publishes_nothing() -> None:
    """Wherever in the batch it stands, no other event of it is sent, and its id is in the error."""
    publisher = ScriptedPublisher()
    bad = evaluated(score=float("nan"))

    with pytest.raises(EventEncodingError) as failure:
        await producer_of(publisher).publish_many([evaluated(), bad, created()])

    assert publisher.calls == []
    assert failure.value.event_id == bad.id


async def test_exception_of_the_events_source_publishes_nothing() -> None:
    """A generator that fails half way has published nothing."""
    publisher = ScriptedPublisher()

    def events() -> Iterator[CodingEvent]:
        yield created()
        raise RefusedByMapperError

    with pytest.raises(RefusedByMapperError):
        await producer_of(publisher).publish_many(events())

    assert publisher.calls == []


@pytest.mark.parametrize("outcome", [REJECTED, UNKNOWN])
async def test_publish_raises_when_the_server_has_no_entry_for_certain(outcome: Outcome) -> None:
    """A single event that was rejected, or whose fate is unknown, is an error with its receipt."""
    event = created()

    with pytest.raises(PublishError) as failure:
        await producer_of(ScriptedPublisher(outcome)).publish(event)

    (receipt,) = failure.value.receipts
    assert receipt.event_id == event.id
    assert receipt.outcome == outcome
    assert receipt.channel == CREATED.value


async def test_publish_error_carries_the_receipts_of_all_events() -> None:
    """Those that were published and those that stay inside have theirs too, in the order of the events."""
    events: list[CodingEvent] = [drafted(), evaluated(), created(), drafted(), evaluated()]

    with pytest.raises(PublishError) as failure:
        await producer_of(ScriptedPublisher(PUBLISHED, REJECTED, UNKNOWN)).publish_many(events)

    assert [(receipt.event_id, receipt.outcome) for receipt in failure.value.receipts] == [
        (event.id, outcome)
        for event, outcome in zip(events, [NOT_PUBLISHED, PUBLISHED, REJECTED, NOT_PUBLISHED, UNKNOWN], strict=True)
    ]


async def test_published_event_in_a_publish_error_keeps_its_entry_id() -> None:
    """What the server has is not forgotten over what it has not."""
    with pytest.raises(PublishError) as failure:
        await producer_of(ScriptedPublisher(PUBLISHED, REJECTED)).publish_many([created(), created()])

    assert failure.value.receipts[0].entry_id == "1700000000000-0"


async def test_message_of_a_publish_error_tells_rejected_from_unknown() -> None:
    """It counts and names the rejected events, which can be repeated safely, apart from those that may be published."""
    events = [created(), created(), created()]

    with pytest.raises(PublishError) as failure:
        await producer_of(ScriptedPublisher(PUBLISHED, REJECTED, UNKNOWN)).publish_many(events)

    message = str(failure.value)
    assert events[0].id not in message
    assert f"Rejected: 1 of 3 events ({events[1].id}). They are in no stream" in message
    assert f"Unknown outcome: 1 of 3 events ({events[2].id}). They may be in their streams" in message


@pytest.mark.parametrize(("outcome", "other"), [(REJECTED, "Unknown outcome"), (UNKNOWN, "Rejected")])
async def test_message_of_a_publish_error_names_only_outcomes_that_occurred(outcome: Outcome, other: str) -> None:
    """A call whose events all failed alike does not mention the other outcome."""
    with pytest.raises(PublishError) as failure:
        await producer_of(ScriptedPublisher(outcome)).publish_many([created()])

    assert f"{other}: " not in str(failure.value)


async def test_message_of_a_publish_error_stays_short() -> None:
    """Of many failed events the first three are named."""
    events = [created() for _ in range(500)]

    with pytest.raises(PublishError) as failure:
        await producer_of(ScriptedPublisher(REJECTED)).publish_many(events)

    assert f"{events[2].id}, ..." in str(failure.value)
    assert events[3].id not in str(failure.value)


async def test_message_of_a_publish_error_lists_each_cause_once() -> None:
    """What the receipts give as the reason stands in the message, with the kind of error."""
    publisher = ScriptedPublisher(REJECTED, error=ServerOutOfMemoryError("raise maxmemory"))

    with pytest.raises(PublishError) as failure:
        await producer_of(publisher).publish_many([created(), evaluated()])

    assert str(failure.value).count("ServerOutOfMemoryError: raise maxmemory") == 1


async def test_receipt_of_a_failed_event_holds_the_cause() -> None:
    """The error itself is at hand, for code that acts on its kind."""
    cause = ServerUnavailableError("no answer within 10 s")

    with pytest.raises(PublishError) as failure:
        await producer_of(ScriptedPublisher(UNKNOWN, error=cause)).publish(created())

    assert failure.value.receipts[0].error is cause


async def test_cancelled_batch_keeps_the_receipts_of_all_events() -> None:
    """The receipts of what was cancelled stand among those that stay inside, in the order of the events."""
    events: list[CodingEvent] = [drafted(), created(), drafted(), evaluated()]
    publisher = ScriptedPublisher(PUBLISHED, UNKNOWN, cancelled=True)

    with pytest.raises(asyncio.CancelledError) as cancelled:
        await producer_of(publisher).publish_many(events)

    receipts = receipts_of(cancelled.value)
    assert [receipt.event_id for receipt in receipts] == [event.id for event in events]
    assert [receipt.outcome for receipt in receipts] == [NOT_PUBLISHED, PUBLISHED, NOT_PUBLISHED, UNKNOWN]


async def test_cancelled_event_keeps_its_receipt() -> None:
    """The cancellation of a single event carries its receipt, like that of a batch."""
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await producer_of(ScriptedPublisher(REJECTED, cancelled=True)).publish(created())

    assert [receipt.outcome for receipt in receipts_of(cancelled.value)] == [REJECTED]


async def test_cancelled_publish_is_a_cancellation() -> None:
    """A task that publishes when it is cancelled ends as cancelled."""
    task = asyncio.create_task(producer_of(ScriptedPublisher(UNKNOWN, cancelled=True)).publish(created()))

    await asyncio.wait([task])

    assert task.cancelled()


async def test_closed_publisher_is_not_hidden() -> None:
    """Publishing after close says that the publisher is closed."""
    publisher = MemoryPublisher()
    await publisher.close()

    with pytest.raises(PublisherClosedError):
        await producer_of(publisher).publish_many([created()])


async def test_what_stays_inside_needs_no_open_publisher() -> None:
    """An event mapped to None has its receipt also after close."""
    publisher = MemoryPublisher()
    await publisher.close()

    assert (await producer_of(publisher).publish(drafted())).outcome is NOT_PUBLISHED


async def test_producer_goes_on_after_a_failure() -> None:
    """An event that was refused leaves nothing behind that the next one would meet."""
    publisher = MemoryPublisher()
    producer = producer_of(publisher)
    with pytest.raises(EventEncodingError):
        await producer.publish(evaluated(score=float("inf")))

    receipt = await producer.publish(evaluated())

    assert receipt.outcome == PUBLISHED
    assert receipt.channel == EVALUATED.value
