"""What the contract suite of `OutboxStore` needs of a store under test, and a relay that works step by step."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import uuid4

from domainstream.outbox import (
    Claim,
    Lease,
    NotedBatch,
    OutboxStore,
    RelaySettings,
    SettledBatch,
)
from domainstream.producer import OutgoingMessage
from domainstream.publisher import BatchIdentity

SETTINGS: Final = RelaySettings(batch_messages=5, batch_bytes=1_000, lease=timedelta(seconds=60))
"""What the stores under test are made with."""

LEASE: Final = SETTINGS.lease.total_seconds()


class OutboxHarness(ABC):
    """One outbox, and its store as several relays see it."""

    @abstractmethod
    async def add(self, messages: Sequence[OutgoingMessage]) -> None:
        """Store messages in one transaction, and commit it."""

    @abstractmethod
    def store(self) -> OutboxStore:
        """Open the outbox as a further relay does, with `SETTINGS`."""

    @abstractmethod
    async def stored(self) -> list[str]:
        """Return the event ids of the rows that are left, in the order of the rows' numbers."""

    @abstractmethod
    async def discard(self, event_id: str) -> None:
        """Delete a row, as a user does who gives it up."""

    @abstractmethod
    async def pass_time(self, seconds: float) -> None:
        """Make everything that is noted in the store look this much older, on the store's clock."""

    @abstractmethod
    async def close(self) -> None:
        """Close everything that was opened."""


def outgoing(channel: str, *, size: int = 50) -> OutgoingMessage:
    """Make a message that differs from all others, of `size` bytes."""
    return OutgoingMessage(channel, str(uuid4()), b"x" * size)


def event_ids(batch: NotedBatch | None) -> list[str]:
    """Return the event ids of a batch, in its order."""
    return [] if batch is None else [row.message.event_id for row in batch.rows]


class Relay:
    """Works with a store as a relay does, step by step."""

    def __init__(self, store: OutboxStore, owner: str = "") -> None:
        self.store = store
        self.owner = owner or uuid4().hex
        self.lease = Lease(epoch=0, unsettled=None)
        self._producer, self._sequence = uuid4().hex, 0

    async def take_over(self) -> bool:
        """Take the lease; return whether it was to be had."""
        lease = await self.store.take_over(self.owner)
        self.lease = lease or self.lease
        return lease is not None

    async def next_batch(self, settled: SettledBatch | None = None) -> Claim:
        """Claim the next rows under a new identity."""
        self._sequence += 1
        return await self.store.next_batch(self.lease, settled, BatchIdentity(self._producer, self._sequence))

    async def claim(self, settled: SettledBatch | None = None) -> NotedBatch:
        """Claim the next rows, of which there are some."""
        claim = await self.next_batch(settled)
        if claim.batch is None:
            raise AssertionError("the outbox has no batch")
        return claim.batch

    async def publish_all(self, *, rejecting: Sequence[str] = ()) -> list[list[str]]:
        """Claim and settle until nothing is left; return the event ids of each batch."""
        batches: list[list[str]] = []
        settled = None
        while (claim := await self.next_batch(settled)).batch is not None:
            batches.append(event_ids(claim.batch))
            settled = rejected(claim.batch, *rejecting)
        return batches


def rejected(batch: NotedBatch, *channels: str, reason: str = "WRONGTYPE") -> SettledBatch:
    """Return the batch as settled, these channels rejected."""
    present = {row.message.channel for row in batch.rows}
    return SettledBatch(batch, {channel: reason for channel in channels if channel in present})


async def active_relay(harness: OutboxHarness) -> Relay:
    """Return a relay that has taken the outbox over."""
    relay = Relay(harness.store())
    if not await relay.take_over():
        raise AssertionError("the outbox is not free")
    return relay
