"""An outbox in a database, for a dashboard. Needs the extra `outbox`."""

from collections.abc import Sequence
from typing import Self

from domainstream.errors import OutboxUnavailableError
from domainstream.outbox.sql.database import OutboxDatabase
from domainstream.outbox.sql.inspection import OutboxStatus
from domainstream.outbox.sql.tables import TABLE_NAME


class SqlOutbox:
    """The outbox of a database, by the inspection that `outbox status` uses. Implements `DashboardOutbox`."""

    def __init__(self, database: OutboxDatabase) -> None:
        """Show the outbox of `database`, which is closed with it."""
        self.name = f"{database.name} at {database.place}"
        """What it is known by: its table and its database, without user and password."""
        self._database = database

    @classmethod
    def from_url(cls, url: str, *, table: str = TABLE_NAME, schema: str | None = None) -> Self:
        """Return the outbox in the table of this name; it connects when somebody looks.

        Raises `ConfigurationError` for an invalid URL, `OutboxError` for a database that is not supported.
        """
        return cls(OutboxDatabase.from_url(url, table=table, schema=schema))

    async def status(self) -> OutboxStatus:
        """Return what it looks like now; see `DashboardOutbox.status`."""
        if self._database.is_missing:
            raise OutboxUnavailableError(f"there is no database {self._database.file}")
        return await self._database.inspection.status()

    async def retry(self, channels: Sequence[str]) -> int:
        """Let held channels be tried at once; see `DashboardOutbox.retry`."""
        return len(await self._database.repair.retry(channels))

    async def close(self) -> None:
        """Close the connections; see `DashboardOutbox.close`."""
        await self._database.close()
