"""Sessions treat events as their own rows, on every driver, whatever their transaction goes through."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from integration.outbox.conftest import Stay, Store, UrlOf
from sqlalchemy import MetaData, event, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from support.coding import channel_for, created

from domainstream.errors import OutboxError
from domainstream.outbox import Outbox, begin_immediate, outbox_table
from domainstream.outbox.sql import session_events

Scenario = Callable[[Session, Outbox[Any]], None]


class Driver:
    """Runs a scenario in a session of one driver."""

    def __init__(self, store: Store, *, is_async: bool) -> None:
        self.store = store
        self._is_async = is_async

    def run(self, scenario: Scenario, **options: Any) -> None:
        """Run it in a session with these options."""
        if self._is_async:
            asyncio.run(self._run_async(scenario, options))
            return
        with Session(self.store.engine, **options) as session:
            scenario(session, self.store.outbox)

    async def _run_async(self, scenario: Scenario, options: dict[str, Any]) -> None:
        engine = create_async_engine(self.store.async_url)
        begin_immediate(engine)
        async with AsyncSession(engine, **options) as session:
            await session.run_sync(scenario, self.store.outbox)
        await engine.dispose()


@pytest.fixture(params=["sqlite", "sqlite+aiosqlite", "psycopg", "psycopg async", "asyncpg"])
def driver(request: pytest.FixtureRequest, postgres_url: UrlOf, tmp_path: Path) -> Iterator[Driver]:
    """Every driver, sync and async."""
    if request.param.startswith("sqlite"):
        store = Store(f"sqlite:///{tmp_path}/store.db", f"sqlite+aiosqlite:///{tmp_path}/store.db")
    else:
        url = postgres_url()
        store = Store(url, url.replace("+psycopg", "+asyncpg") if request.param == "asyncpg" else url)
    yield Driver(store, is_async=request.param not in {"sqlite", "psycopg"})
    store.close()


class DeliberateError(Exception):
    """Ends a transaction."""


def test_savepoints_treat_events_as_rows(driver: Driver) -> None:
    """A released savepoint keeps its events; one that is rolled back loses them, and those of savepoints within."""
    kept, lost = [created() for _ in range(4)], [created() for _ in range(3)]

    def scenario(session: Session, outbox: Outbox[Any]) -> None:
        with session.begin():
            outbox.add(session, kept[0])
            with session.begin_nested():
                outbox.add(session, kept[1])
                with suppress(DeliberateError), session.begin_nested():
                    outbox.add(session, lost[0])
                    raise DeliberateError
                outbox.add(session, kept[2])
            with suppress(DeliberateError), session.begin_nested():
                outbox.add(session, lost[1])
                with session.begin_nested():
                    outbox.add(session, lost[2])
                raise DeliberateError
            outbox.add(session, kept[3])

    driver.run(scenario)
    assert driver.store.stored() == [each.id for each in kept]


def test_commit_with_open_savepoints_stores_their_events(driver: Driver) -> None:
    """SQLAlchemy releases what is open when the outermost transaction commits, and the events are stored as well."""
    kept = [created() for _ in range(3)]

    def scenario(session: Session, outbox: Outbox[Any]) -> None:
        with session.begin():
            outbox.add(session, kept[0])
            session.begin_nested()
            outbox.add(session, kept[1])
            session.begin_nested()
            session.add(Stay(id="stay-1"))
            outbox.add(session, kept[2])

    driver.run(scenario)
    assert driver.store.stored() == [each.id for each in kept]


def test_release_with_open_savepoints_keeps_their_events(driver: Driver) -> None:
    """A savepoint that is released takes those within it along; a later rollback of another loses only its own."""
    kept = [created() for _ in range(3)]

    def scenario(session: Session, outbox: Outbox[Any]) -> None:
        outer = session.begin_nested()
        outbox.add(session, kept[0])
        session.begin_nested()
        outbox.add(session, kept[1])
        outer.commit()
        other = session.begin_nested()
        outbox.add(session, created())
        other.rollback()
        outbox.add(session, kept[2])
        session.commit()

    driver.run(scenario)
    assert driver.store.stored() == [each.id for each in kept]


@pytest.mark.parametrize("is_released", [True, False], ids=["released", "rolled back"])
def test_savepoints_that_began_before_the_first_outbox_are_known(driver: Driver, *, is_released: bool) -> None:
    """Their events are treated as rows although no hook saw them begin."""
    given, kept = created(), created()

    def scenario(session: Session, outbox: Outbox[Any]) -> None:
        with session.begin():
            outer = session.begin_nested()
            session.begin_nested()
            session_events.works.clear()  # as if no outbox had been created yet
            outbox.add(session, given)
            (outer.commit if is_released else outer.rollback)()
            outbox.add(session, kept)

    driver.run(scenario)
    assert driver.store.stored() == ([given.id, kept.id] if is_released else [kept.id])


def test_each_transaction_of_a_session_has_its_own_events(driver: Driver) -> None:
    """Commits, rollbacks and a close in turn: what was committed is stored once, and nothing else."""
    kept = [created() for _ in range(3)]

    def scenario(session: Session, outbox: Outbox[Any]) -> None:
        outbox.add(session, kept[0])
        session.commit()
        session.commit()
        outbox.add(session, created())
        session.rollback()
        outbox.add(session, kept[1])
        session.flush()
        session.execute(select(Stay))
        session.commit()
        outbox.add(session, created())
        session.close()
        outbox.add(session, kept[2])
        session.commit()

    driver.run(scenario)
    assert driver.store.stored() == [each.id for each in kept]


def test_event_is_refused_after_a_failed_flush(driver: Driver) -> None:
    """A transaction that has failed loses what is added to it, so `add` says so; after a rollback all is as before."""
    kept = created()

    def scenario(session: Session, outbox: Outbox[Any]) -> None:
        outbox.add(session, created())
        session.execute(text("INSERT INTO stays (id, changes) VALUES ('stay-1', 0)"))
        session.add(Stay(id="stay-1"))
        with pytest.raises(IntegrityError):
            session.flush()
        with pytest.raises(OutboxError, match="roll back first"):
            outbox.add(session, created())
        session.rollback()
        outbox.add(session, kept)
        session.commit()

    driver.run(scenario)
    assert driver.store.stored() == [kept.id]


def test_two_outboxes_share_a_session(driver: Driver) -> None:
    """Each outbox writes its own events, in its own table, with the one commit."""
    other = Outbox(
        channel_for=channel_for,
        source="coding",
        table=outbox_table(MetaData(), name=f"{driver.store.outbox.table.name}_b"),
    )
    with driver.store.engine.begin() as connection:
        other.create_table(connection)
    first, second = created(), created()

    def scenario(session: Session, outbox: Outbox[Any]) -> None:
        outbox.add(session, first)
        with suppress(DeliberateError), session.begin_nested():
            outbox.add(session, created())
            other.add(session, created())
            raise DeliberateError
        other.add(session, second)
        session.commit()

    driver.run(scenario)
    assert driver.store.stored() == [first.id]
    assert driver.store.stored(other.table) == [second.id]


@pytest.mark.parametrize("is_first", [True, False], ids=["first event", "second event"])
@pytest.mark.parametrize("hook", ["before_commit", "before_flush", "after_flush", "after_flush_postexec"])
def test_event_of_a_hook_is_stored(driver: Driver, hook: str, *, is_first: bool) -> None:
    """What a hook of the session adds while the transaction commits is stored with it, also as its only event."""
    given, added = created(), created()

    def scenario(session: Session, outbox: Outbox[Any]) -> None:
        def add(session: Session, *_: Any) -> None:
            outbox.add(session, added)

        event.listen(session, hook, add, once=True)
        session.add(Stay(id="stay-1"))
        if not is_first:
            outbox.add(session, given)
        session.commit()

    driver.run(scenario)
    assert sorted(driver.store.stored()) == sorted([added.id] if is_first else [given.id, added.id])


@pytest.mark.parametrize("is_first", [True, False], ids=["first event", "second event"])
def test_event_of_a_flush_is_written_after_the_changes(driver: Driver, *, is_first: bool) -> None:
    """Its number is drawn while the aggregate's row is locked, although it is added before the change is flushed."""
    statements: list[str] = []

    def scenario(session: Session, outbox: Outbox[Any]) -> None:
        event.listen(session, "before_flush", lambda session, *_: outbox.add(session, created()), once=True)
        engine = session.connection().engine
        event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
        if not is_first:
            outbox.add(session, created())
        session.add(Stay(id="stay-1"))
        session.commit()

    driver.run(scenario)
    inserts = [each.split()[2] for each in statements if each.startswith("INSERT")]
    assert inserts == ["stays", driver.store.outbox.table.name]


