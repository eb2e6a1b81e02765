"""Who records: OpenTelemetry where it is installed, nobody where it is not or is switched off."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanContext, TraceFlags
from support.coding import channel_for, created
from support.consuming import OptimizationEvaluated
from support.handling import received
from support.publishers import ScriptedPublisher
from support.spans import SPAN_ID, TRACE_ID, TRACEPARENT

from domainstream import EventProducer
from domainstream.telemetry import NO_TRACING, Span, active, current_ids, set_tracing, tracing
from domainstream.telemetry.otel import OpenTelemetryTracing
from domainstream.worker import EventConsumer, EventContext
from domainstream.worker.attempt import AttemptRunner
from domainstream.worker.outcomes import Completed

BLOCKED = """
import asyncio, sys
sys.modules["opentelemetry"] = None  # as if it were not installed
from domainstream import BaseEvent, EventPayload, EventPublisherChannel, EventProducer, MemoryPublisher
from domainstream.telemetry import NO_TRACING, tracing

class Payload(EventPayload):
    price: int

class Priced(BaseEvent[Payload]):
    event_type = "domain_valuation_stay_priced"

class Channel(EventPublisherChannel):
    DOMAIN_VALUATION_STAY_PRICED = "domain_valuation_stay_priced"

publisher = MemoryPublisher()
producer = EventProducer(publisher, channel_for=lambda _: Channel.DOMAIN_VALUATION_STAY_PRICED, source="valuation")
event = Priced(aggregate_id="stay-7", payload=Payload(price=7))
print(asyncio.run(producer.publish(event)).outcome.value, tracing() is NO_TRACING)
"""


@pytest.fixture(autouse=True)
def _as_at_first() -> Iterator[None]:
    """Let the next use find out who records."""
    yield
    set_tracing(None)


def run(program: str) -> str:
    """Run a program and return what it prints."""
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()


def test_opentelemetry_is_used_where_it_is_installed() -> None:
    """Nothing has to be switched on."""
    assert isinstance(set_tracing(None), OpenTelemetryTracing)


def test_events_are_published_without_the_package() -> None:
    """Where OpenTelemetry is not installed, nothing is recorded and everything works."""
    assert run(BLOCKED) == "published True"


@pytest.mark.parametrize("listed", ["domainstream", "redis, domainstream"])
def test_environment_switches_it_off(monkeypatch: pytest.MonkeyPatch, listed: str) -> None:
    """The variable is the one that OpenTelemetry's own instrumentations obey."""
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", listed)

    assert set_tracing(None) is NO_TRACING


def test_environment_that_names_others_leaves_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of other instrumentations does not count."""
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "redis,domainstream-else")

    assert set_tracing(None) is not NO_TRACING


@pytest.mark.parametrize(
    ("installed", "is_used"), [("1.9.0", False), ("1.29.0", False), ("1.30.0", True), ("2.0b1", True)]
)
def test_api_that_is_too_old_is_not_used(monkeypatch: pytest.MonkeyPatch, installed: str, is_used: bool) -> None:
    """A service that has an older API for other reasons publishes as ever, without spans."""
    monkeypatch.setattr(active, "version", lambda _: installed)

    assert isinstance(set_tracing(None), OpenTelemetryTracing) == is_used


async def test_without_tracing_every_stage_works() -> None:
    """Events are published and handled as ever, and messages carry no context."""
    set_tracing(NO_TRACING)
    publisher = ScriptedPublisher()
    consumer = EventConsumer("valuation")

    @consumer.on(OptimizationEvaluated)
    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        pass

    await EventProducer(publisher, channel_for=channel_for, source="coding").publish(created())
    assert await AttemptRunner(consumer)(received()) == Completed()
    assert b"traceparent" not in publisher.calls[0][0].data


async def test_without_an_sdk_messages_carry_no_context() -> None:
    """OpenTelemetry's API alone makes no spans, so there is nothing to continue."""
    publisher = ScriptedPublisher()

    await EventProducer(publisher, channel_for=channel_for, source="coding").publish(created())

    assert b"traceparent" not in publisher.calls[0][0].data


def test_span_of_nobody_has_no_context() -> None:
    """What is switched off costs a call, and says that there is nothing to carry."""
    set_tracing(NO_TRACING)
    with tracing().span(Span.PROCESS, "valuation") as span:
        span.failed(ValueError())
        assert span.context is None
        assert current_ids() is None


class Asked:
    """Counts how often OpenTelemetry's API is asked for a span."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tracing = OpenTelemetryTracing()
        self.times = 0
        monkeypatch.setattr(self.tracing, "_start", self._start)

    def _start(self, *_: object) -> trace.Span:
        self.times += 1
        return trace.INVALID_SPAN


def test_api_alone_is_not_asked_for_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an SDK a span does nothing, and messages still get the context that somebody else has made current."""
    asked, current = (
        Asked(monkeypatch),
        trace.NonRecordingSpan(SpanContext(TRACE_ID, SPAN_ID, is_remote=False, trace_flags=TraceFlags(1))),
    )
    with asked.tracing.span(Span.PUBLISH, "domain_coding_stay_coded") as alone:
        assert alone.context is None
    with trace.use_span(current), asked.tracing.span(Span.PUBLISH, "domain_coding_stay_coded") as span:
        assert span.context == {"traceparent": TRACEPARENT}
    assert asked.times == 0


def test_sdk_that_is_set_up_later_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once there is a provider that does something, and a second has passed, spans are asked for."""
    asked = Asked(monkeypatch)
    with asked.tracing.span(Span.PUBLISH, "domain_coding_stay_coded"):
        monkeypatch.setattr(trace, "get_tracer_provider", TracerProvider)
        monkeypatch.setattr(asked.tracing, "_next_look", 0.0)
    with asked.tracing.span(Span.PUBLISH, "domain_coding_stay_coded"):
        assert asked.times == 1
