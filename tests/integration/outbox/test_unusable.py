"""A relay whose outbox cannot be worked on ends, and says what to do; nothing is lost meanwhile."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from integration.outbox.conftest import UrlOf
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from support.outboxes import SqlHarness
from support.relaying import SimulatedServer

from domainstream.errors import OutboxError, OutboxUnavailableError
from domainstream.outbox import OutboxRelay, SqlOutboxStore
from domainstream.testing.outbox_harness import SETTINGS, outgoing

DRIVERS = ["sqlite+aiosqlite", "postgresql+psycopg", "postgresql+asyncpg"]
on_servers = pytest.mark.parametrize("outbox", DRIVERS[1:], indirect=True)
"""SQLite has no roles, and creates files that are missing."""


@pytest.fixture(params=DRIVERS)
async def outbox(request: pytest.FixtureRequest, postgres_url: UrlOf, tmp_path: Path) -> AsyncIterator[SqlHarness]:
    """An outbox on each database, with each driver."""
    file = f"sqlite+aiosqlite:///{tmp_path}/outbox.db"
    url = file if "sqlite" in request.param else postgres_url().replace("postgresql+psycopg", request.param)
    harness = await SqlHarness(url, replace(SETTINGS, archive=True)).create()
    yield harness
    await harness.close()


async def _run(store: SqlOutboxStore) -> OutboxError:
    """Run a relay, and return the error that ends it."""
    with pytest.raises(OutboxError) as caught:
        await OutboxRelay(store, SimulatedServer(), settings=SETTINGS).run()
    assert not isinstance(caught.value, OutboxUnavailableError)
    return caught.value


async def _change(outbox: SqlHarness, statement: str) -> None:
    async with outbox.engine.begin() as connection:
        await connection.execute(text(statement))


@pytest.mark.parametrize("table", ["", "_relay", "_sent"])
async def test_missing_table_ends_the_relay(outbox: SqlHarness, table: str) -> None:
    """Whichever table is missing, the error names the outbox and how to create its tables, but no message."""
    await outbox.add([outgoing("orders")])
    await _change(outbox, f"DROP TABLE {outbox.table.name}{table}")
    error = str(await _run(outbox.store()))
    assert outbox.table.name in error
    assert "domainstream outbox ddl" in error
    assert "xxxx" not in error


async def test_missing_column_ends_the_relay(outbox: SqlHarness) -> None:
    """A table of an older version is named, with how to migrate it."""
    await _change(outbox, f"ALTER TABLE {outbox.relay.name} DROP COLUMN held")
    error = str(await _run(outbox.store()))
    assert "held" in error
    assert "migrate" in error


async def test_outbox_is_relayed_once_its_table_is_there(outbox: SqlHarness) -> None:
    """The same store works after the missing table was created, and publishes what was stored."""
    await outbox.add([message := outgoing("orders")])
    await _change(outbox, f"ALTER TABLE {outbox.relay.name} RENAME TO {outbox.relay.name}_away")
    store, server = outbox.store(), SimulatedServer()
    await _run(store)
    await _change(outbox, f"ALTER TABLE {outbox.relay.name}_away RENAME TO {outbox.relay.name}")
    relay = OutboxRelay(store, server, settings=SETTINGS)
    server.on_send = relay.stop
    await relay.run()
    assert server.streams == {"orders": [message.event_id]}
    assert await outbox.stored() == []
    assert await outbox.archived() == [message.event_id]


@on_servers
async def test_missing_permission_ends_the_relay(outbox: SqlHarness) -> None:
    """For a role that may not delete, the error says what a relay needs."""
    role = f"relay_{uuid4().hex[:8]}"
    await _change(outbox, f"CREATE ROLE {role} LOGIN")
    await _change(outbox, f"GRANT SELECT ON {outbox.table.name} TO {role}")
    await _change(outbox, f"GRANT SELECT, INSERT, UPDATE ON {outbox.relay.name} TO {role}")
    await outbox.add([outgoing("orders")])
    engine = create_async_engine(make_url(outbox.url).set(username=role))
    error = str(await _run(SqlOutboxStore(engine, outbox.table, SETTINGS)))
    await engine.dispose()
    await _change(outbox, f"DROP OWNED BY {role}")
    await _change(outbox, f"DROP ROLE {role}")
    assert "SELECT and DELETE on the outbox" in error
    assert len(await outbox.stored()) == 1


@on_servers
@pytest.mark.parametrize(("part", "known"), [("database", "postgres"), ("username", "test")])
async def test_unknown_database_or_role_ends_the_relay(outbox: SqlHarness, part: str, known: str) -> None:
    """A URL that names no database or role of the server is to be corrected; no table has to be created."""
    engine = create_async_engine(make_url(outbox.url).set(**{part: f"{known}_unknown"}))  # type: ignore[arg-type]
    error = str(await _run(SqlOutboxStore(engine, outbox.table, SETTINGS)))
    await engine.dispose()
    assert f"{known}_unknown" in error
    assert "correct the URL" in error
