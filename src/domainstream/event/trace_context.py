"""The trace context of an event, as the places write it that it is carried in: its message, and its jobs.

A context says which span the event was made in. It is copied from one place to the next as it is, and never changed.
"""

import msgspec
from msgspec import Struct

from domainstream.event.message import EventMessage
from domainstream.telemetry import Context
from domainstream.text import JSON_ERRORS


class _Carrier(Struct, frozen=True, omit_defaults=True, gc=False):
    """The fields of a JSON object that are a trace context; a message has others beside them."""

    traceparent: str = ""
    tracestate: str | None = None


_read = msgspec.json.Decoder(_Carrier).decode
_write = msgspec.json.Encoder().encode


def trace_of(message: EventMessage) -> str:
    """Return a message's context as a JSON object, which is what jobs carry; empty if it has none."""
    if not message.traceparent:
        return ""
    return _write(_Carrier(message.traceparent, message.tracestate or None)).decode()


def read_context(data: bytes | str) -> Context | None:
    """Return the context in a JSON object, of a message or of what `trace_of` returned; None if there is none."""
    if not data:
        return None
    try:
        carrier = _read(data)
    except JSON_ERRORS:
        return None
    return trace_context(carrier.traceparent, carrier.tracestate)


def trace_context(traceparent: str | None, tracestate: str | None) -> Context | None:
    """Return the context of these two; None without the first."""
    if not traceparent:
        return None
    return {"traceparent": traceparent, "tracestate": tracestate} if tracestate else {"traceparent": traceparent}
