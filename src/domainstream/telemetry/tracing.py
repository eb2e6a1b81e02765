"""The port of traces and metrics: what the stages report, and how little it is without OpenTelemetry.

A *context* says which span a message comes from: its `traceparent` and `tracestate`, as W3C Trace Context has them. It
is made where the message is, and nobody on the way changes it.
"""

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Final, Protocol, Self

from domainstream.telemetry.spans import Attribute, Span

Context = Mapping[str, str]
"""The `traceparent` and perhaps the `tracestate` of a span."""

Attributes = Mapping[Attribute, str | int]
Links = Callable[[], Iterable[Context]]
"""Returns the contexts that a span links to; called only if the span is recorded."""

NO_ATTRIBUTES: Final[Attributes] = {}


class OpenSpan(Protocol):
    """A span from its begin to its end: a context manager, in which it is the current span.

    An error that leaves the block is its error. For one task or thread.
    """

    @property
    def context(self) -> Context | None:
        """Its context, for what is made in it; None without one."""
        ...

    def failed(self, error: BaseException) -> None:
        """Note an error that does not leave the block."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class Tracing(Protocol):
    """Records spans, and the metrics of their rows. For any number of tasks and threads; never raises."""

    def span(
        self,
        span: Span,
        destination: str,
        attributes: Attributes = NO_ATTRIBUTES,
        *,
        links: Links | None = None,
        parent: Context | None = None,
    ) -> OpenSpan:
        """Return a span of this row, about a channel or a queue, or about several ones if `destination` is empty.

        A `Span.PUBLISH` is a child of the current span. The others are children of `parent`; without one, they begin a
        trace.
        """
        ...

    def context(self) -> Context | None:
        """Return the context of the current span; None if there is none."""
        ...


class NoSpan:
    """The span of those who record none."""

    __slots__ = ("context",)

    def __init__(self, context: Context | None = None) -> None:
        """Let messages have the context of the span around it, if there is one."""
        self.context = context

    def failed(self, error: BaseException) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass


NO_SPAN: Final = NoSpan()


class NoTracing:
    """A `Tracing` that records nothing, and costs next to nothing."""

    def span(
        self,
        span: Span,
        destination: str,
        attributes: Attributes = NO_ATTRIBUTES,
        *,
        links: Links | None = None,
        parent: Context | None = None,
    ) -> OpenSpan:
        """Return a span that does nothing."""
        del span, destination, attributes, links, parent
        return NO_SPAN

    def context(self) -> Context | None:
        """Return None: there is no current span."""
        return None
