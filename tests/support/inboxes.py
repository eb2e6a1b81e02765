"""Effects that show when they happen twice, for the tests of inboxes."""

from sqlalchemy import Connection, Table, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from domainstream.event import BaseEvent
from domainstream.worker.inbox.sql import SqlInbox


class CrashError(Exception):
    """Simulates the end of the process at this place."""


class Ledger:
    """Payments in a database, one a row: an event that is handled twice pays twice."""

    def __init__(self, engine: AsyncEngine, payments: Table, inbox: Table) -> None:
        self.engine = engine
        self.payments = payments
        self.inbox = SqlInbox("valuation.pay", inbox)

    def pay(self, connection: Connection, event: BaseEvent[object]) -> None:
        """Have the effect."""
        connection.execute(insert(self.payments).values(event_id=event.id))

    def pay_once(self, connection: Connection, event: BaseEvent[object]) -> bool:
        """Have the effect, protected by the inbox."""
        first = self.inbox.first_time(connection, event)
        if first:
            self.pay(connection, event)
        return first

    async def paid(self) -> int:
        """Count the payments."""
        async with self.engine.connect() as connection:
            return int((await connection.execute(select(func.count()).select_from(self.payments))).scalar_one())

    async def remembered(self) -> int:
        """Count the rows of the inbox."""
        async with self.engine.connect() as connection:
            return int((await connection.execute(select(func.count()).select_from(self.inbox.table))).scalar_one())
