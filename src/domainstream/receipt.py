"""Receipts: the outcome of each event of a `publish` call."""

from enum import StrEnum

from msgspec import Struct


class Outcome(StrEnum):
    """The possible outcomes of publishing an event."""

    PUBLISHED = "published"
    """The server stored the entry."""

    NOT_PUBLISHED = "not_published"
    """The mapper returned None: the event stays inside its service."""

    STORED = "stored"
    """The event is in the outbox, in the caller's transaction: once that is committed, a relay will publish it."""

    REJECTED = "rejected"
    """The server certainly has no entry, so publishing the event again cannot create a duplicate."""

    UNKNOWN = "unknown"
    """The event was sent but no answer arrived in time: the server may or may not have the entry."""


class Receipt(Struct, frozen=True, kw_only=True, gc=False):
    """The outcome of publishing one event."""

    event_id: str
    """The event's id."""

    outcome: Outcome
    """Whether the event was published."""

    channel: str | None = None
    """The event's channel; None if the event stays inside its service."""

    entry_id: str | None = None
    """The id of the stream entry, `milliseconds-number` by the server's clock; None unless published."""

    error: Exception | None = None
    """Why the event was rejected, or why its outcome is unknown; otherwise None."""
