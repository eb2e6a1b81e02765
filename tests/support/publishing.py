"""Helpers for tests of publishers: messages, retry policies that give up soon, and stream contents."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import count
from typing import Any

from domainstream import Outcome, Receipt, RetryPolicy
from domainstream.producer import OutgoingMessage

PATIENT = RetryPolicy(attempt_timeout=timedelta(milliseconds=500))
IMPATIENT = RetryPolicy(deadline=timedelta(milliseconds=300), attempt_timeout=timedelta(milliseconds=100))
_numbers = count(1)


def messages(channel: str, number: int) -> list[OutgoingMessage]:
    """Return messages that are all different."""
    ids = [f"event-{next(_numbers)}" for _ in range(number)]
    return [OutgoingMessage(channel, event_id, f'{{"id":"{event_id}"}}'.encode()) for event_id in ids]


async def entries(redis: Any, key: str) -> list[tuple[str, bytes]]:
    """Return all entries of a stream as pairs of entry id and message."""
    return [(entry_id.decode(), fields[b"data"]) for entry_id, fields in await redis.xrange(key)]


def outcomes(receipts: Sequence[Receipt]) -> set[Outcome]:
    """Return the different outcomes."""
    return {receipt.outcome for receipt in receipts}
