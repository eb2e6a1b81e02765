"""What became of each event of a `publish` call."""

from enum import StrEnum

from msgspec import Struct


class Outcome(StrEnum):
    """The four things that can have become of an event."""

    PUBLISHED = "published"
    """The server has the entry."""

    NOT_PUBLISHED = "not_published"
    """The mapper said None: the event stays inside its service."""

    REJECTED = "rejected"
    """It is certain that the server has no entry: publishing again makes no duplicate."""

    UNKNOWN = "unknown"
    """It was sent but no answer came in time: the server may have the entry or not."""


class Receipt(Struct, frozen=True, kw_only=True, gc=False):
    """What became of one event."""

    event_id: str
    """The event's id."""

    outcome: Outcome
    """One of the four outcomes."""

    channel: str | None = None
    """The channel it was meant for; None when the mapper said None."""

    entry_id: str | None = None
    """The stream entry's id, `milliseconds-number` on the server's clock, when published."""

    error: Exception | None = None
    """Why it was rejected, or why its fate is unknown."""
