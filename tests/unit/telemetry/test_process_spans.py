"""The span of an attempt at a job: where it belongs, what is current in it, and how it ends."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Literal

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.trace import SpanKind, StatusCode
from support.consuming import EVALUATED, OptimizationEvaluated, evaluated, message
from support.handling import received
from support.publishers import ScriptedPublisher
from support.spans import SPAN_ID, TRACE_ID, TRACEPARENT, Recording, context_of, linked, traceparent_of

from domainstream import EventProducer
from domainstream.errors import ConfigurationError
from domainstream.redis.span_attributes import server_attributes
from domainstream.telemetry import NO_ATTRIBUTES, Attributes
from domainstream.worker import (
    Done,
    ErrorHandler,
    EventConsumer,
    EventContext,
    GiveUp,
    ReceivedJob,
    RetryLater,
    WorkerSettings,
)
from domainstream.worker.attempt import AttemptRunner
from domainstream.worker.attempt_spans import AttemptSpans

TM = f'{{"traceparent":"{TRACEPARENT}","tracestate":"vendor=1"}}'
"""What BullMQ's telemetry writes into a job's options."""


async def done(event: OptimizationEvaluated, context: EventContext) -> None:
    """Handle an event."""


def raising(error: BaseException) -> Callable[..., Any]:
    """Return a handler that raises `error`."""

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        raise error

    return handler


async def attempt(
    handler: Callable[..., Any],
    job: ReceivedJob | None = None,
    *,
    mode: Literal["link", "parent"] = "link",
    server: Attributes = NO_ATTRIBUTES,
    **settings: Any,
) -> None:
    """Attempt a job with one handler."""
    consumer = EventConsumer("valuation", **settings)
    consumer.on(OptimizationEvaluated)(handler)
    await AttemptRunner(consumer, spans=AttemptSpans("valuation", mode, server=server))(job or received(trace=TM))


async def test_attempt_has_a_span_named_after_its_queue(recorded: Recording) -> None:
    """It is of the kind CONSUMER, with the ids of the event, and the server's address."""
    event = evaluated(correlation_id="stay-7")

    await attempt(done, received(event), server=server_attributes("redis://user:secret@redis.local:6379/1"))

    (span,) = recorded.spans
    assert (span.name, span.kind, span.status.status_code) == (
        "process valuation",
        SpanKind.CONSUMER,
        StatusCode.UNSET,
    )
    assert dict(span.attributes or {}) == {
        "messaging.system": "redis",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "valuation",
        "messaging.message.id": event.id,
        "messaging.message.conversation_id": "stay-7",
        "server.address": "redis.local",
        "server.port": 6379,
    }


async def test_attempt_links_to_its_message_by_default(recorded: Recording) -> None:
    """It begins a trace, which refers to the one in which the event was published."""
    await attempt(done)

    span = recorded.only("process")
    assert span.parent is None
    assert context_of(span).trace_id != TRACE_ID
    assert linked(span) == [TRACEPARENT]


@pytest.mark.parametrize("mode", ["link", "parent"])
async def test_attempt_is_no_part_of_what_runs_the_worker(recorded: Recording, mode: Any) -> None:
    """A span around the whole worker is not the parent, also if the message's context cannot be read."""
    with recorded.app.start_as_current_span("program"):
        await attempt(done, received(trace='{"traceparent":"rubbish"}'), mode=mode)

    span = recorded.only("process")
    assert (span.parent, linked(span)) == (None, [])


async def test_other_values_of_the_context_reach_the_handler(recorded: Recording) -> None:
    """Only the span is another one: baggage of the program is there as well."""
    seen: list[object] = []

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        seen.append(baggage.get_baggage("tenant"))

    token = otel_context.attach(baggage.set_baggage("tenant", "ward-7"))
    try:
        await attempt(handler)
    finally:
        otel_context.detach(token)

    assert seen == ["ward-7"]


async def test_attempt_may_be_a_part_of_its_message_s_trace(recorded: Recording) -> None:
    """With `trace="parent"` it is a child of the span in which the event was published."""
    await attempt(done, mode="parent")

    span = recorded.only("process")
    assert span.parent is not None
    assert (span.parent.trace_id, span.parent.span_id) == (TRACE_ID, SPAN_ID)
    assert linked(span) == []


async def test_context_of_the_event_counts_where_the_job_was_given_none(recorded: Recording) -> None:
    """Jobs that were added by an older version are traced by what the event itself carries."""
    data = message(evaluated()).decode().removesuffix("}") + f',"traceparent":"{TRACEPARENT}"}}'

    await attempt(done, ReceivedJob("event-1", "price-stay", 1, data))

    assert linked(recorded.only("process")) == [TRACEPARENT]


