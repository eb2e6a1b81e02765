"""The outbox in PostgreSQL and SQLite keeps the contract of the port, with each driver; and what it does besides."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from integration.outbox.conftest import UrlOf
from support.outboxes import SqlHarness

from domainstream.outbox import SettledBatch
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
