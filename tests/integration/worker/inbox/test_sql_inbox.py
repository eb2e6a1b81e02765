"""Effects in a SQL database happen once per event, on SQLite and on PostgreSQL."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection, MetaData, create_engine, inspect
from sqlalchemy.ext.asyncio import AsyncSession
from support.consuming import OptimizationEvaluated, evaluated
from support.handling import attempt_with, received
from support.inboxes import CrashError, Ledger

from domainstream.errors import ConfigurationError, InboxError
from domainstream.worker import EventContext
from domainstream.worker.inbox.sql import SqlInbox, inbox_table
from domainstream.worker.outcomes import Completed, Failed

MANY = 10


async def test_crash_after_the_effect_has_it_twice_without_an_inbox(ledger: Ledger) -> None:
    """The control: a process that ends between the commit and the job's completion pays again."""
    runs = []

    async def pay(event: OptimizationEvaluated, context: EventContext) -> None:
        async with ledger.engine.begin() as connection:
            await connection.run_sync(ledger.pay, event)
        runs.append(event)
        if len(runs) == 1:
            raise CrashError

    job = received(attempts=2)
    assert isinstance(await attempt_with(pay, job), Failed)
    assert await attempt_with(pay, job) == Completed()
    assert await ledger.paid() == 2


async def test_crash_after_the_effect_has_it_once_with_an_inbox(ledger: Ledger) -> None:
    """The second run finds the event in the inbox and goes on behind the effect."""
    firsts: list[bool] = []

    async def pay(event: OptimizationEvaluated, context: EventContext) -> None:
        async with ledger.engine.begin() as connection:
            firsts.append(await connection.run_sync(ledger.pay_once, event))
        if len(firsts) == 1:
            raise CrashError

    job = received(attempts=2)
    assert isinstance(await attempt_with(pay, job), Failed)
    assert await attempt_with(pay, job) == Completed()
    assert firsts == [True, False]
    assert await ledger.paid() == 1


async def test_crash_before_the_commit_leaves_nothing(ledger: Ledger) -> None:
    """Row and effect are rolled back together, and the next run has the effect."""
    event = evaluated()

    def pay_and_crash(connection: Connection) -> None:
        ledger.pay_once(connection, event)
        raise CrashError

    async with ledger.engine.connect() as connection:
        with pytest.raises(CrashError):
            await connection.run_sync(pay_and_crash)
    assert await ledger.paid() == 0
    assert await ledger.remembered() == 0
    async with ledger.engine.begin() as connection:
        assert await connection.run_sync(ledger.pay_once, event)


async def test_runs_at_the_same_time_have_the_effect_once(ledger: Ledger) -> None:
    """As when a stalled job is given to a second worker while the first one still runs."""
    event = evaluated()

    async def pay() -> bool:
        async with ledger.engine.begin() as connection:
            return await connection.run_sync(ledger.pay_once, event)

    firsts = await asyncio.gather(*(pay() for _ in range(MANY)))
    assert sorted(firsts) == [*[False] * (MANY - 1), True]
    assert await ledger.paid() == 1


async def test_second_transaction_takes_over_when_the_first_rolls_back(ledger: Ledger) -> None:
    """It waits for the first one's end, and then it is the first."""
    event = evaluated()

    async def pay() -> bool:
        async with ledger.engine.begin() as connection:
            return await connection.run_sync(ledger.pay_once, event)

    async with ledger.engine.connect() as connection:
        await connection.run_sync(ledger.pay_once, event)
        second = asyncio.create_task(pay())
        assert not (await asyncio.wait([second], timeout=0.1))[0]
        await connection.rollback()
    assert await second
    assert await ledger.paid() == 1


async def test_handlers_and_events_are_distinguished(ledger: Ledger) -> None:
    """Each handler has each event once."""
    other = SqlInbox("valuation.notify", ledger.inbox.table)
    events = [evaluated(), evaluated()]
    async with ledger.engine.begin() as connection:
        pairs: list[tuple[SqlInbox, OptimizationEvaluated]] = [
            (inbox, event) for inbox in (ledger.inbox, other) for event in events
        ]
        firsts = [await connection.run_sync(inbox.first_time, event) for inbox, event in pairs * 2]
    assert firsts == [True] * 4 + [False] * 4


async def test_session_of_the_orm_is_supported(ledger: Ledger) -> None:
    """The row is part of the session's transaction."""
    event = evaluated()
    async with AsyncSession(ledger.engine) as session:
        assert await session.run_sync(ledger.inbox.first_time, event)
        await session.rollback()
        assert await session.run_sync(ledger.inbox.first_time, event)
        await session.commit()
        assert not await session.run_sync(ledger.inbox.first_time, event)


async def test_old_events_are_forgotten(ledger: Ledger) -> None:
    """`purge` deletes up to `at_most` rows, and only those of its own handler."""
    other = SqlInbox("valuation.notify", ledger.inbox.table)

    def purge(connection: Connection, at_most: int, older_than: timedelta = timedelta(microseconds=1)) -> int:
        return ledger.inbox.purge(connection, older_than=older_than, at_most=at_most)

    async with ledger.engine.begin() as connection:
        for _ in range(5):
            await connection.run_sync(ledger.inbox.first_time, evaluated())
        await connection.run_sync(other.first_time, evaluated())
        assert await connection.run_sync(purge, 10, timedelta(minutes=5)) == 0
        assert [await connection.run_sync(purge, 3) for _ in range(3)] == [3, 2, 0]
    assert await ledger.remembered() == 1


async def test_table_can_be_made_without_migrations(ledger: Ledger) -> None:
    """Twice is once; the table of no metadata is the service's own."""
    inbox = SqlInbox("valuation.pay", inbox_table(MetaData(), name=f"{ledger.inbox.table.name}_more"))
    async with ledger.engine.begin() as connection:
        for _ in range(2):
            await connection.run_sync(inbox.create_table)
        assert await connection.run_sync(lambda one: inspect(one).has_table(inbox.table.name))
        await connection.run_sync(inbox.table.drop)


async def test_connection_that_commits_by_itself_is_rejected(ledger: Ledger) -> None:
    """It would commit the row before the effect, and a crash between the two would lose that."""
    async with ledger.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        with pytest.raises(InboxError, match=r"commits each statement by itself; use a transaction: engine\.begin"):
            await connection.run_sync(ledger.inbox.first_time, evaluated())


def test_other_databases_are_rejected() -> None:
    """A database other than PostgreSQL and SQLite is an error, because it is untested."""
    connection: Any = SimpleNamespace(dialect=SimpleNamespace(name="mysql"))
    with pytest.raises(InboxError, match="PostgreSQL and SQLite, not mysql"):
        SqlInbox("valuation.pay").first_time(connection, evaluated())


def test_plain_connections_work_too() -> None:
    """A handler that is a plain function needs no event loop."""
    inbox, event = SqlInbox("valuation.pay"), evaluated()
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        inbox.create_table(connection)
        assert [inbox.first_time(connection, event) for _ in range(2)] == [True, False]
    engine.dispose()


@pytest.mark.parametrize("name", ["", "a:b", "a b"])
def test_name_is_checked(name: str) -> None:
    """The same rule as for queues, and for Redis' inbox."""
    with pytest.raises(ConfigurationError, match="name"):
        SqlInbox(name)
