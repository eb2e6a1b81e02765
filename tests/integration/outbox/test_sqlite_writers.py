"""Transactions of SQLite that read before they write, beside each other."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import pytest
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import create_async_engine

from domainstream.outbox import begin_immediate

WRITERS = 2


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A database with one row, in the journal mode that lets readers and a writer work beside each other."""
    url = f"sqlite:///{tmp_path}/writers.db"
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=wal")
        connection.exec_driver_sql("CREATE TABLE counts (number INTEGER)")
        connection.exec_driver_sql("INSERT INTO counts VALUES (0)")
    yield url
    engine.dispose()


def read_and_count(engine: Engine, both_have_read: Barrier, patience: float) -> None:
    """Read the number, and write it increased by one; both writers read before one writes, if SQLite lets them."""
    with engine.begin() as connection:
        number = connection.exec_driver_sql("SELECT number FROM counts").scalar_one()
        with suppress(BrokenBarrierError):  # the other one waits for this transaction
            both_have_read.wait(patience)
        connection.exec_driver_sql("UPDATE counts SET number = ?", (number + 1,))


def count_twice(engine: Engine, patience: float = 60) -> int:
    """Count in two threads, which wait `patience` seconds for each other, and return the number afterwards."""
    barrier = Barrier(WRITERS)
    with ThreadPoolExecutor(WRITERS) as threads:
        for done in [threads.submit(read_and_count, engine, barrier, patience) for _ in range(WRITERS)]:
            done.result()
    with engine.connect() as connection:
        number: int = connection.exec_driver_sql("SELECT number FROM counts").scalar_one()
    return number


def test_transactions_that_read_first_wait_for_each_other(url: str) -> None:
    """With `begin_immediate`, the second reads what the first has written."""
    engine = create_engine(url)
    begin_immediate(engine)
    assert count_twice(engine, patience=0.5) == WRITERS
    engine.dispose()


def test_update_is_lost_without_it(url: str) -> None:
    """Control: the driver begins a transaction at its first change, so both write what they have read before."""
    engine = create_engine(url)
    assert count_twice(engine) == 1
    engine.dispose()


def test_deferred_transaction_fails_at_once(url: str) -> None:
    """Control: a transaction that begins as a reader cannot become a writer once another one has written."""
    engine = create_engine(url, connect_args={"isolation_level": None})
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    with pytest.raises(OperationalError, match="database is locked"):
        count_twice(engine)
    engine.dispose()


async def test_savepoint_of_an_async_engine_is_rolled_back_alone(url: str) -> None:
    """An async engine begins a transaction before its savepoint, so that the savepoint has something to return to."""
    engine = create_async_engine(url.replace("sqlite", "sqlite+aiosqlite", 1))
    begin_immediate(engine)
    async with engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE counts SET number = 1")
        savepoint = await connection.begin_nested()
        await connection.exec_driver_sql("UPDATE counts SET number = 2")
        await savepoint.rollback()
    async with engine.connect() as connection:
        assert (await connection.exec_driver_sql("SELECT number FROM counts")).scalar_one() == 1
    await engine.dispose()
