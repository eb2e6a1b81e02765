"""Outboxes in a database, as their contract and their relay's tests use them."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import msgspec
from sqlalchemy import MetaData, delete, event, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from domainstream.outbox import (
    HeldChannel,
    RelaySettings,
    SqlOutboxStore,
    archive_table,
    outbox_table,
    relay_table,
)
from domainstream.outbox.sql.insert import insert_rows
from domainstream.producer import OutgoingMessage
from domainstream.testing.outbox_harness import SETTINGS, OutboxHarness


class SqlHarness(OutboxHarness):
    """An outbox of its own in a database."""

    def __init__(self, async_url: str, settings: RelaySettings = SETTINGS) -> None:
        self.settings = settings
        self.url = async_url
        self.engine = create_async_engine(async_url)
        self.metadata = MetaData()
        self.table = outbox_table(self.metadata, name=f"outbox_{uuid4().hex[:12]}")
        self.relay = relay_table(self.table)
        self.archive = archive_table(self.table)
        self._opened: list[tuple[SqlOutboxStore, AsyncEngine]] = []

    async def create(self) -> "SqlHarness":
        """Create the tables."""
        async with self.engine.begin() as connection:
            await connection.run_sync(self.metadata.create_all)
        return self

    async def add(self, messages: Sequence[OutgoingMessage]) -> None:
        """Insert rows as the application does."""
        async with self.engine.begin() as connection:
            await self.insert(connection, messages)

    async def insert(self, connection: Any, messages: Sequence[OutgoingMessage]) -> None:
        """Insert rows in a transaction of the caller's."""
        rows = [(message.event_id, message.channel, "key", message.data) for message in messages]
        await connection.run_sync(insert_rows, self.table, rows)

    def store(self) -> SqlOutboxStore:
        """Open the outbox with connections of its own."""
        engine = create_async_engine(self.url)
        if engine.dialect.name == "sqlite":
            event.listen(engine.sync_engine, "connect", _wait_for_locks)
        store = SqlOutboxStore(engine, self.table, self.settings)
        self._opened.append((store, engine))
        return store

    async def stored(self) -> list[str]:
        """Return what is left."""
        return await self._scalars(select(self.table.c.event_id).order_by(self.table.c.id))

    async def archived(self) -> list[str]:
        """Return what was published and kept."""
        return await self._scalars(select(self.archive.c.event_id).order_by(self.archive.c.id))

    async def discard(self, event_id: str) -> None:
        """Delete a row."""
        async with self.engine.begin() as connection:
            await connection.execute(delete(self.table).where(self.table.c.event_id == event_id))

    async def pass_time(self, seconds: float) -> None:
        """Move the times in the relay's row back."""
        shift = round(seconds * 1000)
        async with self.engine.begin() as connection:
            noted = (await connection.execute(select(self.relay.c.held))).scalar()
            held = msgspec.json.decode(noted or "{}", type=dict[str, HeldChannel])
            older = {
                channel: msgspec.structs.replace(
                    each, since_ms=each.since_ms - shift, retry_at_ms=each.retry_at_ms - shift
                )
                for channel, each in held.items()
            }
            changed = {
                "lease_until_ms": self.relay.c.lease_until_ms - shift,
                "held": msgspec.json.encode(older).decode(),
            }
            await connection.execute(update(self.relay).values(**changed))

    async def close(self) -> None:
        """Drop the tables."""
        for store, engine in self._opened:
            await store.close()
            await engine.dispose()
        async with self.engine.begin() as connection:
            await connection.run_sync(self.metadata.drop_all)
        await self.engine.dispose()

    async def _scalars(self, statement: Any) -> list[Any]:
        async with self.engine.connect() as connection:
            return list((await connection.execute(statement)).scalars())


def _wait_for_locks(connection: Any, _: Any) -> None:
    connection.execute("PRAGMA busy_timeout = 5000")
