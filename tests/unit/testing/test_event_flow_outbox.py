"""Events that the code under test stores in an outbox flow on once they are committed."""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session, sessionmaker
from support.consuming import OptimizationEvaluated, PricingCalculated, calculated, evaluated
from support.event_flows import BEGIN, channel_for, consumer_of, do_nothing, subscriptions_to, valuing

from domainstream import follow_up
from domainstream.outbox import Outbox
from domainstream.testing.event_flow import EventFlow
from domainstream.worker import EventContext

outbox = Outbox(channel_for=channel_for, source="coding")


class DeliberateError(Exception):
    """Ends a transaction."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A database with the outbox's tables."""
    engine = create_engine(f"sqlite:///{tmp_path}/flow.db")
    with engine.begin() as connection:
        outbox.create_table(connection)
    yield engine
    engine.dispose()


@pytest.fixture
async def async_engine(engine: Engine) -> AsyncIterator[AsyncEngine]:
    """An async engine on the same database."""
    async_engine = create_async_engine(engine.url.set(drivername="sqlite+aiosqlite"))
    yield async_engine
    await async_engine.dispose()


async def test_committed_event_is_handled(engine: Engine) -> None:
    """What a session commits reaches the handler, and leaves the table."""
    event = evaluated()
    async with valuing(do_nothing) as flow:
        flow.relay(outbox, engine)
        with Session(engine) as session, session.begin():
            outbox.add(session, event)
        await flow.settle()
    assert flow.handled(OptimizationEvaluated) == [event]
    assert flow.published(OptimizationEvaluated) == [event]
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(outbox.table)).scalar() == 0


async def test_event_waits_for_its_commit(engine: Engine) -> None:
    """Settling within the transaction handles nothing; settling after its commit does."""
    event = evaluated()
    async with valuing(do_nothing) as flow:
        flow.relay(outbox, engine)
        with Session(engine) as session, session.begin():
            outbox.add(session, event)
            await flow.settle()
            assert flow.published(OptimizationEvaluated) == []
        await flow.settle()
    assert flow.handled(OptimizationEvaluated) == [event]


async def test_rolled_back_event_is_not_handled(engine: Engine) -> None:
    """An error in the transaction takes its event with it."""
    async with valuing(do_nothing) as flow:
        flow.relay(outbox, engine)
        with suppress(DeliberateError), Session(engine) as session, session.begin():
            outbox.add(session, evaluated())
            raise DeliberateError
        await flow.settle()
    assert flow.published(OptimizationEvaluated) == []


async def test_async_sessions_are_relayed(async_engine: AsyncEngine) -> None:
    """An async engine serves as a sync one does, and events keep the order of their transactions."""
    events = [evaluated() for _ in range(3)]
    async with valuing(do_nothing) as flow:
        flow.relay(outbox, async_engine)
        for event in events:
            async with AsyncSession(async_engine) as session, session.begin():
                outbox.add(session, event)
        await flow.settle()
    assert flow.handled(OptimizationEvaluated) == events


async def test_handler_may_store_events(engine: Engine) -> None:
    """What a handler commits flows on to the next one."""

    async def price(event: OptimizationEvaluated, context: EventContext) -> None:
        with Session(engine) as session, session.begin():
            outbox.add(session, follow_up(event, calculated()))

    consumers = [
        consumer_of("valuation", OptimizationEvaluated, price),
        consumer_of("coding", PricingCalculated, do_nothing),
    ]
    async with EventFlow(subscriptions_to("coding"), consumers=consumers, now=BEGIN) as flow:
        flow.relay(outbox, engine)
        with Session(engine) as session, session.begin():
            outbox.add(session, evaluated())
        await flow.settle()
    assert len(flow.handled(PricingCalculated)) == 1


async def test_connection_that_the_test_rolls_back_is_relayed(engine: Engine) -> None:
    """Sessions that only release a savepoint of the test's own transaction have committed, as the flow sees it."""
    kept, lost = evaluated(), evaluated()
    async with valuing(do_nothing) as flow:
        with engine.connect() as connection:
            transaction = connection.begin()
            flow.relay(outbox, connection)
            sessions = sessionmaker(connection, join_transaction_mode="create_savepoint")
            with sessions.begin() as session:
                outbox.add(session, kept)
            with suppress(DeliberateError), sessions.begin() as session:
                outbox.add(session, lost)
                raise DeliberateError
            await flow.settle()
            transaction.rollback()
    assert flow.handled(OptimizationEvaluated) == [kept]


async def test_async_connection_that_the_test_rolls_back_is_relayed(async_engine: AsyncEngine) -> None:
    """The same with an async connection."""
    event = evaluated()
    async with valuing(do_nothing) as flow, async_engine.connect() as connection:
        transaction = await connection.begin()
        flow.relay(outbox, connection)
        async with AsyncSession(connection, join_transaction_mode="create_savepoint") as session, session.begin():
            outbox.add(session, event)
        await flow.settle()
        await transaction.rollback()
    assert flow.handled(OptimizationEvaluated) == [event]
