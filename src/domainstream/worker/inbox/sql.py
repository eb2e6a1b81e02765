"""Effects in a SQL database that happen once per event, however often its handler runs.

Needs SQLAlchemy 2, from the extra `sql`.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from domainstream.errors import InboxError, MissingExtraError
from domainstream.event import BaseEvent
from domainstream.queue.job import name_problem
from domainstream.validation import plain_name, positive, raise_problems

try:
    from sqlalchemy import Column, Connection, DateTime, Index, MetaData, Table, Text, delete, select, tuple_
    from sqlalchemy.dialects import postgresql, sqlite
    from sqlalchemy.orm import Session
except ModuleNotFoundError:
    raise MissingExtraError("SqlInbox", "sql") from None

TABLE_NAME: Final = "domainstream_inbox"

_INSERTS: Final[Mapping[str, Callable[[Table], Any]]] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


def inbox_table(metadata: MetaData, *, name: str = TABLE_NAME, schema: str | None = None) -> Table:
    """Add the inbox's table to `metadata`, so that `create_all` and migrations include it, and return it.

    One table serves all handlers of a service. Each row is one event that one handler has handled.
    """
    return Table(
        name,
        metadata,
        Column("handler", Text, primary_key=True),
        Column("event_id", Text, primary_key=True),
        Column("handled_at", DateTime(timezone=True), nullable=False),
        Index(f"ix_{name}_handled_at", "handler", "handled_at"),
        schema=schema,
    )


class SqlInbox:
    """Records in the caller's own transaction which events a handler has handled.

    Usage::

        inbox = SqlInbox("valuation.price-stay", inbox_table(metadata))

        @consumer.on(OptimizationEvaluated)
        async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
            async with engine.begin() as connection:
                if await connection.run_sync(inbox.first_time, event):
                    await connection.execute(...)

    The row and the effects are committed together or not at all. For PostgreSQL and SQLite, and for many concurrent
    threads and processes: of two transactions about one event, the second waits until the first has ended.
    """

    def __init__(self, name: str, table: Table | None = None) -> None:
        """Record under `name`, which distinguishes the handlers of an event, in `table`, by default `TABLE_NAME`.

        Raises `ConfigurationError` for an empty name.
        """
        name = plain_name(name)
        raise_problems("SqlInbox", [name_problem("name", name)])
        self.table = inbox_table(MetaData()) if table is None else table
        """The table that holds the rows."""
        self._name = name

    def create_table(self, connection: Connection) -> None:
        """Create the table unless it exists; for services without migrations."""
        self.table.create(connection, checkfirst=True)

    def first_time(self, connection: Connection | Session, event: BaseEvent[Any]) -> bool:
        """Return whether `event` is new to the handler, and record it, in the transaction of `connection`.

        Call it before the effects. Do whatever else follows, such as publishing, in either case: an earlier run of the
        handler may have ended between the commit and the rest. Raises `InboxError` if no transaction can hold both, and
        the errors of SQLAlchemy.
        """
        real = _connection_of(connection)
        insert = _INSERTS.get(real.dialect.name)
        if insert is None:
            raise InboxError(f"SqlInbox supports PostgreSQL and SQLite, not {real.dialect.name}; use one of these")
        if real.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
            raise InboxError("the connection commits each statement by itself; use a transaction: engine.begin()")
        row = {"handler": self._name, "event_id": event.id, "handled_at": datetime.now(UTC)}
        statement = insert(self.table).values(row).on_conflict_do_nothing().returning(self.table.c.event_id)
        return real.execute(statement).first() is not None

    def purge(self, connection: Connection | Session, *, older_than: timedelta, at_most: int = 10_000) -> int:
        """Delete the rows of the handler's oldest events, up to `at_most` of them, and return how many were deleted.

        `older_than` must exceed the time after which an event may still be handled again: its effects would happen
        again. Raises `ConfigurationError` for amounts of zero or less.
        """
        amounts = [positive("older_than", older_than, timedelta), positive("at_most", at_most, int)]
        raise_problems("SqlInbox.purge", amounts)
        columns = self.table.c
        old = (columns.handler == self._name, columns.handled_at < datetime.now(UTC) - older_than)
        chosen = select(columns.handler, columns.event_id).where(*old).order_by(columns.handled_at).limit(at_most)
        real = _connection_of(connection)
        return real.execute(delete(self.table).where(tuple_(columns.handler, columns.event_id).in_(chosen))).rowcount


def _connection_of(given: Connection | Session) -> Connection:
    return given.connection() if isinstance(given, Session) else given
