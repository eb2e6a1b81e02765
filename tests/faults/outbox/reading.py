"""A relay without a server: it claims and settles batches, and publishes nothing."""

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from domainstream.outbox import Lease, SettledBatch, SqlOutboxStore, StoredMessage
from domainstream.publisher import BatchIdentity


class Reader:
    """Reads an outbox as its relay does, one batch after the other."""

    def __init__(self, url: str, table: Table) -> None:
        self.engine: AsyncEngine = create_async_engine(url)
        """The database."""
        self.store = SqlOutboxStore(self.engine, table)
        """The outbox."""
        self._lease: Lease | None = None
        self._settled: SettledBatch | None = None
        self._sequence = 0

    async def read(self) -> list[StoredMessage]:
        """Delete the rows of the last batch, and return those of the next one."""
        if self._lease is None:
            self._lease = await self.store.take_over("reader")
        assert self._lease is not None
        self._sequence += 1
        claim = await self.store.next_batch(self._lease, self._settled, BatchIdentity("reader", self._sequence))
        self._settled = None if claim.batch is None else SettledBatch(claim.batch)
        return [] if claim.batch is None else list(claim.batch.rows)

    async def read_ids(self) -> list[str]:
        """Return the ids of the next events."""
        return [row.message.event_id for row in await self.read()]

    async def close(self) -> None:
        """Close the connections."""
        await self.store.close()
        await self.engine.dispose()
