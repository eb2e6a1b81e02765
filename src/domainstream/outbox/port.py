"""What a relay needs of the database of its outbox, and of the server that it publishes to.

The database has a lease, the next rows, and a note of what is about to be published. The server recognizes repeats.

One relay is active at a time. Its lease has an epoch, which grows with each takeover: a store rejects whoever comes
with an older one (`LeaseLostError`), so a relay that was suspended, and wakes up after another one took over, changes
nothing. Time is the database's, because the clocks of hosts differ.

A call takes effect in one transaction, or not at all. It is one task that calls, one call after the other. Whoever
opened the store closes it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from domainstream.errors import ConfigurationError, OutboxError, ServerError
from domainstream.outbox.held_channels import Held, HeldChannel, held_again
from domainstream.producer import OutgoingMessage
from domainstream.publisher import BatchIdentity


class LeaseLostError(OutboxError):
    """Another relay has taken over the outbox; the caller stands by."""


class StoredMessage(Struct, frozen=True, gc=False):
    """A row of the outbox: an event that is not confirmed to be in its stream."""

    row_id: int
    """The row's number. Rows are published in the order of their numbers."""

    message: OutgoingMessage
    """What is published."""


class NotedBatch(Struct, frozen=True):
    """Rows in the order of their numbers, and the identity that the database has noted for them."""

    identity: BatchIdentity
    """What they are published under, however often that is repeated, and by whichever relay."""

    rows: Sequence[StoredMessage]
    """The rows; at least one."""


class Lease(Struct, frozen=True):
    """The right to publish, until another relay takes it over."""

    epoch: int
    """Counts the takeovers."""

    unsettled: NotedBatch | None
    """What the relay before may or may not have published: it must be sent again before anything else."""


class SettledBatch(Struct, frozen=True):
    """What became of a batch."""

    batch: NotedBatch
    """The batch."""

    rejected: Mapping[str, str] = {}
    """Why a target is held, by target; all rows with other targets are in their streams."""

    @property
    def published_ids(self) -> list[int]:
        """The numbers of the rows that are in their streams."""
        if not self.rejected:
            return [row.row_id for row in self.batch.rows]
        return [row.row_id for row in self.batch.rows if row.message.target not in self.rejected]

    def held_after(self, held: Held, now_ms: int) -> dict[str, HeldChannel]:
        """Return which channels are held once this batch is settled, given those that were before."""
        if not held and not self.rejected:
            return {}
        row_ids: dict[str, list[int]] = {}
        for row in self.batch.rows:
            row_ids.setdefault(row.message.target, []).append(row.row_id)
        after = {channel: each for channel, each in held.items() if channel not in row_ids}
        for channel, reason in self.rejected.items():
            after[channel] = held_again(held.get(channel), reason, self.batch.identity, row_ids[channel], now_ms)
        return after


class Claim(Struct, frozen=True):
    """What is to be published next."""

    batch: NotedBatch | None
    """The rows and their identity; None when nothing is left to be published now."""

    held: Held = {}
    """The channels that the server has rejected and not taken again yet."""


class OutboxStore(Protocol):
    """The outbox as its relay sees it.

    Raises `OutboxUnavailableError` when the database cannot be reached or is not ready: whether the call took effect is
    then unknown, and the relay begins again with `take_over`. Raises `OutboxError` when repeating it would not help.
    """

    async def take_over(self, owner: str) -> Lease | None:
        """Take the lease if it is free, has expired, or is `owner`'s already; None while another relay has it."""
        ...

    async def next_batch(self, lease: Lease, settled: SettledBatch | None, identity: BatchIdentity) -> Claim:
        """Delete the rows that were published, claim the next ones, and note them under `identity`.

        Renews the lease. Leaves out held channels; once a pause is over, it returns the rejected rows of that channel
        alone, under the identity that they had. Returns every row that was committed before the call, sooner or later,
        and those of one partition key in the order of their commits.
        """
        ...

    async def release(self, lease: Lease, settled: SettledBatch | None) -> None:
        """Delete the rows that were published, and give the lease back, so that another relay need not wait."""
        ...


class BatchPublisher(Protocol):
    """The server as the relay of an outbox sees it. `RedisBatchPublisher` is one.

    Each call raises `ServerError` when it must be repeated: the server cannot be reached, has no memory left, or
    rejects the connection. One task calls, one call after the other. Whoever opened the publisher closes it.
    """

    async def send(
        self, messages: Sequence[OutgoingMessage], identity: BatchIdentity
    ) -> Mapping[str, ServerError | ConfigurationError]:
        """Add messages, those of each target in their order; return why targets are not published, by target.

        The server rejects these, or the part of it that has them does not answer. They are held, and their messages
        sent again under the same identity. Everything of the other targets is published.

        Sending the same messages again under the same identity adds nothing, as long as the server remembers it.
        """
        ...

    async def introduce(self, producer: str) -> None:
        """Let the server remember a producer, from before its first batch is noted."""
        ...

    async def remembers(self, producer: str) -> bool:
        """Return whether the server still knows the producer; if not, it has lost what it knew of its batches."""
        ...


class CommitListener(Protocol):
    """Says when rows may have been committed, so that a relay need not wait until its pause is over."""

    async def listen(self, on_commit: Callable[[], None]) -> None:
        """Call `on_commit` after commits, until cancelled; reconnect whenever the connection is lost.

        Commits may be missed, and `on_commit` may be called without one.
        """
        ...
