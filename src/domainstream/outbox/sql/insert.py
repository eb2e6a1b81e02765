"""Inserts rows into an outbox with one statement, however many they are.

The statement goes to the driver as it is: SQLAlchemy's own `insert()` takes twice as long for a single row, and that is
what an outbox costs its users.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, Dialect, Table

from domainstream.channel.partitions import parse_target
from domainstream.errors import ConfigurationError, OutboxError
from domainstream.event import BaseEvent
from domainstream.outbox.sql.binding import verify_transaction
from domainstream.outbox.sql.errors import hidden_parameters
from domainstream.producer.message_builder import Mapped
from domainstream.receipt import Outcome, Receipt

ROWS_PER_STATEMENT: Final = 500
"""SQLite and PostgreSQL allow some 32,000 parameters in a statement."""

Row = tuple[str, str, str, bytes]
"""Event id, target, partition key, message."""

Built = tuple[BaseEvent[Any], Row | None]
"""An event with its row; None if it stays inside its service."""

_COLUMNS: Final = "event_id, channel, partition_key, data"
_MARKS: Final = {"qmark": "?", "format": "%s", "pyformat": "%s"}


def build_rows(mapped: Iterable[Mapped]) -> list[Built]:
    """Return each event with its row; raise `OutboxError` for a partition key that no database can store."""
    built: list[Built] = []
    for event, message in mapped:
        key = event.partition_key or event.aggregate_id
        if message is not None and "\0" in key:
            raise OutboxError(f"the partition key of event {event.id} holds a NUL, which no database can store")
        built.append((event, None if message is None else (message.event_id, message.target, key, message.data)))
    return built


def stored_receipts(built: Iterable[Built]) -> list[Receipt]:
    """Return a receipt for each event, which says whether it has a row."""
    return [
        Receipt(event_id=event.id, outcome=Outcome.NOT_PUBLISHED)
        if row is None
        else Receipt(event_id=event.id, outcome=Outcome.STORED, channel=parse_target(row[1]).channel)
        for event, row in built
    ]


def values_statement(name: str, mark: str, rows: Sequence[Row]) -> tuple[str, tuple[Any, ...]]:
    """Return the statement that inserts up to `ROWS_PER_STATEMENT` rows into the table of this quoted name.

    `mark` is the driver's place of a parameter; the parameters are behind the statement.
    """
    values = tuple(value for row in rows for value in row)
    return _values_text(name, f"({mark}, {mark}, {mark}, {mark})", len(rows)), values


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row], *, notify: bool = False) -> None:
    """Insert `rows`, in their order, in the transaction of `connection`; with `notify`, wake the relay at its commit.

    Raises `OutboxError` for a connection that commits each statement, and when the table is missing or forbidden;
    `ConfigurationError` for notifications without PostgreSQL; else the driver's error as SQLAlchemy raises it, without
    the parameters.
    """
    verify_transaction(connection)
    dialect = connection.dialect
    if notify and dialect.name != "postgresql":
        problem = f"only PostgreSQL has notifications, not {dialect.name}; leave out notify=True"
        raise ConfigurationError("Outbox cannot be used:", [problem])
    quote = dialect.identifier_preparer
    # Like insert(table): a schema_translate_map applies.
    schema = connection.schema_for_object(table)
    name = quote.quote(table.name) if schema is None else f"{quote.quote_schema(schema)}.{quote.quote(table.name)}"
    with hidden_parameters(table.fullname):
        for start in range(0, len(rows), ROWS_PER_STATEMENT):
            text, parameters = _statement(dialect, name, rows[start : start + ROWS_PER_STATEMENT])
            if notify:
                mark = _MARKS.get(dialect.paramstyle, f"${len(parameters) + 1}")
                text, parameters = f"WITH added AS ({text}) SELECT pg_notify({mark}, '')", (*parameters, table.name)
            connection.exec_driver_sql(text, parameters).close()


def _statement(dialect: Dialect, name: str, rows: Sequence[Row]) -> tuple[str, tuple[Any, ...]]:
    if dialect.paramstyle == "numeric_dollar":
        # One text for any number of rows, which the driver prepares once.
        columns = tuple(zip(*rows, strict=True))
        return _UNNEST.format(name=name), tuple(map(list, columns))
    return values_statement(name, _MARKS[dialect.paramstyle], rows)


_UNNEST: Final = (
    f"INSERT INTO {{name}} ({_COLUMNS}) SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[])"
)


@lru_cache(maxsize=64)
def _values_text(name: str, row: str, count: int) -> str:
    return f"INSERT INTO {name} ({_COLUMNS}) VALUES {', '.join([row] * count)}"
