"""Rows of one aggregate are numbered in the order of its commits, because they are written under its lock."""

from collections.abc import Callable
from threading import Event, Thread

import pytest
from integration.outbox.conftest import Stay, Store
from sqlalchemy import text, update
from sqlalchemy.orm import Session
from support.coding import created

from domainstream.outbox.sql.insert import Row, insert_rows

PATIENCE = 60
"""Seconds until a step that never comes fails the test."""


def versions_by_row(store: Store, change: Callable[[Session, str], None]) -> list[int]:
    """Let two transactions change one stay, the second while the first is open; return its versions by row number.

    The second one comes first to `change`, and the first one has the lock: it commits once the second waits for it.
    """
    second_waits = Event()
    versions: dict[str, int] = {}
    with Session(store.engine) as session, session.begin():
        session.add(Stay(id="stay-1"))
    first, second = created("stay-1"), created("stay-1")

    def run_second() -> None:
        with Session(store.engine) as session, session.begin():
            change(session, second.id)
            second_waits.set()
            locked = session.get_one(Stay, "stay-1", with_for_update=True)
            locked.changes += 1
            session.flush()
            versions[second.id] = locked.changes

    with Session(store.engine) as session:
        stay = session.get_one(Stay, "stay-1", with_for_update=True)
        thread = Thread(target=run_second)
        thread.start()
        assert second_waits.wait(PATIENCE)
        stay.changes += 1
        change(session, first.id)
        session.flush()
        versions[first.id] = stay.changes
        session.commit()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    return [versions[each] for each in store.stored()]


@pytest.fixture
def postgres(store: Store) -> Store:
    """A store whose writers work beside each other."""
    if store.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer at a time, so there is nothing to overtake")
    return store


def test_events_of_one_aggregate_are_numbered_as_it_was_changed(postgres: Store) -> None:
    """The second transaction adds its event first, and waits for the lock: its row comes second nevertheless."""

    def change(session: Session, event_id: str) -> None:
        postgres.outbox.add(session, created("stay-1", id=event_id))

    assert versions_by_row(postgres, change) == [1, 2]


def test_events_that_are_inserted_before_the_lock_overtake(postgres: Store) -> None:
    """Control: a row that is inserted at once gets its number before the lock, and comes out in the wrong order."""

    def change(session: Session, event_id: str) -> None:
        row: Row = (event_id, "channel", "stay-1", b"{}")
        insert_rows(session.connection(), postgres.outbox.table, [row])

    assert versions_by_row(postgres, change) == [2, 1]


def test_events_of_connections_are_numbered_as_the_aggregate_was_changed(postgres: Store) -> None:
    """Core connections write at their commit as well, however early the event was added."""
    first, second = created("stay-1"), created("stay-1")
    with postgres.engine.begin() as connection:
        connection.execute(text("INSERT INTO stays (id, changes) VALUES ('stay-1', 0)"))
    with postgres.engine.begin() as early, postgres.engine.begin() as locking:
        postgres.outbox.add(early, second)
        locking.execute(update(Stay).values(changes=1))
        postgres.outbox.add(locking, first)
        locking.commit()
        early.execute(update(Stay).values(changes=2))
    assert postgres.stored() == [first.id, second.id]


def test_cached_numbers_overtake(postgres: Store) -> None:
    """Control for what a relay refuses at its start: numbers that sessions draw in advance are not in commit order."""
    table = postgres.outbox.table.name
    with postgres.engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER TABLE {table} ALTER COLUMN id SET CACHE 20")
    first, second, third = created(), created(), created()
    with postgres.engine.connect() as one, postgres.engine.connect() as other:
        for connection, event in ((one, first), (other, second), (one, third)):
            with connection.begin():
                postgres.outbox.add(connection, event)
    assert postgres.stored() == [first.id, third.id, second.id]
