"""An outbox in memory, for tests that need no database. Implements `OutboxStore`."""

from collections.abc import Callable, Iterable
from itertools import count
from time import time

from domainstream.outbox.held_channels import HeldChannel, due_channel
from domainstream.outbox.port import Claim, Lease, LeaseLostError, NotedBatch, SettledBatch, StoredMessage
from domainstream.outbox.settings import DEFAULT_SETTINGS, RelaySettings
from domainstream.producer import OutgoingMessage
from domainstream.publisher import BatchIdentity


class MemoryOutboxStore:
    """Holds rows in a dictionary. What several relays share; each call of theirs is one step."""

    def __init__(self, settings: RelaySettings = DEFAULT_SETTINGS, *, now: Callable[[], float] = time) -> None:
        """Begin empty; `now` returns seconds since 1970."""
        self.rows: dict[int, OutgoingMessage] = {}
        """What is not confirmed to be published, by the rows' numbers."""
        self._settings = settings
        self._now = now
        self._numbers = count(1)
        self._owner: str | None = None
        self._epoch = 0
        self._lease_until = 0.0
        self._noted: tuple[BatchIdentity, list[int]] | None = None
        self._held: dict[str, HeldChannel] = {}

    def add(self, messages: Iterable[OutgoingMessage]) -> None:
        """Store messages, as a transaction does that is committed."""
        self.rows.update(zip(self._numbers, messages, strict=False))

    async def take_over(self, owner: str) -> Lease | None:
        """Take the lease if it is free; see `OutboxStore.take_over`."""
        if self._lease_until >= self._now() and self._owner != owner:
            return None
        self._owner, self._epoch = owner, self._epoch + 1
        self._lease_until = self._now() + self._settings.lease.total_seconds()
        return Lease(self._epoch, self._batch(*self._noted) if self._noted else None)

    async def next_batch(self, lease: Lease, settled: SettledBatch | None, identity: BatchIdentity) -> Claim:
        """Delete, claim and note; see `OutboxStore.next_batch`."""
        self._settle(lease, settled)
        batch = self._due_batch() or self._batch(identity, self._next_ids())
        if batch is not None:
            self._noted = (batch.identity, [row.row_id for row in batch.rows])
        return Claim(batch, dict(self._held))

    async def release(self, lease: Lease, settled: SettledBatch | None) -> None:
        """Give the lease back; see `OutboxStore.release`."""
        self._settle(lease, settled)
        self._owner, self._lease_until = None, 0.0

    def _settle(self, lease: Lease, settled: SettledBatch | None) -> None:
        if lease.epoch != self._epoch:
            raise LeaseLostError("another relay has taken over the outbox")
        self._lease_until = self._now() + self._settings.lease.total_seconds()
        if settled is not None:
            for row_id in settled.published_ids:
                self.rows.pop(row_id, None)  # it may have been discarded
            self._held = settled.held_after(self._held, self._now_ms())
            self._noted = None

    def _due_batch(self) -> NotedBatch | None:
        while (channel := due_channel(self._held, self._now_ms())) is not None:
            each = self._held[channel]
            if (batch := self._batch(each.identity, each.row_ids)) is not None:
                return batch
            del self._held[channel]  # its rows were discarded
        return None

    def _next_ids(self) -> list[int]:
        ids: list[int] = []
        size = 0
        for row_id, message in sorted(self.rows.items()):
            if message.target not in self._held:
                size += len(message.data)
                if ids and (len(ids) == self._settings.batch_messages or size > self._settings.batch_bytes):
                    break
                ids.append(row_id)
        return ids

    def _batch(self, identity: BatchIdentity, ids: Iterable[int]) -> NotedBatch | None:
        rows = [StoredMessage(row_id, self.rows[row_id]) for row_id in ids if row_id in self.rows]
        return NotedBatch(identity, rows) if rows else None

    def _now_ms(self) -> int:
        return round(self._now() * 1000)
