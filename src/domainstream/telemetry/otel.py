"""Traces and metrics by OpenTelemetry. Implements `Tracing`; imported only where the package is there.

As OpenTelemetry's API is meant to be: everything here is a no-op until the application sets up an SDK, or an agent does
it for the application. Until then the API is not asked for spans, which would cost a single event more than encoding
it: FastAPI alone brings the API along. A span's context is always written as W3C Trace Context, whatever propagators
are set up: that is what an event's envelope and BullMQ's jobs hold.

No span holds the text of an error, because that may quote a payload.
"""

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from time import monotonic, perf_counter
from types import TracebackType
from typing import Final, NamedTuple, Self

from opentelemetry import context as contexts
from opentelemetry import metrics, trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from domainstream.telemetry.spans import (
    BUCKETS,
    MAX_LINKS,
    METRIC_ATTRIBUTES,
    SYSTEM,
    Attribute,
    Metric,
    Span,
)
from domainstream.telemetry.tracing import NO_ATTRIBUTES, NO_SPAN, Attributes, Context, Links, NoSpan, OpenSpan

NAME: Final = "domainstream"
"""The name of the instrumentation."""

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"
"""The version of the semantic conventions that the names are of."""

_NOWHERE: Final = contexts.Context()
_OF_METRICS: Final = tuple(name.value for name in METRIC_ATTRIBUTES)
_COUNT: Final = Attribute.BATCH_COUNT.value
_ERROR: Final = Attribute.ERROR_TYPE.value
_read = TraceContextTextMapPropagator().extract
_Values = dict[str, str | int]


class _Known(NamedTuple):
    """What all spans of a row and a destination have in common."""

    name: str
    attributes: _Values
    kind: trace.SpanKind


class OpenTelemetryTracing:
    """A `Tracing` that passes everything to OpenTelemetry's API."""

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        """Use the providers of the application, or else those that OpenTelemetry has for the whole process."""
        self._is_heard = tracer_provider is not None or meter_provider is not None
        self._next_look = 0.0
        self._start = trace.get_tracer(NAME, _version(), tracer_provider, SCHEMA_URL).start_span
        meter = metrics.get_meter(NAME, _version(), meter_provider, SCHEMA_URL)
        durations = {
            row: meter.create_histogram(row.value, row.unit, row.meaning, explicit_bucket_boundaries_advisory=BUCKETS)
            for row in Metric
            if row.instrument == "histogram"
        }
        counts = {
            row: meter.create_counter(row.value, row.unit, row.meaning) for row in Metric if row.instrument == "counter"
        }
        self._instruments = {
            span: (
                [durations[metric].record for metric in span.metrics if metric in durations],
                [counts[metric].add for metric in span.metrics if metric in counts],
            )
            for span in Span
        }

    def span(
        self,
        span: Span,
        destination: str,
        attributes: Attributes = NO_ATTRIBUTES,
        *,
        links: Links | None = None,
        parent: Context | None = None,
    ) -> OpenSpan:
        """Return a span that has begun; see `Tracing.span`."""
        if parent is None and not (self._is_heard or self._looks_again()):
            around_it = self.context() if span is Span.PUBLISH else None
            return NO_SPAN if around_it is None else NoSpan(around_it)
        known = _known(span, destination)
        around = contexts.get_current()
        if span is not Span.PUBLISH:
            around = trace.set_span_in_context(trace.INVALID_SPAN, around)
            around = around if parent is None else _read(parent, around)
        values = {**known.attributes, **{str(name): value for name, value in attributes.items()}}
        begun = self._start(known.name, around, known.kind, values)
        # Not as arguments: contexts are read from messages, which nine in ten spans would do for nothing.
        if links is not None and begun.is_recording():
            for each in islice(links(), MAX_LINKS):
                linked = trace.get_current_span(_read(each, _NOWHERE)).get_span_context()
                if linked.is_valid:
                    begun.add_link(linked)
        return _OpenSpan(self, span, begun, around, values)

    def _looks_again(self) -> bool:
        """Return whether there is an SDK by now, which is looked for once a second."""
        now = monotonic()
        if now >= self._next_look:
            self._next_look = now + 1
            self._is_heard = _has_sdk()
        return self._is_heard

    def context(self) -> Context | None:
        """Return the context of the current span; see `Tracing.context`."""
        return _context_of(trace.get_current_span())

    def record(self, row: Span, values: _Values, seconds: float) -> None:
        """Record the metrics of a span that has ended."""
        own = {name: values[name] for name in _OF_METRICS if name in values}
        durations, counts = self._instruments[row]
        for record in durations:
            record(seconds, own)
        for add in counts:
            add(int(values.get(_COUNT, 1)), own)


class _OpenSpan:
    """A span of OpenTelemetry's; see `OpenSpan`."""

    __slots__ = ("_around", "_began", "_owner", "_row", "_span", "_token", "_values")

    def __init__(
        self, owner: OpenTelemetryTracing, row: Span, span: trace.Span, around: contexts.Context, values: _Values
    ) -> None:
        self._owner, self._row, self._span, self._around, self._values = owner, row, span, around, values
        self._token: object = None
        self._began = perf_counter()

    @property
    def context(self) -> Context | None:
        """Its context; see `OpenSpan.context`."""
        return _context_of(self._span)

    def failed(self, error: BaseException) -> None:
        """Note an error; see `OpenSpan.failed`."""
        self._values[_ERROR] = type(error).__name__
        if self._span.is_recording():
            self._span.set_attribute(_ERROR, type(error).__name__)
            self._span.set_status(trace.StatusCode.ERROR)

    def __enter__(self) -> Self:
        self._token = contexts.attach(trace.set_span_in_context(self._span, self._around))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A coroutine that is closed by the garbage collector is in a context that does not know the token.
        if not isinstance(error, GeneratorExit):
            contexts.detach(self._token)  # type: ignore[arg-type]
        if error is not None:
            self.failed(error)
        self._span.end()
        self._owner.record(self._row, self._values, perf_counter() - self._began)


def _has_sdk() -> bool:
    """Return whether somebody has set up a provider that is not the API's own, which does nothing."""
    return not (
        type(trace.get_tracer_provider()).__module__.startswith("opentelemetry.trace")
        and type(metrics.get_meter_provider()).__module__.startswith("opentelemetry.metrics")
    )


@lru_cache(maxsize=4096)
def _known(row: Span, destination: str) -> _Known:
    attributes: _Values = {
        Attribute.SYSTEM.value: SYSTEM,
        Attribute.OPERATION_NAME.value: row.operation,
        Attribute.OPERATION_TYPE.value: row.operation_type,
    }
    if destination:
        attributes[Attribute.DESTINATION.value] = destination
    return _Known(f"{row.operation} {destination}".rstrip(), attributes, trace.SpanKind[row.kind])


def _context_of(span: trace.Span) -> Context | None:
    own = span.get_span_context()
    if not own.is_valid:
        return None
    traceparent = f"00-{own.trace_id:032x}-{own.span_id:016x}-{own.trace_flags:02x}"
    if not own.trace_state:
        return {"traceparent": traceparent}
    return {"traceparent": traceparent, "tracestate": own.trace_state.to_header()}


def _version() -> str:
    try:
        return version(NAME)
    except PackageNotFoundError:  # run from its source
        return ""
