"""Collects the metrics of an outbox, by the inspection that `outbox status` uses. Needs the extra `outbox`."""

from domainstream.errors import OutboxUnavailableError
from domainstream.outbox.sql.database import OutboxDatabase
from domainstream.tools.metrics.table import Metric, Sample


class OutboxSource:
    """One outbox. A `Source`, for one task."""

    name = "outbox"

    def __init__(self, database: OutboxDatabase) -> None:
        """Look at the outbox of `database`, which is closed with the source."""
        self._database = database

    async def search(self) -> None:
        """Do nothing: there is one table."""

    async def collect(self) -> list[Sample]:
        """Return all samples; raise `OutboxError` when the outbox cannot be read."""
        if self._database.is_missing:
            raise OutboxUnavailableError(f"there is no database {self._database.file}")
        state = await self._database.inspection.status()
        values = {
            Metric.OUTBOX_BACKLOG: state.backlog,
            Metric.OUTBOX_OLDEST: (state.oldest_ms or 0) / 1000,
            Metric.OUTBOX_RELAY_ACTIVE: float(state.relay.is_active),
            Metric.OUTBOX_PUBLISHED: state.relay.published,
            Metric.OUTBOX_HELD: len(state.held),
        }
        return [Sample(metric, value, (state.table,)) for metric, value in values.items()]

    async def close(self) -> None:
        """Close the connections."""
        await self._database.close()
