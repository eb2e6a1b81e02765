"""A relay's connection: what it costs the database while it is idle, and what becomes of it when the database hangs."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from integration.outbox.conftest import Store, UrlOf
from sqlalchemy import text
from sqlalchemy.engine import make_url
from support.coding import created

from domainstream.errors import OutboxUnavailableError
from domainstream.outbox import Lease, RelaySettings, SqlOutboxStore
from domainstream.outbox.sql.engine import open_engine
from domainstream.publisher import BatchIdentity
from domainstream.testing.fault_proxy import FaultProxy

IDENTITY = BatchIdentity("producer", 1)
IMPATIENT = RelaySettings(answer_timeout=timedelta(seconds=2))


@pytest.fixture(params=["postgresql+psycopg", "postgresql+asyncpg"])
def database(request: pytest.FixtureRequest, postgres_url: UrlOf, tmp_path: Path) -> Iterator[Store]:
    """An outbox in PostgreSQL, by each driver."""
    url = postgres_url()
    store = Store(url, url.replace("postgresql+psycopg", request.param))
    yield store
    store.close()


@asynccontextmanager
async def opened(database: Store, url: str = "", settings: RelaySettings = IMPATIENT) -> AsyncIterator[SqlOutboxStore]:
    """Open a relay's store, by default without a proxy."""
    engine = open_engine(url or database.async_url)
    store = SqlOutboxStore(engine, database.outbox.table, settings)
    yield store
    await store.close()
    await engine.dispose()


@asynccontextmanager
async def proxied(database: Store) -> AsyncIterator[tuple[SqlOutboxStore, FaultProxy]]:
    """Open a relay's store whose connections can be made to hang."""
    url = make_url(database.async_url)
    async with FaultProxy(f"redis://{url.host}:{url.port}") as proxy:
        port = make_url(proxy.url).port
        async with opened(database, url.set(port=port).render_as_string(hide_password=False)) as store:
            yield store, proxy
            proxy.swallow(on=False)


async def leased(store: SqlOutboxStore) -> Lease:
    """Take the lease, which is free."""
    lease = await store.take_over("relay")
    assert lease is not None
    return lease


def backend(store: SqlOutboxStore) -> dict[str, int]:
    """Return the process of the server that serves the relay, as parameters."""
    driver = store._connection._driver
    return {"pid": driver.get_server_pid() if hasattr(driver, "get_server_pid") else driver.info.backend_pid}


async def test_idle_connection_holds_no_transaction(database: Store) -> None:
    """After a turn that found nothing, the connection is idle, and neither a snapshot nor a lock keeps vacuum back."""
    query = text("SELECT state, backend_xmin, backend_xid FROM pg_stat_activity WHERE pid = :pid")
    async with opened(database) as store:
        lease = await leased(store)
        for _ in range(3):
            await store.next_batch(lease, None, IDENTITY)
        with database.engine.connect() as connection:
            found = connection.execute(query, backend(store)).one()
    assert tuple(found) == ("idle", None, None)


@pytest.mark.parametrize("turn", ["look", "batch"])
async def test_database_that_hangs_is_given_up(database: Store, turn: str) -> None:
    """A database that stops answering raises `OutboxUnavailableError`, and the next call connects again."""
    async with proxied(database) as (store, proxy):
        lease = await leased(store)
        await store.next_batch(lease, None, IDENTITY)
        if turn == "batch":
            store._reader.restart()  # the next turn scans, and so begins a transaction
        proxy.swallow()
        with pytest.raises(OutboxUnavailableError, match="database"):
            await store.next_batch(lease, None, IDENTITY)
        proxy.swallow(on=False)
        assert (await leased(store)).epoch == lease.epoch + 1


async def test_database_that_accepts_connections_only_is_given_up(database: Store) -> None:
    """A server that takes the connection and says nothing raises `OutboxUnavailableError`."""
    async with proxied(database) as (store, proxy):
        proxy.swallow()
        with pytest.raises(OutboxUnavailableError, match="database"):
            await store.take_over("relay")


async def test_terminated_connection_is_replaced(database: Store) -> None:
    """A backend that an administrator terminates raises `OutboxUnavailableError` once; then the relay goes on."""
    end = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = :pid")
    async with opened(database) as store:
        lease = await leased(store)
        with database.engine.connect() as connection:
            connection.execute(end, backend(store))
        with pytest.raises(OutboxUnavailableError):
            await store.next_batch(lease, None, IDENTITY)
        with database.engine.begin() as connection:
            database.outbox.add(connection, created())
        claim = await store.next_batch(await leased(store), None, IDENTITY)
    assert claim.batch is not None


async def test_cancelled_turn_leaves_no_transaction_open(database: Store) -> None:
    """A turn that is cancelled while it waits for a lock ends its connection, and with it the transaction."""
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid AND wait_event_type = 'Lock'")
    alive = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
    async with opened(database, settings=RelaySettings()) as store:
        lease = await leased(store)
        served_by = backend(store)
        with ExitStack() as stack:
            blocker = stack.enter_context(database.engine.connect())
            blocker.execute(text(f"LOCK TABLE {database.outbox.table.name}_relay IN ACCESS EXCLUSIVE MODE"))
            turn = asyncio.create_task(store.next_batch(lease, None, IDENTITY))
            observer = stack.enter_context(database.engine.connect())
            while not observer.execute(waiting, served_by).scalar():
                observer.rollback()
                await asyncio.sleep(0.01)
            turn.cancel()
            with pytest.raises(asyncio.CancelledError):
                await turn
            blocker.rollback()
            while observer.execute(alive, served_by).scalar():
                observer.rollback()
                await asyncio.sleep(0.01)
        assert (await leased(store)).epoch == lease.epoch + 1


async def test_password_is_not_in_errors(database: Store) -> None:
    """An error about a database that cannot be reached names no password."""
    url = make_url(database.async_url).set(port=1, password="secret-word")  # noqa: S106 - to be looked for
    async with opened(database, url.render_as_string(hide_password=False)) as store:
        with pytest.raises(OutboxUnavailableError) as raised:
            await store.take_over("relay")
    assert "secret-word" not in str(raised.value)
