"""The span of a call of a producer: what it says, where it belongs, and that its context goes with the messages."""

import asyncio
import json
from typing import Any

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from support.channels import CREATED, EVALUATED
from support.coding import channel_for, created, drafted, evaluated
from support.publishers import ScriptedPublisher
from support.spans import TRACEPARENT, Recording, context_of, recording, traceparent_of

from domainstream import EventProducer, Outcome, PublishError
from domainstream.channel.destinations import destination_of
from domainstream.telemetry import Attribute


def producer(publisher: ScriptedPublisher, **settings: Any) -> EventProducer[Any]:
    """Return the producer of the sample service."""
    return EventProducer(publisher, channel_for=channel_for, source="coding", **settings)


def sent(publisher: ScriptedPublisher) -> list[Any]:
    """Return the messages that were sent."""
    return [json.loads(message.data) for call in publisher.calls for message in call]


async def test_event_has_a_span_named_after_its_channel(recorded: Recording) -> None:
    """One event is one span of the kind PRODUCER, with the ids of the event."""
    event = created(correlation_id="stay-7")

    await producer(ScriptedPublisher()).publish(event)

    (span,) = recorded.spans
    assert (span.name, span.kind, span.status.status_code) == (
        f"send {CREATED.value}",
        SpanKind.PRODUCER,
        StatusCode.UNSET,
    )
    assert dict(span.attributes or {}) == {
        "messaging.system": "redis",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": CREATED.value,
        "messaging.message.id": event.id,
        "messaging.message.conversation_id": "stay-7",
    }


async def test_message_carries_the_context_of_its_span(recorded: Recording) -> None:
    """Who continues the message's trace continues the span that sent it."""
    publisher = ScriptedPublisher()

    await producer(publisher).publish(created())

    assert sent(publisher)[0]["traceparent"] == traceparent_of(recorded.only("send"))


async def test_span_is_a_child_of_the_current_one(recorded: Recording) -> None:
    """What a request or a handler publishes is a part of its trace."""
    with recorded.app.start_as_current_span("request") as request:
        await producer(ScriptedPublisher()).publish(created())

    span = recorded.only("send")
    assert span.parent == request.get_span_context()


async def test_batch_is_one_span_whose_context_all_messages_carry(recorded: Recording) -> None:
    """`publish_many` has a span for the call, and says how many messages it sent."""
    publisher = ScriptedPublisher()

    await producer(publisher).publish_many([created(), drafted(), created()])

    span = recorded.only("send")
    assert span.name == f"send {CREATED.value}"
    assert span.attributes is not None
    assert span.attributes["messaging.batch.message_count"] == 2
    assert {message["traceparent"] for message in sent(publisher)} == {traceparent_of(span)}


async def test_batch_for_several_channels_names_none(recorded: Recording) -> None:
    """A span about several channels has none of them in its name, or in its attributes."""
    await producer(ScriptedPublisher()).publish_many([created(), evaluated()])

    span = recorded.only("send")
    assert span.name == "send"
    assert "messaging.destination.name" not in (span.attributes or {})


async def test_tracestate_is_carried_along(recorded: Recording) -> None:
    """What vendors add to a trace reaches the message."""
    publisher = ScriptedPublisher()
    parent = TraceContextTextMapPropagator().extract({"traceparent": TRACEPARENT, "tracestate": "vendor=1"})
    with recorded.app.start_as_current_span("request", context=parent):
        await producer(publisher).publish(created())

    assert sent(publisher)[0]["tracestate"] == "vendor=1"


async def test_events_that_stay_inside_have_no_span(recorded: Recording) -> None:
    """Nothing is sent, so nothing is recorded."""
    await producer(ScriptedPublisher()).publish(drafted())
    await producer(ScriptedPublisher()).publish_many([drafted()])

    assert recorded.spans == []


async def test_trace_parameter_decides_what_the_messages_carry(recorded: Recording) -> None:
    """`trace` is for services with another tracer: its context goes into the messages instead."""
    publisher = ScriptedPublisher()

    await producer(publisher, trace=lambda: {"traceparent": TRACEPARENT}).publish(created())

    assert sent(publisher)[0]["traceparent"] == TRACEPARENT


async def test_trace_parameter_may_leave_the_context_out(recorded: Recording) -> None:
    """A `trace` that returns None keeps traces inside the service."""
    publisher = ScriptedPublisher()

    await producer(publisher, trace=lambda: None).publish(created())

    assert "traceparent" not in sent(publisher)[0]


async def test_failure_is_the_span_s_error_without_its_text(recorded: Recording) -> None:
    """The class of the error is recorded; its message, which could quote anything, is not."""
    with pytest.raises(PublishError):
        await producer(ScriptedPublisher(Outcome.UNKNOWN)).publish(created())

    span = recorded.only("send")
    assert (span.attributes or {})["error.type"] == "PublishError"
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert not span.events


async def test_cancelled_call_ends_its_span(recorded: Recording) -> None:
    """A call that is cancelled has a span with that error."""
    with pytest.raises(asyncio.CancelledError):
        await producer(ScriptedPublisher(cancelled=True)).publish_many([created()])

    assert (recorded.only("send").attributes or {})["error.type"] == "CancelledError"


async def test_trace_that_is_not_sampled_is_carried_as_such() -> None:
    """The decision not to record a trace reaches those who continue it."""
    publisher = ScriptedPublisher()
    with recording(ALWAYS_OFF) as recorded:
        await producer(publisher).publish(created())

    assert recorded.spans == []
    flags = int(sent(publisher)[0]["traceparent"][-2:], 16)
    assert not flags & TraceFlags.SAMPLED


def test_partition_of_a_channel_is_an_attribute_of_its_own() -> None:
    """The destination is the channel, whether a target or a stream names one of its partitions."""
    expected = (EVALUATED.value, {Attribute.PARTITION: "3"})

    assert destination_of(f"{EVALUATED.value}:p3/8") == expected
    assert destination_of(f"{EVALUATED.value}:p3") == expected
    assert destination_of(EVALUATED.value) == (EVALUATED.value, {})


async def test_concurrent_calls_have_spans_of_their_own(recorded: Recording) -> None:
    """Each message of tasks that publish at the same time carries its own span."""
    publisher = ScriptedPublisher()
    events = [created() for _ in range(5)]

    await asyncio.gather(*(producer(publisher).publish(event) for event in events))

    carried = {message["id"]: message["traceparent"] for message in sent(publisher)}
    assert carried == {
        (span.attributes or {})["messaging.message.id"]: traceparent_of(context_of(span)) for span in recorded.spans
    }
