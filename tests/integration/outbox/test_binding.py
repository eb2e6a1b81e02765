"""An event is stored in one transaction with its data, or `add` says why it cannot be."""

from pathlib import Path
from typing import Any

import pytest
from integration.outbox.conftest import Stay, Stays, Store
from sqlalchemy import Engine, MetaData, create_engine, event, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from support.coding import channel_for, created

from domainstream.errors import OutboxError
from domainstream.outbox import Outbox, outbox_table

COMMITS_EACH = "commits each statement"


@pytest.fixture
def other(tmp_path: Path) -> Engine:
    """Another database, with the same models and no outbox."""
    engine = create_engine(f"sqlite:///{tmp_path}/other.db")
    Stays.metadata.create_all(engine)
    return engine


def test_session_with_several_databases_must_say_where_the_outbox_is(store: Store, other: Engine) -> None:
    """A default could commit the event apart from its data."""
    with Session(store.engine, binds={Stay: other}) as session, pytest.raises(OutboxError, match=r"outbox\.table"):
        store.outbox.add(session, created())
    with Session(binds={Stay: other}) as session, pytest.raises(OutboxError, match=r"outbox\.table"):
        store.outbox.add(session, created())


def test_session_stores_where_it_binds_the_outbox(store: Store, other: Engine) -> None:
    """The bind of the outbox's table gets the row, as it would get an `insert` of the user's own."""
    kept = [created(), created()]
    with Session(other, binds={store.outbox.table: store.engine}) as session, session.begin():
        session.add(Stay(id="stay-1"))
        store.outbox.add(session, kept[0])
    with Session(binds={Stay: store.engine, store.outbox.table: store.engine}) as session, session.begin():
        store.outbox.add(session, kept[1])
    assert store.stored() == [each.id for each in kept]


def test_session_with_several_binds_to_one_database_is_clear(store: Store) -> None:
    """Where all binds lead to the same database there is nothing to choose."""
    kept = created()
    with Session(store.engine, binds={Stay: store.engine}) as session, session.begin():
        store.outbox.add(session, kept)
    assert store.stored() == [kept.id]


def test_session_that_routes_by_itself_decides(store: Store, other: Engine) -> None:
    """A session with a `get_bind` of its own is asked, by the statement."""

    class Routed(Session):
        def get_bind(self, mapper: Any = None, *, clause: Any = None, **_: Any) -> Engine:
            return store.engine if getattr(clause, "table", None) is store.outbox.table else other

    kept = created()
    with Routed(binds={Stay: other}) as session, session.begin():
        session.add(Stay(id="stay-1"))
        store.outbox.add(session, kept)
    assert store.stored() == [kept.id]


def test_database_without_outbox_is_refused_by_add() -> None:
    """Only PostgreSQL and SQLite have one; the error comes where the event is added."""
    engine = create_engine("mysql+pymysql://", module=_NoDriver())
    outbox = Outbox(channel_for=channel_for, source="coding")
    with Session(engine) as session, pytest.raises(OutboxError, match=r"not mysql \(not yet\)"):
        outbox.add(session, created())


class _NoDriver:
    paramstyle = "format"

    class Error(Exception):
        pass


def test_session_that_commits_each_statement_is_refused(store: Store) -> None:
    """AUTOCOMMIT is refused before the data is flushed, wherever it was set."""
    engine = store.engine
    always = create_engine(engine.url, isolation_level="AUTOCOMMIT")
    with always.connect() as connection:
        sessions = [
            Session(engine.execution_options(isolation_level="AUTOCOMMIT")),
            Session(engine, execution_options={"isolation_level": "AUTOCOMMIT"}),
            Session(always),
            Session(connection),
        ]
        for session in sessions:
            with session, pytest.raises(OutboxError, match=COMMITS_EACH):
                store.outbox.add(session, created())
    always.dispose()
    assert store.stored() == []


def test_session_whose_connection_commits_each_statement_is_refused(store: Store) -> None:
    """A session cannot know in advance how its connection was opened; its commit fails, and stores no event."""
    with Session(store.engine) as session:
        session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
        store.outbox.add(session, created())
        with pytest.raises(OutboxError, match=COMMITS_EACH):
            session.commit()
    assert store.stored() == []


