"""Events are stored with the data that they are about: committed together, rolled back together, in order."""

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from integration.outbox.conftest import Stay, Store
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker
from support.coding import created, drafted, evaluated
from support.spans import recording, traceparent_of

from domainstream import Outcome
from domainstream.errors import MapperError, OutboxError
from domainstream.event import read_message


@pytest.fixture
async def async_engine(store: Store) -> AsyncIterator[AsyncEngine]:
    """An async engine on the store."""
    engine = create_async_engine(store.async_url)
    yield engine
    await engine.dispose()


class DeliberateError(Exception):
    """Ends a transaction."""


def test_committed_event_is_stored_with_its_data(store: Store) -> None:
    """One commit stores the row of the aggregate and the event about it."""
    event = created()
    with Session(store.engine) as session, session.begin():
        session.add(Stay(id="stay-1"))
        receipt = store.outbox.add(session, event)
    assert store.stored() == [event.id]
    assert (receipt.outcome, receipt.channel, receipt.event_id) == (
        Outcome.STORED,
        "domain_coding_medical_stay_created",
        event.id,
    )


def test_stored_row_holds_the_message_and_its_partition_key(store: Store) -> None:
    """The row has what the relay publishes, and the key that says which events must stay in order."""
    event = created(partition_key="ward-7")
    with Session(store.engine) as session, session.begin():
        store.outbox.add(session, event)
    with store.engine.connect() as connection:
        (row,) = connection.execute(select(store.outbox.table)).mappings()
    assert (row["channel"], row["partition_key"]) == ("domain_coding_medical_stay_created", "ward-7")
    assert read_message(bytes(row["data"])).id == event.id
    assert row["created_at"] is not None


def test_event_that_stays_inside_is_not_stored(store: Store) -> None:
    """What the mapper maps to None has a receipt that says so, and no row."""
    with Session(store.engine) as session, session.begin():
        receipts = store.outbox.add_many(session, [drafted(), created()])
    assert [receipt.outcome for receipt in receipts] == [Outcome.NOT_PUBLISHED, Outcome.STORED]
    assert len(store.stored()) == 1


def test_rolled_back_event_is_not_stored(store: Store) -> None:
    """An error in the transaction takes the event with it."""
    with suppress(DeliberateError), Session(store.engine) as session, session.begin():
        store.outbox.add(session, created())
        raise DeliberateError
    assert store.stored() == []


def test_event_of_a_session_that_never_commits_is_not_stored(store: Store) -> None:
    """Closing a session without a commit drops its events, and the next transaction of another session has none."""
    with Session(store.engine) as session:
        store.outbox.add(session, created())
    with Session(store.engine) as session, session.begin():
        session.add(Stay(id="stay-1"))
    assert store.stored() == []


def test_savepoints_treat_events_as_rows(store: Store) -> None:
    """A released savepoint keeps its events, one that is rolled back loses them, with those of savepoints inside it."""
    kept, lost = [created() for _ in range(4)], [created() for _ in range(2)]
    with Session(store.engine) as session, session.begin():
        store.outbox.add(session, kept[0])
        with session.begin_nested():
            store.outbox.add(session, kept[1])
            with session.begin_nested():
                store.outbox.add(session, kept[2])
        with suppress(DeliberateError), session.begin_nested():
            store.outbox.add(session, lost[0])
            with session.begin_nested():
                store.outbox.add(session, lost[1])
            raise DeliberateError
        store.outbox.add(session, kept[3])
    assert store.stored() == [event.id for event in kept]


def test_every_commit_of_a_session_stores_its_own_events(store: Store) -> None:
    """A session that commits twice stores the events of each transaction once."""
    first, second = created(), created()
    with Session(store.engine) as session:
        store.outbox.add(session, first)
        session.commit()
        store.outbox.add(session, second)
        session.commit()
        session.commit()
    assert store.stored() == [first.id, second.id]


def test_rollback_and_another_try_store_one_event(store: Store) -> None:
    """After a rollback the session is as new."""
    lost, kept = created(), created()
    with Session(store.engine) as session:
        store.outbox.add(session, lost)
        session.rollback()
        store.outbox.add(session, kept)
        session.commit()
    assert store.stored() == [kept.id]


def test_events_of_one_transaction_keep_their_order(store: Store) -> None:
    """More events than one statement takes are stored in the order in which they were added."""
    events = [evaluated() for _ in range(1_203)]
    with Session(store.engine) as session, session.begin():
        store.outbox.add_many(session, events)
    assert store.stored() == [event.id for event in events]


