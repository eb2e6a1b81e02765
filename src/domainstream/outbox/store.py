"""The port between a relay and the database of its outbox."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from domainstream.producer import OutgoingMessage
from domainstream.publisher.redis_batch_publisher import BatchIdentity


class StoredMessage(Struct, frozen=True, gc=False):
    """A row of the outbox."""

    row_id: int
    """The row's number."""

    message: OutgoingMessage
    """What is published."""


class Lease(Struct, frozen=True, gc=False):
    """The right to publish, until another relay takes it over."""

    epoch: int
    """Counts the takeovers; the database rejects whoever comes with an older one."""

    identity: BatchIdentity | None
    """What the relay before noted for its last batch; None if it noted none."""

    batch: Sequence[StoredMessage]
    """The rows of that batch which are still there: send them again under the same identity."""


class OutboxStore(Protocol):
    """What a relay needs of the database. For one task.

    Raises the errors of SQLAlchemy; after one the next call begins anew. `LeaseLostError` says that another relay has
    taken over.
    """

    async def take_over(self, owner: str, seconds: float) -> Lease | None:
        """Take the lease for `seconds` on the database's clock; None while another relay has it."""
        ...

    async def next_batch(
        self, lease: Lease, *, seconds: float, done: Sequence[int], identity: BatchIdentity, held: Mapping[str, str]
    ) -> Sequence[StoredMessage]:
        """Delete the rows `done`, claim the next ones, and note them under `identity`: in one transaction.

        Renews the lease for `seconds`. Leaves out the channels that are `held`, and writes their reasons down. Empty
        when there is nothing to publish; then `identity` was not used.
        """
        ...

    async def release(self, lease: Lease) -> None:
        """Give the lease back, so that another relay need not wait for its end."""
        ...
