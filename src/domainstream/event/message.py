"""The envelope: one event as a CloudEvents 1.0 JSON object. Before: `base_event`; next: `codec`.

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
    """One event on the wire; the fields are CloudEvents attributes, so they are lower-case without underscores.

    Attributes:
        specversion: Always "1.0".

        id: The event's id.

        source: `/services/{service}`.

        type: The event's type, equal to the channel's value.

        time: When it happened, RFC 3339 in UTC.

        subject: The aggregate's id.

        data: The payload. In a message that was read it is still JSON text; in one to be written it is the object
        itself.

        datacontenttype: Always `application/json` when we write it; may be missing when we read.

        dataschema: `urn:domainstream:events/{type}/{version}`; when missing, the version is 1.

        correlationid, causationid, traceparent, tracestate, partitionkey: As the event or the tracer has them.

        sequence: 20 digits, zero-padded, since the extension asks for strings that sort in order.
    """

    specversion: Literal["1.0"]
    id: NonEmpty
    source: str
    type: str
    time: Annotated[datetime, Meta(tz=True)]
    subject: NonEmpty
    datacontenttype: str | None = None
    dataschema: str | None = None
    correlationid: str | None = None
    causationid: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    partitionkey: str | None = None
    sequence: str | None = None
    data: Raw

    @property
    def version(self) -> str:
        """The version as it stands in `dataschema`; "1" when there is none."""
        return self.dataschema.rpartition("/")[2] if self.dataschema else "1"


def schema_of(event_type: str, version: int) -> str:
    """Return the `dataschema` of an event type's version."""
    return f"{SCHEMA_PREFIX}/{event_type}/{version}"