def test_session_without_events_is_not_flushed_early(driver: Driver) -> None:
    """Hooks of others still see what a session holds when it commits, as they do without an outbox."""
    seen: list[Any] = []

    def scenario(session: Session, _: Outbox[Any]) -> None:
        event.listen(session, "before_commit", lambda session: seen.extend(session.new))
        session.add(stay := Stay(id="stay-1"))
        session.commit()
        assert seen == [stay]

    driver.run(scenario)


def test_event_of_a_flush_without_changes_is_stored(driver: Driver) -> None:
    """A hook that adds an event, and takes away all that was to be flushed, does not lose it."""
    added = created()

    def scenario(session: Session, outbox: Outbox[Any]) -> None:
        def add(session: Session, *_: Any) -> None:
            outbox.add(session, added)
            session.expunge_all()

        event.listen(session, "before_flush", add, once=True)
        session.add(Stay(id="stay-1"))
        session.commit()

    driver.run(scenario)
    assert driver.store.stored() == [added.id]


def test_event_of_a_hook_is_stored_when_savepoints_are_open(driver: Driver) -> None:
    """The flush of a savepoint that the outermost commit releases may add the transaction's only event."""
    added = created()

    def scenario(session: Session, outbox: Outbox[Any]) -> None:
        event.listen(session, "after_flush", lambda session, _: outbox.add(session, added), once=True)
        with session.begin():
            session.begin_nested()
            session.add(Stay(id="stay-1"))

    driver.run(scenario)
    assert driver.store.stored() == [added.id]


