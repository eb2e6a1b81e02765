"""The span of a turn that forwards, and what jobs carry of the context of their event."""

import json

import pytest
from opentelemetry.trace import SpanKind
from support.consuming import EVALUATED, GROUP, evaluated, subscriptions_of
from support.spans import TRACEPARENT, Recording, linked
from support.subscribing import Scene

from domainstream.event import EventEncoder, read_message
from domainstream.event.trace_context import read_context, trace_of
from domainstream.stream import Delivery
from domainstream.subscriber import JobRouter

CONTEXT = {"traceparent": TRACEPARENT, "tracestate": "vendor=1"}
ENCODER = EventEncoder("coding")


async def test_turn_is_a_span_that_links_to_its_messages(recorded: Recording) -> None:
    """It is named after the channel, has a trace of its own, and refers to each event's context."""
    scene = Scene()
    scene.streams.add(EVALUATED, ENCODER.encode(evaluated(), CONTEXT))
    scene.add()
    async with scene.running(scene.instance()):
        await scene.settled()

    span = recorded.only("forward")
    assert (span.name, span.kind, span.parent) == (f"forward {EVALUATED.value}", SpanKind.CLIENT, None)
    assert dict(span.attributes or {}) == {
        "messaging.system": "redis",
        "messaging.operation.name": "forward",
        "messaging.operation.type": "receive",
        "messaging.destination.name": EVALUATED.value,
        "messaging.consumer.group.name": GROUP,
        "messaging.batch.message_count": 2,
    }
    assert linked(span) == [TRACEPARENT]


async def test_subscriber_that_runs_inside_of_a_span_is_no_part_of_it(recorded: Recording) -> None:
    """A span around the whole program would otherwise collect all turns until it ends."""
    scene = Scene()
    scene.add()
    with recorded.app.start_as_current_span("program"):
        async with scene.running(scene.instance()):
            await scene.settled()

    assert recorded.only("forward").parent is None


async def test_idle_channel_has_no_spans(recorded: Recording) -> None:
    """A turn that reads nothing is not recorded."""
    scene = Scene()
    async with scene.running(scene.instance()):
        await scene.settled()

    assert recorded.spans == []


async def test_jobs_have_the_context_of_their_event(recorded: Recording) -> None:
    """The turn's own span changes nothing of what its jobs carry."""
    scene = Scene("valuation", "billing")
    scene.streams.add(EVALUATED, ENCODER.encode(evaluated(), CONTEXT))
    async with scene.running(scene.instance()):
        await scene.settled()

    assert [json.loads(job.trace) for job in scene.queue.added] == [CONTEXT, CONTEXT]


def routed(data: bytes) -> str:
    """Return what the job of a message carries."""
    router = JobRouter(subscriptions_of("valuation"))
    (entry,) = router.route([Delivery(EVALUATED.value, "1700000000123-0", data)])
    return entry.jobs[0].trace


def test_job_carries_the_context_as_bullmq_writes_it() -> None:
    """It is the JSON text that BullMQ's own telemetry stores: the two headers, without spaces."""
    assert routed(ENCODER.encode(evaluated(), CONTEXT)) == f'{{"traceparent":"{TRACEPARENT}","tracestate":"vendor=1"}}'


def test_job_of_an_event_without_context_carries_none() -> None:
    """Without tracing, a job is what it was."""
    assert routed(ENCODER.encode(evaluated())) == ""


def test_tracestate_alone_is_not_a_context() -> None:
    """W3C Trace Context has no `tracestate` without `traceparent`."""
    assert routed(ENCODER.encode(evaluated(), {"tracestate": "vendor=1"})) == ""


@pytest.mark.parametrize("text", ['va"lue', "back\\slash", "umlaut ä", "\u2028"])
def test_context_is_carried_as_it_is(text: str) -> None:
    """Whatever another program has written there reaches the job unchanged."""
    message = read_message(ENCODER.encode(evaluated(), {"traceparent": text, "tracestate": text}))

    assert read_context(trace_of(message)) == {"traceparent": text, "tracestate": text}


@pytest.mark.parametrize("data", ["", "rubbish", "[]", '{"traceparent":7}', '{"traceparent":""}', "{}"])
def test_what_is_not_a_context_is_none(data: str) -> None:
    """Any program may have written a job's options."""
    assert read_context(data) is None
