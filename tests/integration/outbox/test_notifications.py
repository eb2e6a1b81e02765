"""A relay that PostgreSQL wakes: events come at once, and nothing is lost when the notification is."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from integration.outbox.conftest import Store, UrlOf
from redis.asyncio import Redis
from sqlalchemy import text
from support.coding import channel_for, created

from domainstream.errors import ConfigurationError
from domainstream.event import BaseEvent, read_message
from domainstream.outbox import (
    MemoryOutboxStore,
    NotificationListener,
    Outbox,
    OutboxRelay,
    RelaySettings,
)
from domainstream.outbox.sql.engine import open_engine
from domainstream.publisher import RedisBatchPublisher
from domainstream.telemetry import Signal

STREAM = "domain_coding_medical_stay_created"
NOTIFIED = RelaySettings(wake="notify", longest_pause=timedelta(minutes=10), lease=timedelta(minutes=30))
"""Polling would be seen as a hang."""


@pytest.fixture(params=["postgresql+psycopg", "postgresql+asyncpg"])
def database(request: pytest.FixtureRequest, postgres_url: UrlOf, tmp_path: Path) -> Iterator[Store]:
    """An outbox in PostgreSQL that notifies, by each driver."""
    url = postgres_url()
    store = Store(url, url.replace("postgresql+psycopg", request.param))
    store.outbox = Outbox(channel_for=channel_for, source="coding", table=store.outbox.table, notify=True)
    yield store
    store.close()


class Listening:
    """Counts the calls of a listener."""

    def __init__(self) -> None:
        self._calls = asyncio.Semaphore(0)

    def on_commit(self) -> None:
        """Count a call."""
        self._calls.release()

    async def called(self) -> None:
        """Wait for a call that was not waited for yet."""
        async with asyncio.timeout(60):
            await self._calls.acquire()


@asynccontextmanager
async def listening(database: Store) -> AsyncIterator[Listening]:
    """Listen, and yield once the server does."""
    engine, calls = open_engine(database.async_url), Listening()
    task = asyncio.create_task(NotificationListener(engine, database.outbox.table).listen(calls.on_commit))
    await calls.called()
    yield calls
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await engine.dispose()


def commit(database: Store) -> BaseEvent[Any]:
    """Store an event with a driver of its own."""
    event = created()
    with database.engine.begin() as connection:
        database.outbox.add(connection, event)
    return event


async def test_commit_is_heard(database: Store) -> None:
    """A listener hears of a commit, and not of a rollback before it."""
    async with listening(database) as calls:
        with database.engine.connect() as connection, connection.begin() as transaction:
            database.outbox.add(connection, created())
            transaction.rollback()
        commit(database)
        await calls.called()
        assert calls._calls.locked()


async def test_async_connection_is_heard(database: Store) -> None:
    """The statement of each async driver notifies as well, and stores the rows in order."""
    engine = open_engine(database.async_url)
    events = [created() for _ in range(3)]
    async with listening(database) as calls:
        async with engine.begin() as connection:
            database.outbox.add_many(connection, events)
        await calls.called()
    await engine.dispose()
    assert database.stored() == [event.id for event in events]


async def test_listener_comes_back(database: Store, caplog: pytest.LogCaptureFixture) -> None:
    """A connection for notifications that is lost is reported and opened again, and then says so."""
    end = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE :listen AND pid <> pg_backend_pid()"
    )
    async with listening(database) as calls:
        with database.engine.connect() as connection:
            connection.execute(end, {"listen": f'LISTEN "{database.outbox.table.name}"%'})
        await calls.called()
        commit(database)
        await calls.called()
    assert str(Signal.OUTBOX_LISTENING_LOST.value[0]) in caplog.text


async def test_relay_is_woken(database: Store, redis: Redis, redis_url: str, stream_prefix: str) -> None:
    """A relay whose pause lasts for minutes publishes an event when it is committed, and stops at once."""
    relay = OutboxRelay.from_url(
        redis_url,
        database_url=database.async_url,
        table=database.outbox.table,
        prefix=stream_prefix,
        settings=NOTIFIED,
    )
    running = asyncio.create_task(relay.run())
    found: list[tuple[str, str]] = []
    last = "0"
    for _ in range(3):
        event = commit(database)
        reply: Any = await redis.xread({f"{stream_prefix}{STREAM}": last}, block=60_000)
        last, fields = reply[0][1][0]
        found.append((read_message(fields[b"data"]).id, event.id))
    await relay.close()
    await running
    assert all(published == stored for published, stored in found)


def test_sqlite_is_refused(tmp_path: Path) -> None:
    """SQLite has no notifications: both sides say so when they are asked for them."""
    store = Store(f"sqlite:///{tmp_path}/x.db", f"sqlite+aiosqlite:///{tmp_path}/x.db")
    outbox = Outbox(channel_for=channel_for, source="coding", table=store.outbox.table, notify=True)
    with pytest.raises(ConfigurationError, match="only PostgreSQL"), store.engine.begin() as connection:
        outbox.add(connection, created())
    with pytest.raises(ConfigurationError, match="only PostgreSQL"):
        OutboxRelay.from_url("redis://127.0.0.1", database_url=store.async_url, settings=NOTIFIED)
    store.close()


def test_relay_without_listener_is_refused(redis_url: str) -> None:
    """`wake="notify"` without a listener is an error at once, because the relay would only poll."""
    with pytest.raises(ConfigurationError, match="NotificationListener"):
        OutboxRelay(MemoryOutboxStore(), RedisBatchPublisher.from_url(redis_url), settings=NOTIFIED)


def test_unknown_way_to_wake_is_refused() -> None:
    """`wake` is one of two words."""
    with pytest.raises(ConfigurationError, match='"poll" or "notify"'):
        RelaySettings(wake="shout")  # type: ignore[arg-type]
