"""An outbox in PostgreSQL or SQLite, as its relay sees it. Implements `OutboxStore`."""

from collections.abc import Sequence
from time import monotonic
from typing import Any, Final

import msgspec
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from domainstream.errors import OutboxError
from domainstream.outbox.held_channels import Held, HeldChannel, due_channel
from domainstream.outbox.port import Claim, Lease, LeaseLostError, NotedBatch, SettledBatch
from domainstream.outbox.settings import DEFAULT_SETTINGS, RelaySettings
from domainstream.outbox.sql.connection import KeptConnection
from domainstream.outbox.sql.errors import translated_errors
from domainstream.outbox.sql.row_reader import RowReader
from domainstream.outbox.sql.statements import statements_for
from domainstream.outbox.sql.tables import require_supported
from domainstream.publisher import BatchIdentity

_NO_IDENTITY: Final = BatchIdentity("", 0)


class SqlOutboxStore:
    """The outbox `table` of one database, for one relay."""

    def __init__(self, engine: AsyncEngine, table: Table, settings: RelaySettings = DEFAULT_SETTINGS) -> None:
        """Work on `table` through `engine`, which the caller disposes of.

        Raises `OutboxError` for a database that is not supported.
        """
        require_supported(engine.dialect.name)
        self._table = table
        self._settings = settings
        self._statements = statements_for(engine.dialect, table, archive=settings.archive)
        self._connection = KeptConnection(engine, self._statements.all, seconds=settings.answer_timeout.total_seconds())
        self._lease_ms = round(settings.lease.total_seconds() * 1000)
        self._reader = RowReader(table, self._connection, self._statements, settings)
        self._held: Held = {}
        self._next_renewal = 0.0
        self._is_prepared = False

    async def take_over(self, owner: str) -> Lease | None:
        """Take the lease if it is free; see `OutboxStore.take_over`."""
        with translated_errors(self._table.fullname, self._connection.errors):
            if not self._is_prepared:
                # Committed by itself: a relay that is suspended meanwhile must not keep the row's lock.
                async with self._connection.transaction():
                    await self._connection.fetch(self._statements.create_row)
                    await self._verify_sequence()
                self._is_prepared = True
            async with self._connection.transaction():
                return await self._take_over(owner)

    async def next_batch(self, lease: Lease, settled: SettledBatch | None, identity: BatchIdentity) -> Claim:
        """Delete, claim and note in one transaction; see `OutboxStore.next_batch`."""
        with translated_errors(self._table.fullname, self._connection.errors):
            if settled is None and await self._is_idle():
                return Claim(None, self._held)
            async with self._connection.transaction():
                held, now_ms = await self._settle(lease, settled)
                known = len(held)
                batch = await self._due_batch(held, now_ms)
                if batch is None and (rows := await self._reader.read(frozenset(held))):
                    batch = NotedBatch(identity, rows)
                if batch is not None or settled is not None or len(held) < known:
                    await self._note(lease, batch, held, settled)
        self._next_renewal = monotonic() + self._settings.lease.total_seconds() / 3
        self._held = held
        return Claim(batch, held)

    async def release(self, lease: Lease, settled: SettledBatch | None) -> None:
        """Give the lease back, and close the connection; see `OutboxStore.release`."""
        with translated_errors(self._table.fullname, self._connection.errors):
            async with self._connection.transaction():
                held, _ = await self._settle(lease, settled)
                if settled is not None:
                    await self._note(lease, None, held, settled)
                await self._connection.fetch(self._statements.release, epoch=lease.epoch)
        await self.close()

    async def close(self) -> None:
        """Close the store's connection, which it keeps between calls; the next call opens another one."""
        await self._connection.close()

    async def _take_over(self, owner: str) -> Lease | None:
        if self._statements.unblock is not None:
            await self._connection.fetch(self._statements.unblock, lease_ms=self._lease_ms)
        taken = await self._connection.fetch(self._statements.take, owner=owner, lease_ms=self._lease_ms)
        if not taken:
            return None
        epoch, producer, sequence, pending = taken[0][:4]
        ids = msgspec.json.decode(pending, type=list[int])
        unsettled = await self._noted_batch(BatchIdentity(producer, sequence), ids)
        self._reader.restart()
        return Lease(epoch, unsettled)

    async def _verify_sequence(self) -> None:
        if self._statements.sequence_cache is None:
            return
        found = await self._connection.fetch(self._statements.sequence_cache)
        cached = found[0][0] if found else 1
        if cached > 1:
            raise OutboxError(
                f"the numbers of {self._table.fullname} are drawn {cached} at a time (CACHE {cached}), so events of "
                f"one aggregate could overtake each other; run: ALTER TABLE {self._table.fullname} ALTER COLUMN id "
                "SET CACHE 1"
            )

    async def _is_idle(self) -> bool:
        """Return whether there is surely nothing to do, at the price of one short query."""
        position = self._reader.position
        if self._held or position.gaps or monotonic() >= min(self._next_renewal, self._reader.next_scan):
            return False
        return not await self._connection.has_row(f"{self._statements.peek} {position.highest} LIMIT 1")

    async def _settle(self, lease: Lease, settled: SettledBatch | None) -> tuple[dict[str, HeldChannel], int]:
        """Renew the lease and delete what was published; return the held channels and the time in milliseconds."""
        statements = self._statements
        ids = statements.numbers(settled.published_ids if settled else [])
        renewed = await self._connection.fetch(statements.renew, epoch=lease.epoch, lease_ms=self._lease_ms, ids=ids)
        if not renewed:
            raise LeaseLostError(f"another relay has taken over the outbox {self._table.fullname}")
        held, now_ms = msgspec.json.decode(renewed[0][0], type=dict[str, HeldChannel]), int(renewed[0][1])
        if settled is None:
            return held, now_ms
        for statement in statements.settle:
            await self._connection.fetch(statement, ids=ids)
        return settled.held_after(held, now_ms), now_ms

    async def _due_batch(self, held: dict[str, HeldChannel], now_ms: int) -> NotedBatch | None:
        """Return the batch of a held channel whose pause is over; take out of `held` those whose rows are gone."""
        while (channel := due_channel(held, now_ms)) is not None:
            batch = await self._noted_batch(held[channel].identity, held[channel].row_ids)
            if batch is not None:
                return batch
            del held[channel]
        return None

    async def _noted_batch(self, identity: BatchIdentity, row_ids: Sequence[int]) -> NotedBatch | None:
        rows = await self._reader.noted(row_ids) if row_ids else []
        return NotedBatch(identity, rows) if rows else None

    async def _note(self, lease: Lease, batch: NotedBatch | None, held: Held, settled: SettledBatch | None) -> None:
        identity = _NO_IDENTITY if batch is None else batch.identity
        await self._connection.fetch(
            self._statements.note,
            epoch=lease.epoch,
            producer=identity.producer,
            sequence=identity.sequence,
            pending=_json([row.row_id for row in batch.rows] if batch else []),
            held=_json(held),
            published=0 if settled is None else len(settled.published_ids),
        )


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
