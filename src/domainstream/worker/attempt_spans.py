"""The spans of attempts at jobs."""

from typing import Literal

from domainstream.event.trace_context import read_context, trace_context
from domainstream.telemetry import NO_ATTRIBUTES, Attribute, Attributes, OpenSpan, Span, tracing
from domainstream.worker.context import EventContext, ReceivedJob


class AttemptSpans:
    """Makes the spans of the attempts at the jobs of one queue."""

    def __init__(
        self, queue: str, trace: Literal["link", "parent"] = "link", *, server: Attributes = NO_ATTRIBUTES
    ) -> None:
        """Refer to the message's context as `WorkerSettings.trace` says; `server` is what spans say of the server."""
        self._queue = queue
        self._is_child = trace == "parent"
        self._server = server

    def open(self, job: ReceivedJob, event: EventContext | None) -> OpenSpan:
        """Return the span of an attempt at `job`, whose event has the context `event`; None if it cannot be read."""
        if event is None:
            trace, attributes = read_context(job.trace), self._server
        else:
            trace = trace_context(event.traceparent, event.tracestate)
            attributes = {
                Attribute.MESSAGE_ID: event.event_id,
                Attribute.CONVERSATION_ID: event.correlation_id,
                **self._server,
            }
        if trace is None:
            return tracing().span(Span.PROCESS, self._queue, attributes)
        if self._is_child:
            return tracing().span(Span.PROCESS, self._queue, attributes, parent=trace)
        return tracing().span(Span.PROCESS, self._queue, attributes, links=lambda: (trace,))
