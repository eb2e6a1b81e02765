"""The outbox in PostgreSQL, as its relay sees it. Implements `OutboxStore`."""

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any, Final, NamedTuple, Self

from sqlalchemy import JSON, BigInteger, Executable, MetaData, Table, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domainstream.errors import LeaseLostError
from domainstream.outbox.gaps import ReadPosition
from domainstream.outbox.store import Lease, StoredMessage
from domainstream.outbox.table import outbox_table, relay_table
from domainstream.producer import OutgoingMessage
from domainstream.publisher.redis_batch_publisher import BatchIdentity

FULL_SCAN_EVERY: Final = 30.0
"""Seconds between two scans from the beginning of the table, which find whatever was missed."""


class PostgresOutboxStore:
    """Reads above the highest number read, and in the gaps below it, in one statement and so in one snapshot."""

    def __init__(self, engine: AsyncEngine, table: Table, *, batch: int = 500) -> None:
        """Work on `table` through `engine`, which the caller disposes of; claim up to `batch` rows at a time."""
        self._engine = engine
        self._batch = batch
        self._position = ReadPosition()
        self._held: frozenset[str] = frozenset()
        self._next_scan = 0.0
        self._statements = Statements.of(engine, table)

    async def take_over(self, owner: str, seconds: float) -> Lease | None:
        """Take the lease if it is free; see `OutboxStore.take_over`."""
        self._next_scan = 0.0
        async with self._engine.begin() as connection:
            await connection.execute(self._statements.create_row)
            taken = (await connection.execute(self._statements.take, {"owner": owner, "seconds": seconds})).first()
            if taken is None:
                return None
            epoch, producer, sequence, pending = taken
            batch = await self._rows(connection, self._statements.noted, {"ids": pending}) if pending else []
        return Lease(epoch, BatchIdentity(producer, sequence) if batch else None, batch)

    async def next_batch(
        self, lease: Lease, *, seconds: float, done: Sequence[int], identity: BatchIdentity, held: Mapping[str, str]
    ) -> Sequence[StoredMessage]:
        """Delete, claim and note in one transaction; see `OutboxStore.next_batch`."""
        statements = self._statements
        async with self._engine.begin() as connection:
            fence = {"epoch": lease.epoch, "seconds": seconds, "held": dict(held)}
            if (await connection.execute(statements.renew, fence)).rowcount == 0:
                raise LeaseLostError("another relay has taken over the outbox")
            if done:
                await connection.execute(statements.delete, {"ids": list(done)})
            rows = await self._read(connection, frozenset(held))
            if rows:
                note = {"epoch": lease.epoch, "producer": identity.producer, "sequence": identity.sequence}
                await connection.execute(statements.note, {**note, "pending": [row.row_id for row in rows]})
        return rows

    async def release(self, lease: Lease) -> None:
        """Give the lease back; see `OutboxStore.release`."""
        async with self._engine.begin() as connection:
            await connection.execute(self._statements.release, {"epoch": lease.epoch})

    async def _read(self, connection: AsyncConnection, held: frozenset[str]) -> list[StoredMessage]:
        """Return the next rows, and note in memory how far was read."""
        if monotonic() >= self._next_scan or self._held - held:
            # From the beginning: after a takeover, from time to time, and when a channel is held no more.
            self._position = ReadPosition()
            self._next_scan = monotonic() + FULL_SCAN_EVERY
        self._held = held
        position, parameters = self._position, {"highest": 0, "count": self._batch, "held": list(held)}
        parameters["highest"] = position.highest
        live = position.gaps
        if position.gaps:
            live = position.live_gaps(await self._writers(connection))
            parameters["firsts"] = [gap.first for gap in position.gaps]
            parameters["lasts"] = [gap.last for gap in position.gaps]
        statement = self._statements.claim if position.gaps else self._statements.read_on
        rows = await self._rows(connection, statement, parameters)
        ids = [row.row_id for row in rows]
        below = sum(row_id <= position.highest for row_id in ids)
        if below >= self._batch:
            live = position.gaps  # they may hold more rows than were read
        skipped = below < len(ids) and ids[-1] - position.highest > len(ids) - below
        position.advance(ids, live, await self._writers(connection) if skipped else frozenset())
        return rows

    async def _writers(self, connection: AsyncConnection) -> frozenset[str]:
        return frozenset((await connection.execute(self._statements.writers)).scalars())

    async def _rows(
        self, connection: AsyncConnection, statement: Any, parameters: Mapping[str, Any]
    ) -> list[StoredMessage]:
        found = await connection.execute(statement, parameters)
        return [
            StoredMessage(row_id, OutgoingMessage(channel, event_id, bytes(data)))
            for row_id, event_id, channel, data in found
        ]