def test_event_is_refused_after_the_commit(driver: Driver) -> None:
    """A hook that adds an event after the commit would lose it, and gets an error instead."""
    refused: list[str] = []

    def scenario(session: Session, outbox: Outbox[Any]) -> None:
        def add(session: Session) -> None:
            with pytest.raises(OutboxError, match="before the commit"):
                outbox.add(session, created())
            refused.append("after_commit")

        event.listen(session, "after_commit", add)
        session.add(Stay(id="stay-1"))
        session.commit()

    driver.run(scenario)
    assert refused == ["after_commit"]
    assert driver.store.stored() == []


def test_commit_that_a_hook_refused_is_repeated(driver: Driver) -> None:
    """When another hook stops the commit, a second one stores each event once."""
    events = [created(), created()]

    def scenario(session: Session, outbox: Outbox[Any]) -> None:
        def refuse(_: Session) -> None:
            raise DeliberateError

        event.listen(session, "before_commit", refuse, once=True)
        outbox.add(session, events[0])
        with pytest.raises(DeliberateError):
            session.commit()
        outbox.add(session, events[1])
        session.commit()

    driver.run(scenario)
    assert driver.store.stored() == [each.id for each in events]


def test_session_without_autobegin_says_how_to_begin(driver: Driver) -> None:
    """`add` does not begin what the session leaves to its user."""

    def scenario(session: Session, outbox: Outbox[Any]) -> None:
        with pytest.raises(OutboxError, match=r"session\.begin"):
            outbox.add(session, created())

    driver.run(scenario, autobegin=False)


JOINED = [
    ("rollback_only", True),
    ("control_fully", True),
    ("create_savepoint", True),
    ("conditional_savepoint", True),
    ("create_savepoint", False),
]


@pytest.mark.parametrize(("mode", "is_committed"), JOINED)
def test_joined_transaction_decides(store: Store, mode: Any, *, is_committed: bool) -> None:
    """A session that joins a connection's transaction writes at its commit; the connection's own commit decides."""
    stored, lost = created(), created()
    with store.engine.connect() as connection:
        outer = connection.begin()
        with Session(connection, join_transaction_mode=mode) as session:
            store.outbox.add(session, stored)
            session.commit()
        assert store.stored(connection=connection) == [stored.id]
        if mode == "create_savepoint":
            with Session(connection, join_transaction_mode=mode) as session:
                store.outbox.add(session, lost)
                session.rollback()
        if outer.is_active:
            (outer.commit if is_committed else outer.rollback)()
    assert store.stored() == ([stored.id] if is_committed else [])


def test_prepared_transaction_holds_its_events(store: Store) -> None:
    """With two-phase commit the rows are part of what was prepared, and visible once that is committed."""
    if store.engine.dialect.name != "postgresql":
        pytest.skip("SQLite has no prepared transactions")
    with store.engine.connect() as connection:
        if connection.execute(text("SHOW max_prepared_transactions")).scalar() == "0":
            pytest.skip("this PostgreSQL does not allow prepared transactions: set max_prepared_transactions")
    kept, lost = created(), created()
    with Session(store.engine, twophase=True) as session:
        store.outbox.add(session, kept)
        session.prepare()
        assert store.stored() == []
        session.commit()
        store.outbox.add(session, lost)
        session.prepare()
        session.rollback()
    assert store.stored() == [kept.id]


def test_scoped_sessions_are_sessions(store: Store) -> None:
    """A `scoped_session` stands for the session of the current thread, in `add` and in `collect`."""
    sessions = scoped_session(sessionmaker(store.engine))
    store.outbox.collect(sessions, lambda aggregate: aggregate.pull_events())
    stay, kept = Stay(id="stay-1"), [created(), created()]
    stay.events.append(kept[1])
    store.outbox.add(sessions, kept[0])
    sessions.add(stay)
    sessions.commit()
    sessions.remove()
    assert store.stored() == [each.id for each in kept]


async def test_async_scoped_sessions_are_sessions(store: Store) -> None:
    """An `async_scoped_session` stands for the session of the current task, in `add` and in `collect`."""
    engine = create_async_engine(store.async_url)
    sessions = async_scoped_session(async_sessionmaker(engine), scopefunc=asyncio.current_task)
    store.outbox.collect(sessions, lambda aggregate: aggregate.pull_events())
    stay, kept = Stay(id="stay-1"), [created(), created()]
    stay.events.append(kept[1])
    store.outbox.add(sessions, kept[0])
    sessions.add(stay)
    await sessions.commit()
    await sessions.remove()
    await engine.dispose()
    assert store.stored() == [each.id for each in kept]