def test_mistake_is_raised_where_the_event_is_added(store: Store) -> None:
    """The mapper and the encoder run at once, so that the traceback shows the line that is wrong; nothing is stored."""

    class Stranger:
        id = "1"

    with pytest.raises(MapperError), Session(store.engine) as session, session.begin():
        store.outbox.add_many(session, [created(), Stranger()])  # type: ignore[list-item]
    assert store.stored() == []


def test_events_kept_by_aggregates_are_collected(store: Store) -> None:
    """New and changed aggregates give their events before the commit, each once."""
    sessions = sessionmaker(store.engine)
    store.outbox.collect(sessions, lambda aggregate: aggregate.pull_events())
    stay, first, second = Stay(id="stay-1"), created(), created()
    stay.events.append(first)
    with sessions() as session:
        session.add(stay)
        session.commit()
        stay.changes += 1
        stay.events.append(second)
        session.commit()
        session.commit()
    assert store.stored() == [first.id, second.id]


def test_other_sessions_are_not_collected_from(store: Store) -> None:
    """A session of another sessionmaker keeps its aggregates' events."""
    store.outbox.collect(sessionmaker(store.engine), lambda aggregate: aggregate.pull_events())
    stay = Stay(id="stay-1")
    stay.events.append(created())
    with Session(store.engine) as session, session.begin():
        session.add(stay)
    assert store.stored() == []
    assert len(stay.events) == 1


def test_connection_stores_before_its_commit(store: Store) -> None:
    """In a transaction of a Core connection the rows are written last, so that their numbers follow the locks."""
    event = created()
    with store.engine.begin() as connection:
        store.outbox.add(connection, event)
        assert connection.execute(select(store.outbox.table.c.event_id)).scalars().all() == []
    assert store.stored() == [event.id]


def test_connection_that_commits_each_statement_is_rejected(store: Store) -> None:
    """AUTOCOMMIT could store an event without what it is about."""
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("SELECT 1")
        with pytest.raises(OutboxError, match="commits each statement"):
            store.outbox.add(connection, created())
    assert store.stored() == []


def test_connection_without_a_transaction_is_rejected(store: Store) -> None:
    """A connection that has not begun would lose the event, or commit it alone."""
    with store.engine.connect() as connection, pytest.raises(OutboxError, match=r"engine\.begin"):
        store.outbox.add(connection, created())


async def test_async_session_stores_without_await(store: Store, async_engine: AsyncEngine) -> None:
    """An async session stores events as a sync one does; `add` needs no await."""
    event = created()
    async with AsyncSession(async_engine) as session, session.begin():
        session.add(Stay(id="stay-1"))
        store.outbox.add(session, event)
    assert store.stored() == [event.id]


async def test_async_sessions_are_collected_from(store: Store, async_engine: AsyncEngine) -> None:
    """The aggregates of an async session give their events before the commit."""
    sessions = async_sessionmaker(async_engine)
    store.outbox.collect(sessions, lambda aggregate: aggregate.pull_events())
    stay, event = Stay(id="stay-1"), created()
    stay.events.append(event)
    async with sessions.begin() as session:
        session.add(stay)
    assert store.stored() == [event.id]


async def test_async_connection_stores_without_await(store: Store, async_engine: AsyncEngine) -> None:
    """An async Core transaction stores what was added; an error in it stores nothing."""
    event = created()
    async with async_engine.begin() as connection:
        store.outbox.add(connection, event)
    with suppress(DeliberateError):
        async with async_engine.begin() as connection:
            store.outbox.add(connection, created())
            raise DeliberateError
    assert store.stored() == [event.id]


def test_stored_message_has_the_context_of_the_current_span(store: Store) -> None:
    """What a request stores belongs to its trace, whenever the relay publishes it."""
    with (
        recording() as recorded,
        recorded.app.start_as_current_span("request") as request,
        Session(store.engine) as session,
        session.begin(),
    ):
        store.outbox.add(session, created())
    with store.engine.connect() as connection:
        (data,) = connection.execute(select(store.outbox.table.c.data)).scalars()
    assert read_message(bytes(data)).traceparent == traceparent_of(request.get_span_context())
    assert recorded.spans == []


def test_message_that_is_stored_outside_of_a_span_has_no_context(store: Store) -> None:
    """Without a current span there is nothing to continue."""
    with recording(), Session(store.engine) as session, session.begin():
        store.outbox.add(session, created())
    with store.engine.connect() as connection:
        (data,) = connection.execute(select(store.outbox.table.c.data)).scalars()
    assert read_message(bytes(data)).traceparent is None