class Statements(NamedTuple):
    """The statements of one outbox."""

    create_row: Executable
    take: Executable
    noted: Executable
    renew: Executable
    delete: Executable
    read_on: Executable
    claim: Executable
    note: Executable
    release: Executable
    writers: Executable

    @classmethod
    def of(cls, engine: AsyncEngine, table: Table) -> Self:
        """Return the statements for a table."""
        quote = engine.dialect.identifier_preparer
        outbox = quote.format_table(table)
        relay = quote.format_table(relay_table(outbox_table(MetaData(), name=table.name, schema=table.schema)))
        name = bindparam("name", table.name, Text)
        ids = bindparam("ids", type_=ARRAY(BigInteger))
        held = bindparam("held", type_=ARRAY(Text))
        mine = f"{relay}.name = :name AND epoch = :epoch"
        lease = "clock_timestamp() + make_interval(secs => :seconds)"
        columns = "id, event_id, channel, data"
        on = f"SELECT {columns} FROM {outbox} WHERE id > :highest AND channel <> ALL(:held) ORDER BY id LIMIT :count"
        return cls(
            create_row=text(f"INSERT INTO {relay} (name) VALUES (:name) ON CONFLICT DO NOTHING").bindparams(name),
            take=text(
                f"UPDATE {relay} SET owner = :owner, epoch = epoch + 1, lease_until = {lease}, "
                "seen_at = clock_timestamp() WHERE name = :name "
                "AND (lease_until IS NULL OR lease_until < clock_timestamp()) "
                "RETURNING epoch, producer, sequence, pending"
            )
            .bindparams(name)
            .columns(epoch=BigInteger, producer=Text, sequence=BigInteger, pending=JSON),
            noted=text(f"SELECT {columns} FROM {outbox} WHERE id = ANY(:ids) ORDER BY id").bindparams(ids),
            renew=text(
                f"UPDATE {relay} SET lease_until = {lease}, seen_at = clock_timestamp(), held = :held WHERE {mine}"
            ).bindparams(name, bindparam("held", type_=JSON)),
            delete=text(f"DELETE FROM {outbox} WHERE id = ANY(:ids)").bindparams(ids),
            read_on=text(on).bindparams(held),
            claim=text(
                "(SELECT late.* FROM unnest(:firsts, :lasts) AS gap(first, last) CROSS JOIN LATERAL ("
                f"SELECT {columns} FROM {outbox} WHERE id BETWEEN gap.first AND gap.last AND channel <> ALL(:held) "
                f"ORDER BY id LIMIT :count) late ORDER BY late.id LIMIT :count) UNION ALL ({on}) ORDER BY id"
            ).bindparams(
                held, bindparam("firsts", type_=ARRAY(BigInteger)), bindparam("lasts", type_=ARRAY(BigInteger))
            ),
            note=text(
                f"UPDATE {relay} SET producer = :producer, sequence = :sequence, pending = :pending WHERE {mine}"
            ).bindparams(name, bindparam("pending", type_=JSON)),
            release=text(f"UPDATE {relay} SET lease_until = NULL, owner = NULL WHERE {mine}").bindparams(name),
            writers=text(
                "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
                "AND relation = CAST(:outbox AS regclass) AND mode <> 'AccessShareLock' "
                "AND pid IS DISTINCT FROM pg_backend_pid()"
            ).bindparams(bindparam("outbox", outbox, Text)),
        )
