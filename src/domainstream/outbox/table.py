"""The tables of an outbox: the events that are still to be published, and what its relay has to remember.

A row of the outbox is an event that is not published yet: the relay deletes it once the stream has it. So the number of
rows is the backlog, and no column is ever updated.
"""

from typing import Final

from domainstream.errors import MissingExtraError

try:
    from sqlalchemy import (
        JSON,
        BigInteger,
        Column,
        DateTime,
        Dialect,
        Identity,
        Integer,
        LargeBinary,
        MetaData,
        Table,
        Text,
        func,
    )
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.schema import CreateTable
except ModuleNotFoundError:
    raise MissingExtraError("Outbox", "sql") from None

TABLE_NAME: Final = "domainstream_outbox"

VACUUM: Final = {
    "autovacuum_vacuum_scale_factor": 0,
    "autovacuum_vacuum_threshold": 10_000,
    "autovacuum_vacuum_cost_delay": 0,
}
"""Storage parameters of the outbox in PostgreSQL: rows live for milliseconds, so that the dead ones pile up quickly."""

_Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up by itself only in a column of this type


def outbox_table(metadata: MetaData, *, name: str = TABLE_NAME, schema: str | None = None) -> Table:
    """Add the table of events to `metadata`, so that `create_all` and migrations include it, and return it.

    Columns are the row's `id`, the event's id, channel and partition key, its message (CloudEvents JSON in UTF-8), and
    when it was added. Numbers of rows must be drawn one by one (`CACHE 1`, the default), or events of one aggregate
    could overtake each other.
    """
    return Table(
        name,
        metadata,
        Column("id", _Id, Identity(always=True), primary_key=True),
        Column("event_id", Text, nullable=False),
        Column("channel", Text, nullable=False),
        Column("partition_key", Text, nullable=False),
        Column("data", LargeBinary, nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        schema=schema,
        # Without it SQLite would begin at 1 again once the table is empty.
        sqlite_autoincrement=True,
        postgresql_with=VACUUM,
    )


def relay_table(outbox: Table) -> Table:
    """Add the table of an outbox's relay to the same metadata, and return it: one row, named after the outbox.

    It says who may publish until when (`owner`, `epoch`, `lease_until`), what was noted before it was published
    (`producer`, `sequence`, `pending`: row ids as JSON), and which channels are held, with the reason (`held`).
    """
    return Table(
        f"{outbox.name}_relay",
        outbox.metadata,
        Column("name", Text, primary_key=True),
        Column("owner", Text),
        Column("epoch", BigInteger, nullable=False, server_default="0"),
        Column("lease_until", DateTime(timezone=True)),
        Column("producer", Text),
        Column("sequence", BigInteger, nullable=False, server_default="0"),
        Column("pending", JSON, nullable=False, server_default="[]"),
        Column("held", JSON, nullable=False, server_default="{}"),
        Column("seen_at", DateTime(timezone=True)),
        schema=outbox.schema,
        postgresql_with={"fillfactor": 10},
    )


def ddl(dialect: Dialect, *, name: str = TABLE_NAME, schema: str | None = None) -> str:
    """Return the statements that create both tables, for migrations that are written in SQL."""
    outbox = outbox_table(MetaData(), name=name, schema=schema)
    tables = (outbox, relay_table(outbox))
    return "".join(f"{str(CreateTable(table).compile(dialect=dialect)).strip()};\n" for table in tables)


def postgresql_dialect() -> Dialect:
    """Return the dialect that PostgreSQL's statements are written in."""
    return postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's dialects are not typed
