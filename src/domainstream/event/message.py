"""The envelope of an event: a CloudEvents 1.0 JSON object.

The format is specified in https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md and the
extensions `partitioning`, `sequence` and `distributed-tracing` beside it. `docs/wire-format` holds golden files.
"""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct

JSON_CONTENT_TYPE = "application/json"
SCHEMA_PREFIX = "urn:domainstream:events"

NonEmpty = Annotated[str, Meta(min_length=1)]


class EventMessage(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One event on the wire.

    The fields are named like the CloudEvents attributes: lower case, no underscores.
    """

    specversion: Literal["1.0"]
    """Always "1.0"."""

    id: NonEmpty
    """The event's id."""

    source: str
    """`/services/{service}`."""

    type: str
    """The event's type, equal to the value of its channel."""

    time: Annotated[datetime, Meta(tz=True)]
    """When the event happened: RFC 3339, in UTC."""

    subject: NonEmpty
    """The aggregate's id."""

    datacontenttype: str | None = None
    """Always `application/json` when written; may be missing in messages of other systems."""

    dataschema: str | None = None
    """`urn:domainstream:events/{type}/{version}`; if missing, the version is 1."""

    correlationid: str | None = None
    """The event's `correlation_id`."""

    causationid: str | None = None
    """The event's `causation_id`."""

    traceparent: str | None = None
    """The span that published the event (W3C Trace Context)."""

    tracestate: str | None = None
    """Vendor data of that span (W3C Trace Context)."""

    partitionkey: str | None = None
    """The event's `partition_key`."""

    sequence: str | None = None
    """The event's `sequence`, zero-padded to 20 digits: the extension requires strings that sort in order."""

    data: Raw
    """The payload: still JSON text in a message that was read, the object itself in one to be written."""

    @property
    def version(self) -> str:
        """The version in `dataschema`; "1" without a `dataschema`."""
        return self.dataschema.rpartition("/")[2] if self.dataschema else "1"


def schema_of(event_type: str, version: int) -> str:
    """Return the `dataschema` of one version of an event type."""
    return f"{SCHEMA_PREFIX}/{event_type}/{version}"
