"""The tables of an outbox: the events that are still to be published, and what its relay has to remember.

A row of the outbox is an event that is not confirmed to be in its stream: the relay deletes it once it is. So the
number of rows is the backlog, and no column is ever updated.
"""

from typing import Final

from domainstream.errors import MissingExtraError, OutboxError

try:
    from sqlalchemy import (
        BigInteger,
        Column,
        DateTime,
        Dialect,
        Identity,
        Index,
        Integer,
        LargeBinary,
        MetaData,
        Table,
        Text,
        func,
    )
    from sqlalchemy.dialects import postgresql, sqlite
    from sqlalchemy.schema import CreateIndex, CreateTable
except ModuleNotFoundError:
    raise MissingExtraError("Outbox", "outbox") from None

TABLE_NAME: Final = "domainstream_outbox"
DIALECTS: Final = ("postgresql", "sqlite")

VACUUM: Final = {
    "autovacuum_vacuum_scale_factor": 0,
    "autovacuum_vacuum_threshold": 10_000,
    "autovacuum_vacuum_cost_delay": 0,
}
"""Storage parameters in PostgreSQL: rows live for milliseconds, so that dead ones pile up quickly."""

_Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up by itself only in a column of this type


def outbox_table(metadata: MetaData, *, name: str = TABLE_NAME, schema: str | None = None) -> Table:
    """Add the table of events to `metadata`, so that `create_all` and migrations include it, and return it.

    Columns are the row's `id`, the event's id, channel and partition key, its message (CloudEvents JSON in UTF-8), and
    when it was added. Numbers of rows must be drawn one by one (`CACHE 1`, the default), or events of one aggregate
    could overtake each other. `relay_table` and `archive_table` belong to it.
    """
    return Table(
        name,
        metadata,
        Column("id", _Id, Identity(always=True), primary_key=True),
        *_message_columns(),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        schema=schema,
        # Without it SQLite would begin at 1 again once the table is empty.
        sqlite_autoincrement=True,
        postgresql_with=VACUUM,
    )


def relay_table(outbox: Table) -> Table:
    """Add the table of an outbox's relay to the same metadata, and return it: one row, named after the outbox.

    It says who may publish until when (`owner`, `epoch`, `lease_until_ms`), what was noted before it was published
    (`producer`, `sequence`, and `pending`: row ids as JSON), which channels are held (`held`: JSON), and how many rows
    were `published` in all. Times are milliseconds since 1970.
    """
    return Table(
        f"{outbox.name}_relay",
        outbox.metadata,
        Column("name", Text, primary_key=True),
        Column("owner", Text),
        Column("epoch", BigInteger, nullable=False, server_default="0"),
        Column("lease_until_ms", BigInteger, nullable=False, server_default="0"),
        Column("producer", Text, nullable=False, server_default=""),
        Column("sequence", BigInteger, nullable=False, server_default="0"),
        Column("pending", Text, nullable=False, server_default="[]"),
        Column("held", Text, nullable=False, server_default="{}"),
        Column("published", BigInteger, nullable=False, server_default="0"),
        schema=outbox.schema,
        postgresql_with={"fillfactor": 10},
    )


def archive_table(outbox: Table) -> Table:
    """Add the table of an outbox's published rows to the same metadata, and return it; see `RelaySettings.archive`."""
    name = f"{outbox.name}_sent"
    return Table(
        name,
        outbox.metadata,
        Column("id", BigInteger, nullable=False),
        *_message_columns(),
        Column("created_at", DateTime(timezone=True), nullable=False),
        Column("sent_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Index(f"ix_{name}_sent_at", "sent_at", postgresql_using="brin"),
        schema=outbox.schema,
    )


def ddl(dialect: str, *, name: str = TABLE_NAME, schema: str | None = None) -> str:
    """Return the statements that create the three tables, for migrations that are written in SQL.

    `dialect` is `postgresql` or `sqlite`. Raises `OutboxError` for another one.
    """
    compiler = plain_dialect(dialect)
    outbox = outbox_table(MetaData(), name=name, schema=schema)
    statements: list[CreateTable | CreateIndex] = []
    for table in (outbox, relay_table(outbox), archive_table(outbox)):
        statements.append(CreateTable(table))
        statements += [CreateIndex(index) for index in table.indexes]
    return "\n\n".join(f"{str(each.compile(dialect=compiler)).strip()};" for each in statements) + "\n"


def require_supported(dialect: str) -> None:
    """Raise `OutboxError` for a database that has no outbox yet."""
    if dialect not in DIALECTS:
        raise OutboxError(f"Outbox supports PostgreSQL and SQLite, not {dialect} (not yet); use one of these")


def plain_dialect(name: str) -> Dialect:
    """Return the dialect that writes names as they are; raises `OutboxError` for an unsupported database."""
    require_supported(name)
    # Otherwise every % in a name would be doubled, as drivers need it.
    dialect: Dialect = (postgresql if name == "postgresql" else sqlite).dialect(paramstyle="named")
    return dialect


def _message_columns() -> list[Column[str] | Column[bytes]]:
    return [
        Column("event_id", Text, nullable=False),
        Column("channel", Text, nullable=False),
        Column("partition_key", Text, nullable=False),
        Column("data", LargeBinary, nullable=False),
    ]
