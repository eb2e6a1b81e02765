"""Takes everything out of an outbox at once, for tests that have no relay."""

from sqlalchemy import Connection, Engine, Table, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domainstream.producer import OutgoingMessage

Database = Engine | AsyncEngine | Connection | AsyncConnection


async def take_all(database: Database, table: Table) -> list[OutgoingMessage]:
    """Delete the rows of an outbox, and return their messages in order.

    An engine takes what is committed. A connection takes what it sees, and leaves the commit to the caller: for tests
    that roll back the connection which their sessions share.
    """
    match database:
        case AsyncEngine():
            async with database.begin() as connection:
                return await connection.run_sync(_taken, table)
        case AsyncConnection():
            return await database.run_sync(_taken, table)
        case Engine():
            with database.begin() as sync_connection:
                return _taken(sync_connection, table)
        case _:
            return _taken(database, table)


def _taken(connection: Connection, table: Table) -> list[OutgoingMessage]:
    columns = (table.c.id, table.c.event_id, table.c.channel, table.c.data)
    rows = connection.execute(select(*columns).order_by(table.c.id)).all()
    if rows:
        # By number: a row that is committed meanwhile stays for the next call.
        connection.execute(delete(table).where(table.c.id.in_([row.id for row in rows])))
    return [OutgoingMessage(row.channel, row.event_id, bytes(row.data)) for row in rows]
