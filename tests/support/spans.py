"""Spans and metrics as OpenTelemetry's SDK records them, for the time of a block."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler
from opentelemetry.trace import SpanContext, Tracer

from domainstream.telemetry import Span, set_tracing
from domainstream.telemetry.otel import OpenTelemetryTracing
from domainstream.telemetry.spans import COMMON_ATTRIBUTES

TRACE_ID = 0x4BF92F3577B34DA6A3CE929D0E0E4736
SPAN_ID = 0x00F067AA0BA902B7
TRACEPARENT = f"00-{TRACE_ID:032x}-{SPAN_ID:016x}-01"
"""The context of a span of another program."""


class Recording:
    """What was recorded so far."""

    def __init__(self, sampler: Sampler = ALWAYS_ON) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = TracerProvider(sampler=sampler)
        """Makes tracers."""
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider([self._reader])
        """Makes meters."""

    @property
    def app(self) -> Tracer:
        """The application's own tracer."""
        return self.tracers.get_tracer("app")

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended, of domainstream alone."""
        return [
            span
            for span in self._exporter.get_finished_spans()
            if span.instrumentation_scope is not None and span.instrumentation_scope.name == "domainstream"
        ]

    def only(self, operation: str) -> ReadableSpan:
        """Return the only span of an operation, which is the first word of its name."""
        (span,) = self.all(operation)
        return span

    def all(self, operation: str) -> list[ReadableSpan]:
        """Return the spans of an operation."""
        return [span for span in self.spans if span.name.partition(" ")[0] == operation]

    def points(self, metric: str) -> list[Any]:
        """Return the data points of a metric."""
        data = self._reader.get_metrics_data()
        scopes = [scope for resource in (data.resource_metrics if data else ()) for scope in resource.scope_metrics]
        found = [each for scope in scopes for each in scope.metrics if each.name == metric]
        return [point for each in found for point in each.data.data_points]


@contextmanager
def recording(sampler: Sampler = ALWAYS_ON) -> Iterator[Recording]:
    """Record everything that domainstream reports in this block."""
    recorded = Recording(sampler)
    set_tracing(OpenTelemetryTracing(tracer_provider=recorded.tracers, meter_provider=recorded.meters))
    try:
        yield recorded
    finally:
        set_tracing(None)
        recorded.tracers.shutdown()
        recorded.meters.shutdown()


def context_of(span: ReadableSpan) -> SpanContext:
    """Return the ids of a span that was recorded."""
    context: SpanContext | None = span.context
    assert context is not None
    return context


def traceparent_of(span: ReadableSpan | SpanContext) -> str:
    """Return the context of a span, as messages have it."""
    context = context_of(span) if isinstance(span, ReadableSpan) else span
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def undocumented(span: ReadableSpan) -> set[str]:
    """Return the attributes that a span has although the table of spans does not say so."""
    attributes = span.attributes or {}
    operation, kind = attributes["messaging.operation.name"], span.kind.name
    (row,) = [row for row in Span if (row.operation, row.kind) == (operation, kind)]
    return set(attributes) - {str(name) for name in (*COMMON_ATTRIBUTES, *row.attributes)}


def linked(span: ReadableSpan) -> list[str]:
    """Return the contexts that a span links to."""
    return [traceparent_of(link.context) for link in span.links]
