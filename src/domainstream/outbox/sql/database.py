"""An outbox and the connections to its database, for those who look at it or repair it."""

from pathlib import Path
from typing import Final, Self

from sqlalchemy import MetaData, Table
from sqlalchemy.ext.asyncio import AsyncEngine

from domainstream.outbox.sql.archive import OutboxArchive
from domainstream.outbox.sql.engine import open_engine
from domainstream.outbox.sql.inspection import OutboxInspection
from domainstream.outbox.sql.repair import OutboxRepair
from domainstream.outbox.sql.tables import TABLE_NAME, outbox_table

APPLICATION_NAME: Final = "domainstream"
"""How PostgreSQL's `pg_stat_activity` shows the connections."""


class OutboxDatabase:
    """The outbox `table` of one database."""

    def __init__(self, engine: AsyncEngine, table: Table) -> None:
        """Work through `engine`; `close` disposes of it."""
        self._engine = engine
        self.table = table
        """The table of events."""
        self.inspection = OutboxInspection(engine, table)
        """Looks at the outbox."""
        self.repair = OutboxRepair(engine, table)
        """Retries held channels, and discards rows."""
        self.archive = OutboxArchive(engine, table)
        """Replays and purges what was published."""

    @classmethod
    def from_url(cls, url: str, *, table: str = TABLE_NAME, schema: str | None = None) -> Self:
        """Return the outbox in the table of this name; it connects when it is used.

        Raises `ConfigurationError` for an invalid URL, `OutboxError` for a database that is not supported.
        """
        return cls(open_engine(url, application=APPLICATION_NAME), outbox_table(MetaData(), name=table, schema=schema))

    @property
    def name(self) -> str:
        """The table's name, with its schema if it has one."""
        return str(self.table.fullname)

    @property
    def place(self) -> str:
        """Host, port and database, or SQLite's file, without user and password."""
        url = self._engine.url
        if self._engine.dialect.name == "sqlite":
            return url.database or ":memory:"
        host = url.host or "localhost"
        return f"{host}:{url.port or 5432}/{url.database or url.username or ''}"

    @property
    def file(self) -> str | None:
        """SQLite's file; None for another database and for one in memory."""
        name = self._engine.url.database
        is_file = self._engine.dialect.name == "sqlite" and name and name != ":memory:" and not name.startswith("file:")
        return name if is_file else None

    @property
    def is_missing(self) -> bool:
        """Whether SQLite has no file yet, which it would create."""
        return self.file is not None and not Path(self.file).exists()

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()
