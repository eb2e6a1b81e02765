"""What reading on has missed, for whatever reason, a scan of the whole table finds."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic

import pytest
from faults.outbox.outbox_scene import OutboxScene
from sqlalchemy.ext.asyncio import create_async_engine
from support.consuming import running

from domainstream.outbox import OutboxRelay, RelaySettings, SqlOutboxStore
from domainstream.publisher import BatchIdentity, RedisBatchPublisher

pytestmark = [
    pytest.mark.one_server,
    pytest.mark.parametrize("database_url", ["sqlite", "shared"], indirect=True),
]

EVENTS = 10
FAR_AHEAD = 1_000_000
"""A position that no row reaches."""

TURNS = 50


@pytest.fixture
async def store(scene: OutboxScene) -> AsyncIterator[SqlOutboxStore]:
    """The outbox as a relay in this process sees it."""
    engine = create_async_engine(scene.async_url)
    store = SqlOutboxStore(engine, scene.business.outbox.table)
    yield store
    await store.close()
    await engine.dispose()


def lead_astray(store: SqlOutboxStore) -> None:
    """Move the position beyond all rows, as a bug or a sequence that was set back would."""
    store._reader.position.highest = FAR_AHEAD


async def test_full_scan_finds_what_was_missed(
    scene: OutboxScene, store: SqlOutboxStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Rows below the position are published once the next scan is due, and the log says how many there were."""
    publisher = RedisBatchPublisher.from_url(scene.server.url)
    relay = OutboxRelay(store, publisher)
    async with running(relay):
        await asyncio.to_thread(scene.commit, EVENTS)
        await scene.until_drained()
        lead_astray(store)
        await asyncio.to_thread(scene.commit, EVENTS)
        store._reader.next_scan = 0.0  # half a minute later
        await scene.until_drained()
        assert store._reader.next_scan - monotonic() <= RelaySettings().full_scan_every.total_seconds() == 30
    await publisher.close()
    await scene.assert_delivered()
    missed = [record.getMessage() for record in caplog.records if "outbox.rows_found_late" in record.getMessage()]
    assert len(missed) == 1
    assert f"rows={EVENTS}" in missed[0]


async def test_control_reading_on(scene: OutboxScene, store: SqlOutboxStore) -> None:
    """Control: until a scan is due, reading on does not see rows below its position; a relay that takes over does."""
    lease = await store.take_over("first")
    assert lease is not None
    await store.next_batch(lease, None, BatchIdentity("first", 1))
    lead_astray(store)
    scene.commit(EVENTS)
    claims = [await store.next_batch(lease, None, BatchIdentity("first", 1)) for _ in range(TURNS)]
    assert [claim.batch for claim in claims] == [None] * TURNS
    await store.release(lease, None)
    scene.relay()
    await scene.until_drained()
    await scene.assert_delivered()
