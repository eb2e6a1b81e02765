"""An outbox in PostgreSQL or SQLite, as its relay sees it. Implements `OutboxStore`."""

from collections.abc import Sequence
from time import monotonic
from typing import Any, Final

import msgspec
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domainstream.errors import OutboxError
from domainstream.outbox.held_channels import Held, HeldChannel, due_channel
from domainstream.outbox.port import Claim, Lease, LeaseLostError, NotedBatch, SettledBatch
from domainstream.outbox.settings import DEFAULT_SETTINGS, RelaySettings
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
        # A snapshot for each statement: numbers that were skipped are judged by what is seen before and after a read.
        level = "READ COMMITTED" if engine.dialect.name == "postgresql" else "SERIALIZABLE"
        self._engine = engine.execution_options(isolation_level=level)
        self._autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._statements = statements_for(engine.dialect, table, archive=settings.archive)
        self._lease_ms = round(settings.lease.total_seconds() * 1000)
        self._reader = RowReader(table, self._statements, settings)
        self._held: Held = {}
        self._next_renewal = 0.0
        self._is_prepared = False

    async def take_over(self, owner: str) -> Lease | None:
        """Take the lease if it is free; see `OutboxStore.take_over`."""
        statements = self._statements
        with translated_errors(self._table.fullname):
            if not self._is_prepared:
                # Committed by itself: a relay that is suspended meanwhile must not keep the row's lock.
                async with self._autocommit.connect() as connection:
                    await connection.execute(statements.create_row)
                    await self._verify_sequence(connection)
                self._is_prepared = True
            async with self._engine.begin() as connection:
                taken = await connection.execute(statements.take, {"owner": owner, "lease_ms": self._lease_ms})
                row = taken.first()
                if row is None:
                    return None
                epoch, producer, sequence, pending = row[:4]
                ids = msgspec.json.decode(pending, type=list[int])
                unsettled = await self._noted_batch(connection, BatchIdentity(producer, sequence), ids)
        self._reader.restart()
        return Lease(epoch, unsettled)

    async def next_batch(self, lease: Lease, settled: SettledBatch | None, identity: BatchIdentity) -> Claim:
        """Delete, claim and note in one transaction; see `OutboxStore.next_batch`."""
        with translated_errors(self._table.fullname):
            if settled is None and await self._is_idle():
                return Claim(None, self._held)
            async with self._engine.begin() as connection:
                held, now_ms = await self._settle(connection, lease, settled)
                batch = await self._due_batch(connection, held, now_ms)
                if batch is None and (rows := await self._reader.read(connection, frozenset(held))):
                    batch = NotedBatch(identity, rows)
                if batch is not None or settled is not None:
                    await self._note(connection, lease, batch, held)
        self._next_renewal = monotonic() + self._settings.lease.total_seconds() / 3
        self._held = held
        return Claim(batch, held)

    async def release(self, lease: Lease, settled: SettledBatch | None) -> None:
        """Give the lease back; see `OutboxStore.release`."""
        with translated_errors(self._table.fullname):
            async with self._engine.begin() as connection:
                held, _ = await self._settle(connection, lease, settled)
                if settled is not None:
                    await self._note(connection, lease, None, held)
                await connection.execute(self._statements.release, {"epoch": lease.epoch})

    async def _verify_sequence(self, connection: AsyncConnection) -> None:
        if self._statements.sequence_cache is None:
            return
        cached = (await connection.execute(self._statements.sequence_cache)).scalar()
        if cached is not None and cached > 1:
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
        async with self._autocommit.connect() as connection:
            found = await connection.execute(self._statements.peek, {"highest": position.highest})
            return not found.scalar()

    async def _settle(
        self, connection: AsyncConnection, lease: Lease, settled: SettledBatch | None
    ) -> tuple[dict[str, HeldChannel], int]:
        """Renew the lease and delete what was published; return the held channels and the time in milliseconds."""
        statements = self._statements
        fence = {"epoch": lease.epoch, "lease_ms": self._lease_ms}
        renewed = (await connection.execute(statements.renew, fence)).first()
        if renewed is None:
            raise LeaseLostError(f"another relay has taken over the outbox {self._table.fullname}")
        held, now_ms = msgspec.json.decode(renewed[0], type=dict[str, HeldChannel]), int(renewed[1])
        if settled is None:
            return held, now_ms
        if published := settled.published_ids:
            parameters = {"ids": statements.array(published)}
            if statements.archive is not None:
                await connection.execute(statements.archive, parameters)
            await connection.execute(statements.delete, parameters)
        return settled.held_after(held, now_ms), now_ms

    async def _due_batch(
        self, connection: AsyncConnection, held: dict[str, HeldChannel], now_ms: int
    ) -> NotedBatch | None:
        """Return the batch of a held channel whose pause is over; take out of `held` those whose rows are gone."""
        while (channel := due_channel(held, now_ms)) is not None:
            batch = await self._noted_batch(connection, held[channel].identity, held[channel].row_ids)
            if batch is not None:
                return batch
            del held[channel]
        return None

    async def _noted_batch(
        self, connection: AsyncConnection, identity: BatchIdentity, row_ids: Sequence[int]
    ) -> NotedBatch | None:
        if not row_ids:
            return None
        rows = await self._reader.noted(connection, row_ids)
        return NotedBatch(identity, rows) if rows else None

    async def _note(self, connection: AsyncConnection, lease: Lease, batch: NotedBatch | None, held: Held) -> None:
        identity = _NO_IDENTITY if batch is None else batch.identity
        noted = {
            "epoch": lease.epoch,
            "producer": identity.producer,
            "sequence": identity.sequence,
            "pending": _json([row.row_id for row in batch.rows] if batch else []),
            "held": _json(held),
        }
        await connection.execute(self._statements.note, noted)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
