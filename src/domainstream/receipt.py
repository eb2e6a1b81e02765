"""Receipts: the outcome of each event of a `publish` call."""

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from domainstream.text import described, list_problems


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

    confirmed_by: int | None = None
    """How many replicas had the entry by then; None unless the publisher waits for them."""

    error: Exception | None = None
    """Why the event was rejected, or why its outcome is unknown; otherwise None."""


def summary_of(receipts: Sequence[Receipt]) -> str:
    """Return what a `PublishError` says: which events are in no stream, which may be in one, and why."""
    rejected, unknown = (
        [receipt.event_id for receipt in receipts if receipt.outcome is outcome]
        for outcome in (Outcome.REJECTED, Outcome.UNKNOWN)
    )
    parts = []
    if rejected:
        parts.append(
            f"Rejected: {len(rejected)} of {len(receipts)} events ({_first(rejected)}). They are in no stream; publish "
            "them again once the cause is fixed."
        )
    if unknown:
        parts.append(
            f"Unknown outcome: {len(unknown)} of {len(receipts)} events ({_first(unknown)}). They may be in their "
            "streams; if you publish them again, consumers recognize the repeat by the event id."
        )
    errors = [receipt.error for receipt in receipts if receipt.error]
    reasons = sorted({described(error) for error in errors})
    return list_problems(f"{' '.join(parts)} Each event's receipt is in .receipts. The causes:", reasons)


def _first(event_ids: Sequence[str]) -> str:
    return ", ".join(event_ids[:3]) + (", ..." if len(event_ids) > 3 else "")
