"""Channels that the server rejects, or whose node of a cluster fails: their rows wait while those of others go on.

Rows are encoded and checked before they are committed, so what the server rejects is the channel: a key of another
type, an access rule, a limit of the server. Nothing is skipped within a channel. Its rejected batch is sent again
under the same identity, because an attempt before the rejected one may have added it and lost the reply. That happens
after pauses that double, until the server takes it or somebody discards its rows; then the other rows of the channel
follow.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from domainstream.publisher import BatchIdentity

FIRST_PAUSE_MS: Final = 1_000
LONGEST_PAUSE_MS: Final = 60_000


class HeldChannel(Struct, frozen=True, gc=False):
    """Why and until when a channel is held. Times are the database's, in milliseconds since 1970."""

    reason: str
    """The server's latest error."""

    since_ms: int
    """When the server rejected it first."""

    attempts: int
    """How often it was rejected in a row."""

    retry_at_ms: int
    """When it is tried again."""

    identity: BatchIdentity
    """Under which its batch is sent again."""

    row_ids: list[int]
    """The rows of that batch."""


Held = Mapping[str, HeldChannel]


def held_again(
    before: HeldChannel | None, reason: str, identity: BatchIdentity, row_ids: list[int], now_ms: int
) -> HeldChannel:
    """Return a channel whose rows `row_ids` the server has rejected; `before` if it was held already."""
    attempts = 1 if before is None else before.attempts + 1
    pause = min(FIRST_PAUSE_MS << min(attempts - 1, 16), LONGEST_PAUSE_MS)
    since = now_ms if before is None else before.since_ms
    return HeldChannel(reason, since, attempts, now_ms + pause, identity, row_ids)


def due_channel(held: Held, now_ms: int) -> str | None:
    """Return the channel whose pause was over first; None while all pauses last."""
    due = [(each.retry_at_ms, channel) for channel, each in held.items() if each.retry_at_ms <= now_ms]
    return min(due)[1] if due else None