async def test_handler_learns_the_context(recorded: Recording) -> None:
    """`EventContext` has the headers as they came."""
    seen: list[EventContext] = []

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        seen.append(context)

    await attempt(handler)

    assert [(context.traceparent, context.tracestate) for context in seen] == [(TRACEPARENT, "vendor=1")]


async def test_what_the_handler_publishes_continues_its_span(recorded: Recording) -> None:
    """A follow-up event is sent in the attempt's trace."""
    producer = EventProducer[Any](ScriptedPublisher(), channel_for=lambda _: EVALUATED, source="valuation")

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        await producer.publish(event)

    await attempt(handler)

    assert recorded.only("send").parent == context_of(recorded.only("process"))


async def test_plain_function_runs_in_its_span_too(recorded: Recording) -> None:
    """The thread of a plain function has the attempt's span as its current one."""
    current: list[tuple[bool, str]] = []

    def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        is_elsewhere = threading.current_thread() is not threading.main_thread()
        current.append((is_elsewhere, traceparent_of(trace.get_current_span().get_span_context())))

    await attempt(handler)

    assert current == [(True, traceparent_of(recorded.only("process")))]


async def test_each_attempt_is_a_span(recorded: Recording) -> None:
    """A job that is tried three times has three spans, each with its error."""
    for number in range(1, 4):
        await attempt(raising(ValueError("stay 7")), received(attempt=number, attempts=3))

    assert [(span.attributes or {})["error.type"] for span in recorded.all("process")] == ["ValueError"] * 3


async def test_failure_is_the_span_s_error_without_its_text(recorded: Recording) -> None:
    """The message of an exception may quote the payload, so the span has its class alone."""
    await attempt(raising(ValueError("stay 7")))

    span = recorded.only("process")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert not span.events


@pytest.mark.parametrize(("error", "recorded_error"), [(GiveUp("why"), "GiveUp"), (RetryLater(5), None)])
async def test_outcome_of_a_handler_is_an_error_if_the_job_fails(
    recorded: Recording, error: Exception, recorded_error: str | None
) -> None:
    """Giving up is an error; asking for another time is not."""
    await attempt(raising(error))

    assert (recorded.only("process").attributes or {}).get("error.type") == recorded_error


async def test_error_that_the_error_handler_forgives_is_none(recorded: Recording) -> None:
    """An attempt that counts as done has no error."""

    class Forgiving(ErrorHandler):
        def outcome_of(self, error: BaseException, context: EventContext) -> Any:
            return Done()

    await attempt(raising(ValueError()), errors=Forgiving())

    assert "error.type" not in (recorded.only("process").attributes or {})


async def test_job_that_cannot_be_read_has_a_span(recorded: Recording) -> None:
    """It says what the job failed with, and refers to the context that the job was given."""
    await attempt(done, ReceivedJob("event-1", "price-stay", 1, "rubbish", trace=TM))

    span = recorded.only("process")
    assert (span.attributes or {})["error.type"] == "HostileJsonError"
    assert linked(span) == [TRACEPARENT]


async def test_attempt_that_the_worker_cancels_ends_its_span(recorded: Recording) -> None:
    """What is cut short by a shutdown is recorded as that."""
    begun = asyncio.Event()

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(attempt(handler))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert (recorded.only("process").attributes or {})["error.type"] == "CancelledError"


async def test_attempts_side_by_side_have_spans_of_their_own(recorded: Recording) -> None:
    """Each handler sees its own attempt's span, whatever else runs."""
    current: dict[str, str] = {}

    async def handler(event: OptimizationEvaluated, context: EventContext) -> None:
        await asyncio.sleep(0)
        current[event.id] = traceparent_of(trace.get_current_span().get_span_context())

    events = [evaluated() for _ in range(5)]
    await asyncio.gather(*(attempt(handler, received(event)) for event in events))

    assert current == {
        (span.attributes or {})["messaging.message.id"]: traceparent_of(span) for span in recorded.all("process")
    }


def test_setting_is_one_of_two() -> None:
    """Anything else is refused when the settings are made."""
    given: Any = "child"
    with pytest.raises(ConfigurationError, match='trace is \'child\', must be "link" or "parent"'):
        WorkerSettings(trace=given)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("unix:///run/redis.sock", {"server.address": "/run/redis.sock"}),
        ("redis+sentinel://one:26379,two:26379/mymaster", {}),
        ("redis+cluster://one:6379,two:6379", {}),
    ],
)
def test_server_is_named_if_it_is_always_the_same(url: str, expected: dict[str, str]) -> None:
    """Which server of several it is changes from call to call."""
    assert server_attributes(url) == expected
