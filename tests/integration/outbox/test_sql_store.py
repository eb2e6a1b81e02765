"""The outbox in PostgreSQL and SQLite keeps the contract of the port, with each driver; and what it does besides."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from integration.outbox.conftest import UrlOf
from sqlalchemy import insert, select
from support.outboxes import SqlHarness

from domainstream.outbox import SettledBatch
from domainstream.outbox.sql import archive
from domainstream.outbox.sql.archive import OutboxArchive
from domainstream.testing.outbox_contract import OutboxStoreContract
from domainstream.testing.outbox_harness import SETTINGS, OutboxHarness, Relay, outgoing, rejected


class TestSqliteOutboxStore(OutboxStoreContract):
    """The outbox in a file."""

    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[OutboxHarness]:
        """Give an outbox in a file."""
        harness = await SqlHarness(f"sqlite+aiosqlite:///{tmp_path}/outbox.db").create()
        yield harness
        await harness.close()


class TestAsyncpgOutboxStore(OutboxStoreContract):
    """The outbox in PostgreSQL, by asyncpg."""

    @pytest.fixture
    async def harness(self, postgres_url: UrlOf) -> AsyncIterator[OutboxHarness]:
        """Give an outbox in PostgreSQL."""
        harness = await SqlHarness(postgres_url().replace("+psycopg", "+asyncpg")).create()
        yield harness
        await harness.close()


class TestPsycopgOutboxStore(OutboxStoreContract):
    """The outbox in PostgreSQL, by psycopg."""

    @pytest.fixture
    async def harness(self, postgres_url: UrlOf) -> AsyncIterator[OutboxHarness]:
        """Give an outbox in PostgreSQL."""
        harness = await SqlHarness(postgres_url()).create()
        yield harness
        await harness.close()


@pytest.fixture(params=["sqlite+aiosqlite", "postgresql+psycopg", "postgresql+asyncpg"])
async def archiving(request: pytest.FixtureRequest, postgres_url: UrlOf, tmp_path: Path) -> AsyncIterator[SqlHarness]:
    """An outbox that keeps what was published, on each database."""
    file = f"sqlite+aiosqlite:///{tmp_path}/outbox.db"
    url = file if "sqlite" in request.param else postgres_url().replace("postgresql+psycopg", request.param)
    harness = await SqlHarness(url, replace(SETTINGS, archive=True)).create()
    yield harness
    await harness.close()


async def test_published_rows_are_archived(archiving: SqlHarness) -> None:
    """With an archive, what was published moves there, with everything but the rows of a rejected channel."""
    relay = Relay(archiving.store())
    await relay.take_over()
    messages = [outgoing(channel) for channel in ("orders", "broken", "orders")]
    await archiving.add(messages)
    await relay.next_batch(rejected(await relay.claim(), "broken"))
    assert await archiving.archived() == [messages[0].event_id, messages[2].event_id]
    assert await archiving.stored() == [messages[1].event_id]


async def test_archived_row_is_archived_once(archiving: SqlHarness) -> None:
    """A batch that is settled by the successor of the relay that published it is in the archive once."""
    first, second = Relay(archiving.store()), Relay(archiving.store())
    await first.take_over()
    await archiving.add([outgoing("orders") for _ in range(3)])
    await first.claim()
    await archiving.pass_time(SETTINGS.lease.total_seconds() + 1)
    await second.take_over()
    assert second.lease.unsettled is not None
    await second.store.release(second.lease, SettledBatch(second.lease.unsettled))
    assert len(await archiving.archived()) == 3
    assert await archiving.stored() == []


async def test_channel_without_rows_is_no_longer_noted_as_held(archiving: SqlHarness) -> None:
    """When the rejected rows were deleted by hand, the relay's row says so in the next turn, without another event."""
    relay = Relay(archiving.store())
    await relay.take_over()
    await archiving.add([message := outgoing("broken")])
    await relay.next_batch(rejected(await relay.claim(), "broken"))
    await archiving.discard(message.event_id)
    await archiving.pass_time(120)
    assert (await relay.next_batch()).held == {}
    async with archiving.engine.connect() as connection:
        assert (await connection.execute(select(archiving.relay.c.held))).scalar_one() == "{}"


async def test_purge_deletes_everything_old_in_parts(archiving: SqlHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """More old rows than one part holds are all deleted and counted, and newer ones stay."""
    monkeypatch.setattr(archive, "CHUNK", 2)
    now = datetime.now(UTC)
    rows = [
        {"id": number, "event_id": str(number), "channel": "orders", "partition_key": "key", "data": b"{}"}
        | {"created_at": now, "sent_at": now - timedelta(days=31 if number < 6 else 0)}
        for number in range(1, 8)
    ]
    async with archiving.engine.begin() as connection:
        await connection.execute(insert(archiving.archive), rows)
    assert await OutboxArchive(archiving.engine, archiving.table).purge(timedelta(days=30)) == 5
    assert await archiving.archived() == ["6", "7"]
