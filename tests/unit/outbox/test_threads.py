"""Threads that add their first events at the same time lose none, although SQLAlchemy may not call all hooks then."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from faults.outbox.business import event_of
from faults.publishing import channel_for
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import NullPool

from domainstream.outbox import Outbox, outbox
from domainstream.outbox.sql import session_hooks

THREADS, ROUNDS = 4, 200

Add = Callable[[Outbox[Any], int], None]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The rows that outboxes write, in any database."""
    rows: list[Any] = []
    monkeypatch.setattr(outbox, "insert_rows", lambda _connection, _table, more, **_options: rows.extend(more))
    return rows


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Threads that take turns as often as they can, as they do by chance on a busy machine."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    with ThreadPoolExecutor(THREADS) as pool:
        yield pool
    sys.setswitchinterval(usual)


def new_outbox() -> Outbox[Any]:
    """Return an outbox that knows no engine yet."""
    return Outbox(channel_for=channel_for, source="coding")


def new_engine() -> Engine:
    """Return an engine without connections."""
    return create_engine("sqlite://", poolclass=NullPool)


def at_once(threads: ThreadPoolExecutor, add: Callable[[int], None]) -> None:
    """Add an event in each thread, at the same time."""
    start = Barrier(THREADS)

    def wait_and_add(number: int) -> None:
        start.wait()
        add(number)

    for done in [threads.submit(wait_and_add, number) for number in range(THREADS)]:
        done.result()


def test_first_connections_of_an_engine(threads: ThreadPoolExecutor, written: list[Any]) -> None:
    """Events of the first connections of an engine are all written."""
    for _ in range(ROUNDS):
        own, engine = new_outbox(), new_engine()

        def add(number: int, own: Outbox[Any] = own, engine: Engine = engine) -> None:
            with engine.begin() as connection:
                own.add(connection, event_of(f"stay-{number}", 1))

        at_once(threads, add)
    assert len(written) == THREADS * ROUNDS


def test_first_sessions_of_a_class(threads: ThreadPoolExecutor, written: list[Any]) -> None:
    """Events of the first sessions of a class, which was made after the outbox, are all written."""
    own = new_outbox()
    for _ in range(ROUNDS):
        sessions = sessionmaker(new_engine())

        def add(number: int, sessions: sessionmaker[Session] = sessions) -> None:
            with sessions.begin() as session:
                own.add(session, event_of(f"stay-{number}", 1))

        at_once(threads, add)
    assert len(written) == THREADS * ROUNDS


def test_class_that_has_lost_its_hooks(monkeypatch: pytest.MonkeyPatch, written: list[Any]) -> None:
    """Where SQLAlchemy has lost the hooks of a class permanently, each of its sessions gets them, and writes events."""
    monkeypatch.setattr(session_hooks, "PATIENCE", 0.01)
    own, sessions = new_outbox(), sessionmaker(new_engine())
    with sessions() as session:
        for name in ("before_commit", "after_commit", "after_transaction_end"):
            hooks: Any = getattr(session.dispatch, name)
            hooks.parent_listeners.clear()
    for number in range(2):
        with sessions.begin() as session:
            own.add(session, event_of(f"stay-{number}", 1))
    assert len(written) == 2