def test_driver_that_commits_each_statement_is_refused(store: Store) -> None:
    """The driver's own autocommit is seen although SQLAlchemy was not asked for it."""
    engine = create_engine(store.engine.url)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        if engine.dialect.name == "sqlite":
            connection.isolation_level = None
        else:
            connection.autocommit = True

    with pytest.raises(OutboxError, match=COMMITS_EACH), engine.begin() as connection:
        store.outbox.add(connection, created())
    with pytest.raises(OutboxError, match=COMMITS_EACH), Session(engine) as session, session.begin():
        store.outbox.add(session, created())
    engine.dispose()
    assert store.stored() == []


@pytest.fixture
def async_engine(store: Store) -> AsyncEngine:
    """An engine that commits each statement."""
    return create_async_engine(store.async_url, isolation_level="AUTOCOMMIT")


async def test_async_autocommit_is_refused(store: Store, async_engine: AsyncEngine) -> None:
    """Async engines, connections and sessions with AUTOCOMMIT are refused by `add`."""
    plain = create_async_engine(store.async_url)
    async with async_engine.begin() as connection, plain.connect() as set_later:
        await set_later.execution_options(isolation_level="AUTOCOMMIT")
        await set_later.execute(text("SELECT 1"))
        places: list[AsyncSession | AsyncConnection] = [AsyncSession(async_engine), connection, set_later]
        for place in places:
            with pytest.raises(OutboxError, match=COMMITS_EACH):
                store.outbox.add(place, created())
    await async_engine.dispose()
    await plain.dispose()
    assert store.stored() == []


def test_partition_key_that_cannot_be_stored_is_refused_by_add(store: Store) -> None:
    """PostgreSQL stores no NUL in a text; the mistake is raised where it is made, on every database."""
    with Session(store.engine) as session, session.begin(), pytest.raises(OutboxError, match="NUL"):
        store.outbox.add(session, created(partition_key="ward\0"))
    assert store.stored() == []


def test_missing_table_is_an_error_that_says_what_to_do(store: Store) -> None:
    """The commit fails, with the outbox's name and without the message."""
    outbox = Outbox(channel_for=channel_for, source="coding", table=outbox_table(MetaData(), name="not_created"))
    event = created("secret")
    with Session(store.engine) as session:
        session.add(Stay(id="stay-1"))
        outbox.add(session, event)
        with pytest.raises(OutboxError, match=r"not_created.*create_table") as raised:
            session.commit()
    assert "secret" not in str(raised.value)
    with store.engine.connect() as connection:
        assert connection.execute(select(Stay.id)).all() == []


def test_error_of_the_database_keeps_its_class_and_hides_the_message(store: Store) -> None:
    """Whoever repeats deadlocks still recognizes them, and no log has the event's data."""
    table = store.outbox.table.name
    with store.engine.begin() as connection:
        if store.engine.dialect.name == "sqlite":
            connection.exec_driver_sql(
                f"CREATE TRIGGER refuse BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'refused'); END"
            )
        else:
            connection.exec_driver_sql(
                f"CREATE FUNCTION refuse_{table}() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'refused'; END $$"
            )
            connection.exec_driver_sql(
                f"CREATE TRIGGER refuse BEFORE INSERT ON {table} EXECUTE FUNCTION refuse_{table}()"
            )
    with pytest.raises(DBAPIError, match="refused") as raised, Session(store.engine) as session, session.begin():
        store.outbox.add(session, created("secret"))
    assert "secret" not in str(raised.value)
    assert raised.value.params is None


def test_schema_of_a_tenant_applies(store: Store) -> None:
    """A `schema_translate_map` leads the event where it leads the user's own rows."""
    if store.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has no schemas")
    tenant = f"{store.outbox.table.name}_tenant"
    engine = store.engine.execution_options(schema_translate_map={None: tenant})
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {tenant}")
        store.outbox.table.create(connection)
    kept = [created(), created()]
    with Session(engine) as session, session.begin():
        store.outbox.add(session, kept[0])
    with engine.begin() as connection:
        store.outbox.add(connection, kept[1])
    with engine.connect() as connection:
        assert store.stored(connection=connection) == [each.id for each in kept]
    assert store.stored() == []
    with store.engine.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {tenant} CASCADE")
