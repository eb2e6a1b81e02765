"""The envelope: one event as a CloudEvents 1.0 JSON object.

Source of the format: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md and the
extensions `partitioning`, `sequence` and `distributed-tracing` beside it. `docs/wire-format` holds golden files.
"""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct

JSON_CONTENT_TYPE = "application/json"
SCHEMA_PREFIX = "urn:domainstream:events"

NonEmpty = Annotated[str, Meta(min_length=1)]


class EventMessage(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One event on the wire; the fields are CloudEvents attributes, so they are lower-case without underscores."""

    specversion: Literal["1.0"]
    """Always "1.0"."""

    id: NonEmpty
    """The event's id."""

    source: str
    """`/services/{service}`."""

    type: str
    """The event's type, equal to the channel's value."""

    time: Annotated[datetime, Meta(tz=True)]
    """When it happened, RFC 3339 in UTC."""

    subject: NonEmpty
    """The aggregate's id."""

    datacontenttype: str | None = None
    """Always `application/json` when we write it; may be missing when we read."""

    dataschema: str | None = None
    """`urn:domainstream:events/{type}/{version}`; when missing, the version is 1."""

    correlationid: str | None = None
    """As the event has it."""

    causationid: str | None = None
    """As the event has it."""

    traceparent: str | None = None
    """As the tracer has it."""

    tracestate: str | None = None
    """As the tracer has it."""

    partitionkey: str | None = None
    """As the event has it."""

    sequence: str | None = None
    """20 digits, zero-padded, since the extension asks for strings that sort in order."""

    data: Raw
    """The payload. In a message that was read it is still JSON text; in one to be written it is the object itself."""

    @property
    def version(self) -> str:
        """The version as it stands in `dataschema`; "1" when there is none."""
        return self.dataschema.rpartition("/")[2] if self.dataschema else "1"


def schema_of(event_type: str, version: int) -> str:
    """Return the `dataschema` of an event type's version."""
    return f"{SCHEMA_PREFIX}/{event_type}/{version}"
