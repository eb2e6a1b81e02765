"""What domainstream reports about itself while it runs: signals, spans and metrics, each a row of a table."""

from domainstream.telemetry.active import NO_TRACING, current_ids, set_tracing, tracing
from domainstream.telemetry.emitting import FIELD_PREFIX, emit
from domainstream.telemetry.signals import Signal
from domainstream.telemetry.spans import Attribute, Metric, Span
from domainstream.telemetry.tracing import NO_ATTRIBUTES, Attributes, Context, OpenSpan, Tracing

__all__ = [
    "FIELD_PREFIX",
    "NO_ATTRIBUTES",
    "NO_TRACING",
    "Attribute",
    "Attributes",
    "Context",
    "Metric",
    "OpenSpan",
    "Signal",
    "Span",
    "Tracing",
    "current_ids",
    "emit",
    "set_tracing",
    "tracing",
]
