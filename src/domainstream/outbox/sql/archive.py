"""The archive of an outbox: the rows that its relay has published, if it runs with `RelaySettings.archive`."""

from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Integer,
    MetaData,
    SelectBase,
    Table,
    delete,
    exists,
    func,
    insert,
    inspect,
    literal_column,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domainstream.errors import OutboxError
from domainstream.outbox.sql.connection import driver_errors
from domainstream.outbox.sql.errors import translated_errors
from domainstream.outbox.sql.repair import CHUNK, REPAIR_NEEDS, RowChoice
from domainstream.outbox.sql.statements import NOW_MS
from domainstream.outbox.sql.tables import archive_table, outbox_table

_COPIED: Final = ("event_id", "channel", "partition_key", "data")


class SentChoice(RowChoice, frozen=True, kw_only=True):
    """Published rows that have something in common."""

    since_ms: int
    """Only those published at or after this moment, in milliseconds since 1970."""

    until_ms: int
    """Only those published at or before this moment, in milliseconds since 1970."""


class OutboxArchive:
    """Works on the archive of the outbox `table`. For any number of tasks.

    Methods raise `OutboxError` when there is no archive.
    """

    def __init__(self, engine: AsyncEngine, table: Table) -> None:
        """Work through `engine`, which the caller disposes of."""
        self._engine = engine
        self._outbox = outbox_table(MetaData(), name=table.name, schema=table.schema)
        self._sent = archive_table(self._outbox)

    async def now_ms(self) -> int:
        """Return the database's time in milliseconds since 1970."""
        with self._translated_errors():
            async with self._engine.connect() as connection:
                now = await connection.execute(text(f"SELECT {NOW_MS[self._engine.dialect.name]}"))
                return int(now.scalar_one())

    async def is_empty(self) -> bool:
        """Return whether nothing was archived yet, or nothing is left of it."""
        with self._translated_errors():
            async with self._engine.connect() as connection:
                await self._require_archive(connection)
                return not (await connection.execute(select(exists().select_from(self._sent)))).scalar_one()

    async def count(self, choice: SentChoice) -> int:
        """Return how many events `replay` would store again."""
        with self._translated_errors():
            async with self._engine.connect() as connection:
                await self._require_archive(connection)
                counted = await connection.execute(select(func.count()).select_from(self._replayed(choice).subquery()))
                return int(counted.scalar_one())

    async def replay(self, choice: SentChoice) -> int:
        """Store published events in the outbox again, each once, and return how many.

        They get new rows, in the order of their old ones, and keep their event ids, by which consumers recognize them.
        Events that still have a row in the outbox are left out.
        """
        with self._translated_errors():
            async with self._engine.begin() as connection:
                await self._require_archive(connection)
                copy = insert(self._outbox).from_select(_COPIED, self._replayed(choice))
                # SQLAlchemy forgets how many rows an INSERT has made otherwise.
                done = await connection.execute(copy.execution_options(preserve_rowcount=True))
                return done.rowcount

    async def count_older(self, older_than: timedelta) -> int:
        """Return how many rows `purge` would delete."""
        before = await self._before(older_than)
        with self._translated_errors():
            async with self._engine.connect() as connection:
                await self._require_archive(connection)
                rows = select(func.count()).select_from(self._sent).where(self._sent.c.sent_at < before)
                return int((await connection.execute(rows)).scalar_one())

    async def purge(self, older_than: timedelta) -> int:
        """Delete what was published longer ago, and return how many rows."""
        before = await self._before(older_than)
        is_old = self._sent.c.sent_at < before
        is_sqlite = self._engine.dialect.name == "sqlite"
        if is_sqlite:  # whose writers all wait meanwhile; in PostgreSQL nobody does
            older, row = self._sent.alias(), literal_column("rowid", Integer)
            some = select(row).select_from(older).where(older.c.sent_at < before).limit(CHUNK)
            is_old = row.in_(some)
        rows = 0
        while True:
            with self._translated_errors():
                async with self._engine.begin() as connection:
                    await self._require_archive(connection)
                    deleted = (await connection.execute(delete(self._sent).where(is_old))).rowcount
            rows += deleted
            if not is_sqlite or deleted < CHUNK:
                return rows

    async def _before(self, older_than: timedelta) -> datetime:
        return _moment(await self.now_ms() - round(older_than.total_seconds() * 1000))

    def _replayed(self, choice: SentChoice) -> SelectBase:
        sent = self._sent
        # An event that was replayed before has several rows in the archive.
        nth = func.row_number().over(partition_by=sent.c.event_id, order_by=sent.c.id).label("nth")
        rows = select(sent.c.id, *(sent.c[name] for name in _COPIED), nth)
        chosen = rows.where(*choice.conditions(sent), *self._within(choice)).subquery()
        waits = exists().where(self._outbox.c.event_id == chosen.c.event_id)
        return select(*(chosen.c[name] for name in _COPIED)).where(chosen.c.nth == 1, ~waits).order_by(chosen.c.id)

    def _within(self, choice: SentChoice) -> list[ColumnElement[bool]]:
        since, until = _moment(choice.since_ms), _moment(choice.until_ms)
        if self._engine.dialect.name == "sqlite":
            # SQLite compares texts, and those of its own clock have whole seconds.
            since = since.replace(microsecond=0) - timedelta(microseconds=1)
        return [self._sent.c.sent_at >= since, self._sent.c.sent_at <= until]

    def _translated_errors(self) -> AbstractContextManager[None]:
        return translated_errors(self._outbox.fullname, driver_errors(self._engine), needs=REPAIR_NEEDS)

    async def _require_archive(self, connection: AsyncConnection) -> None:
        name, schema = self._sent.name, self._sent.schema
        if not await connection.run_sync(lambda sync: inspect(sync).has_table(name, schema=schema)):
            raise OutboxError(
                f"the outbox {self._outbox.fullname} has no archive {self._sent.fullname}; create it (domainstream "
                "outbox ddl), and run the relay with --archive"
            )


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)
