"""What an inspection sees with few rights."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from integration.outbox.conftest import UrlOf
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from support.outboxes import SqlHarness

from domainstream.outbox.sql.inspection import OutboxInspection
from domainstream.testing.outbox_harness import outgoing


@pytest.fixture
async def outbox(postgres_url: UrlOf) -> AsyncIterator[SqlHarness]:
    """An outbox in PostgreSQL."""
    harness = await SqlHarness(postgres_url()).create()
    yield harness
    await harness.close()


async def test_writer_of_another_role_is_seen_without_its_state(outbox: SqlHarness) -> None:
    """A user without pg_read_all_stats sees that another role's transaction is open, but not since when."""
    role = f"viewer_{uuid4().hex[:8]}"
    async with outbox.engine.begin() as connection:
        await connection.execute(text(f"CREATE ROLE {role} LOGIN"))
        await connection.execute(text(f"GRANT SELECT ON {outbox.table.name}, {outbox.relay.name} TO {role}"))
    engine = create_async_engine(make_url(outbox.url).set(username=role))
    async with outbox.engine.begin() as writing:
        pid = (await writing.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        await outbox.insert(writing, [outgoing("orders")])
        (writer,) = (await OutboxInspection(engine, outbox.table).status()).writers
    await engine.dispose()
    async with outbox.engine.begin() as connection:
        await connection.execute(text(f"DROP OWNED BY {role}"))
        await connection.execute(text(f"DROP ROLE {role}"))
    assert (writer.pid, writer.state, writer.open_ms) == (pid, None, None)
