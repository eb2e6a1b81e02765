"""Core connections write events right before their commit, and treat them as rows until then."""

import gc
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any

import pytest
from integration.outbox.conftest import Stay, Store
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, MetaData, insert, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker
from support.coding import channel_for, created

from domainstream.errors import OutboxError
from domainstream.outbox import Outbox, outbox_table
from domainstream.outbox.sql import session_events


class DeliberateError(Exception):
    """Ends a transaction."""


def test_savepoints_of_a_connection_treat_events_as_rows(store: Store) -> None:
    """What a savepoint added goes with its rollback, and stays when it is released."""
    kept = [created() for _ in range(4)]
    with store.engine.begin() as connection:
        with connection.begin_nested():
            store.outbox.add(connection, kept[0])
        store.outbox.add(connection, kept[1])
        with suppress(DeliberateError), connection.begin_nested():
            store.outbox.add(connection, created())
            with connection.begin_nested():
                store.outbox.add(connection, created())
            raise DeliberateError
        with connection.begin_nested():
            store.outbox.add(connection, kept[2])
            with suppress(DeliberateError), connection.begin_nested():
                raise DeliberateError
        connection.begin_nested()
        store.outbox.add(connection, kept[3])
    assert store.stored() == [each.id for each in kept]


def test_first_event_in_a_savepoint_goes_with_its_rollback(store: Store) -> None:
    """Savepoints that began before the outbox was used are known as well."""
    kept = created()
    with store.engine.begin() as connection:
        with suppress(DeliberateError), connection.begin_nested(), connection.begin_nested():
            store.outbox.add(connection, created())
            raise DeliberateError
        store.outbox.add(connection, kept)
    assert store.stored() == [kept.id]


def test_each_transaction_of_a_connection_has_its_own_events(store: Store) -> None:
    """Autobegin, commits and rollbacks in turn: what was committed is stored once, and nothing else."""
    kept = [created() for _ in range(2)]
    with store.engine.connect() as connection:
        for each, end in ((kept[0], "commit"), (created(), "rollback"), (kept[1], "commit"), (created(), "close")):
            connection.execute(text("SELECT 1"))
            store.outbox.add(connection, each)
            getattr(connection, end)()
    assert store.stored() == [each.id for each in kept]


def test_failed_insert_takes_the_transaction_with_it(store: Store) -> None:
    """Where the event cannot be written, the data is not committed either."""
    missing = Outbox(channel_for=channel_for, source="coding", table=outbox_table(MetaData(), name="not_created"))
    with pytest.raises(OutboxError, match="create_table"), store.engine.begin() as connection:
        _change_and_add(connection, missing)
    with store.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM stays")).scalar() == 0


def _change_and_add(connection: Connection, outbox: Outbox[Any]) -> None:
    connection.execute(insert(Stay).values(id="stay-1", changes=0))
    outbox.add(connection, created())


def test_connection_whose_commit_has_failed_is_refused_until_it_is_rolled_back(store: Store) -> None:
    """An event that is added after it would be lost; and the pool gets a connection without an open transaction."""
    kept = created()
    missing = Outbox(channel_for=channel_for, source="coding", table=outbox_table(MetaData(), name="not_created"))
    with store.engine.connect() as connection:
        connection.execute(insert(Stay).values(id="stay-1", changes=0))
        missing.add(connection, created())
        with pytest.raises(OutboxError, match="not_created"):
            connection.commit()
        with pytest.raises(OutboxError, match="roll back first"):
            store.outbox.add(connection, created())
    with store.engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM stays")).scalar() == 0
        store.outbox.add(connection, kept)
    assert store.stored() == [kept.id]


@pytest.mark.parametrize("begin", ["begin", "begin_twophase"])
def test_commit_on_a_broken_connection_raises_what_the_database_says(store: Store, begin: str) -> None:
    """Where the connection breaks before the event is written, the caller gets the driver's error."""
    if store.engine.dialect.name == "sqlite":
        pytest.skip("a connection to SQLite does not break")
    kept = created()
    with store.engine.connect() as connection:
        transaction = getattr(connection, begin)()
        store.outbox.add(connection, created())
        driver: Any = connection.connection.driver_connection
        driver.close()
        with pytest.raises(DBAPIError, match="closed"):
            transaction.commit()
    with store.engine.begin() as connection:
        store.outbox.add(connection, kept)
    assert store.stored() == [kept.id]


def test_prepared_transaction_of_a_connection_holds_its_events(store: Store) -> None:
    """With two-phase commit the rows are part of what is prepared, or of a commit without preparation."""
    if store.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has no prepared transactions")
    kept = [created(), created()]
    with store.engine.connect() as connection:
        if connection.execute(text("SHOW max_prepared_transactions")).scalar() == "0":
            pytest.skip("this PostgreSQL does not allow prepared transactions: set max_prepared_transactions")
        connection.rollback()
        for each, is_prepared in zip(kept, (True, False), strict=True):
            transaction = connection.begin_twophase()
            store.outbox.add(connection, each)
            if is_prepared:
                transaction.prepare()
            transaction.commit()
    assert store.stored() == [each.id for each in kept]


def test_failed_insert_ends_a_two_phase_transaction_that_was_not_prepared(store: Store) -> None:
    """The pool gets a connection without an open transaction, and the data is not committed."""
    if store.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has no prepared transactions")
    missing = Outbox(channel_for=channel_for, source="coding", table=outbox_table(MetaData(), name="not_created"))
    with store.engine.connect() as connection:
        transaction = connection.begin_twophase()
        _change_and_add(connection, missing)
        driver: Any = connection.connection.driver_connection
        with pytest.raises(OutboxError, match="not_created"):
            transaction.commit()
    assert driver.info.transaction_status == TransactionStatus.IDLE
    with store.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM stays")).scalar() == 0


def test_sessions_of_many_threads_store_every_event_once(store: Store) -> None:
    """Threads share the outbox, each with sessions and connections of its own."""
    sessions = sessionmaker(store.engine)
    store.outbox.collect(sessions, lambda aggregate: aggregate.pull_events())
    added: list[str] = []
    failures: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for number in range(15):
                facts = [created(), created(), created()]
                stay = Stay(id=f"stay-{thread}-{number}")
                stay.events.append(facts[0])
                with sessions.begin() as session:
                    session.add(stay)
                    store.outbox.add(session, facts[1])
                with store.engine.begin() as connection:
                    store.outbox.add(connection, facts[2])
                added.extend(each.id for each in facts)
        except DBAPIError as error:
            failures.append(error)

    _in_threads([work] * 4)
    assert failures == []
    assert sorted(store.stored()) == sorted(added)
    assert len(added) == 4 * 15 * 3


def _in_threads(functions: list[Callable[[int], Any]]) -> None:
    threads = [Thread(target=function, args=(number,)) for number, function in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("end", ["commit", "close", "abandon"])
def test_sessions_leave_nothing_behind(store: Store, end: str) -> None:
    """After many sessions, also those that were neither committed nor closed, nothing of them is kept."""
    event_ = created()

    def use(count: int) -> None:
        for _ in range(count):
            session = Session(store.engine)
            store.outbox.add(session, event_)
            if end == "close":
                session.close()
            elif end == "commit":
                session.commit()

    counts = {"commit": 100, "close": 3_000, "abandon": 3_000}
    use(10)
    gc.collect()
    before = len(gc.get_objects())
    use(counts[end])
    gc.collect()
    assert len(session_events.works) == 0
    assert len(gc.get_objects()) - before < counts[end] / 2
