"""The tables of an outbox, however they are created and named."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from integration.outbox.conftest import Store, UrlOf
from sqlalchemy import Connection, Engine, MetaData, create_engine, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session
from support.coding import channel_for, created

from domainstream.outbox import Outbox, SqlOutboxStore, archive_table, outbox_table, relay_table
from domainstream.outbox.sql.tables import ddl
from domainstream.publisher import BatchIdentity

ODD_NAMES = ["OutBox", 'with "quotes"', "with:colon", "with%percent", "with.dot", "order", "mit Ümlaut und 'Strich'"]


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, postgres_url: UrlOf, tmp_path: Path) -> Iterator[Engine]:
    """Each kind of database."""
    made = create_engine(f"sqlite:///{tmp_path}/tables.db" if request.param == "sqlite" else postgres_url())
    yield made
    made.dispose()


@pytest.fixture
def schema(engine: Engine) -> Iterator[str | None]:
    """A schema of the test's own with an odd name, where there are schemas."""
    if engine.dialect.name == "sqlite":
        yield None
        return
    name = f'Sales "{uuid4().hex[:6]}"'
    quoted = engine.dialect.identifier_preparer.quote_schema(name)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {quoted}")
    yield name
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {quoted} CASCADE")


def run_script(connection: Connection, script: str) -> None:
    """Run the statements of a script, as `psql` or `sqlite3` would."""
    for statement in script.split(";\n"):
        if statement.strip():
            connection.exec_driver_sql(
                statement.replace("%", "%%") if connection.dialect.name != "sqlite" else statement
            )


def described(connection: Connection, name: str, schema: str | None) -> dict[str, Any]:
    """Return all that the database says of the three tables of an outbox."""
    inspector = inspect(connection)
    found: dict[str, Any] = {}
    for suffix in ("", "_relay", "_sent"):
        table = name + suffix
        found[suffix] = {
            "columns": [{**each, "type": str(each["type"])} for each in inspector.get_columns(table, schema)],
            "primary key": inspector.get_pk_constraint(table, schema)["constrained_columns"],
            "indexes": [
                {**each, "name": str(each["name"]).replace(name, "")} for each in inspector.get_indexes(table, schema)
            ],
            "options": inspector.get_table_options(table, schema),
        }
        if connection.dialect.name == "postgresql":
            storage = text(
                "SELECT reloptions FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace "
                "WHERE relname = :name AND nspname = :schema"
            )
            found[suffix]["storage"] = connection.execute(storage, {"name": table, "schema": schema}).scalar()
    return found


@pytest.mark.parametrize("name", ["domainstream_outbox", *ODD_NAMES])
def test_printed_statements_create_what_create_table_creates(engine: Engine, schema: str | None, name: str) -> None:
    """Columns, identity, indexes and storage parameters are the same, and Alembic sees nothing left to do."""
    outbox = Outbox(channel_for=channel_for, source="coding", table=outbox_table(MetaData(), name=name, schema=schema))
    with engine.connect() as connection:
        transaction = connection.begin()
        outbox.create_table(connection)
        by_call = described(connection, name, schema)
        for suffix in ("", "_relay", "_sent"):
            connection.exec_driver_sql(f"DROP TABLE {_quoted(connection, name + suffix, schema)}")
        run_script(connection, ddl(engine.dialect.name, name=name, schema=schema))
        by_script = described(connection, name, schema)
        own = outbox_table(MetaData(), name=name, schema=schema)
        tables = {each.name for each in (own, relay_table(own), archive_table(own))}
        options = {
            "include_schemas": True,
            "compare_server_default": engine.dialect.name == "postgresql",
            "include_name": lambda found, kind, _: (
                found == schema if kind == "schema" else kind != "table" or found in tables
            ),
        }
        changes = compare_metadata(MigrationContext.configure(connection, opts=options), own.metadata)
        transaction.rollback()
    assert by_script == by_call
    assert changes == []
    if engine.dialect.name == "postgresql":
        assert by_call[""]["columns"][0]["identity"]["always"] is True
        assert by_call[""]["columns"][0]["identity"]["cache"] == 1
        assert "autovacuum_vacuum_scale_factor=0" in by_call[""]["storage"]
        assert by_call["_relay"]["storage"] == ["fillfactor=10"]
    else:
        assert "AUTOINCREMENT" in ddl("sqlite")


def _quoted(connection: Connection, name: str, schema: str | None) -> str:
    quote = connection.dialect.identifier_preparer
    return quote.quote(name) if schema is None else f"{quote.quote_schema(schema)}.{quote.quote(name)}"


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_odd_names_are_stored_in_and_read_from(store: Store, name: str) -> None:
    """Quotes, capitals and signs that mean something to drivers are fine in the name of a table."""
    name = f"{uuid4().hex[:6]} {name}"
    outbox = Outbox(channel_for=channel_for, source="coding", table=outbox_table(MetaData(), name=name))
    kept = [created(), created()]
    with store.engine.begin() as connection:
        outbox.create_table(connection)
    with Session(store.engine) as session, session.begin():
        outbox.add(session, kept[0])
    engine = create_async_engine(store.async_url)
    async with engine.begin() as async_connection:
        outbox.add(async_connection, kept[1])
    await engine.dispose()
    read = await _read(store.async_url, outbox)
    assert read == [each.id for each in kept]
    with store.engine.begin() as connection:
        for suffix in ("", "_relay", "_sent"):
            connection.exec_driver_sql(f"DROP TABLE {_quoted(connection, name + suffix, None)}")


async def _read(url: str, outbox: Outbox[Any]) -> list[str]:
    engine = create_async_engine(url)
    store = SqlOutboxStore(engine, outbox.table)
    lease = await store.take_over("test")
    assert lease is not None
    claim = await store.next_batch(lease, None, BatchIdentity("test", 1))
    await store.release(lease, None)
    await engine.dispose()
    return [row.message.event_id for row in claim.batch.rows] if claim.batch else []
