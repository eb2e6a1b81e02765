"""Transactions that commit late, whatever keeps them open, lose no event and delay no other one."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from uuid import uuid4

import pytest
from faults.conftest import Report
from faults.ledger import COMMITTED
from faults.outbox.business import Business, aggregate_id, begin_and_add
from faults.outbox.outbox_scene import OutboxScene
from faults.outbox.reading import Reader
from faults.publishing import Event
from faults.sizes import Size
from sqlalchemy import create_engine

pytestmark = pytest.mark.one_server

HELD = 0
"""The aggregate of the transaction that commits late; other writers leave it alone."""

MEANWHILE = 100
"""Events that must be delivered while a transaction is open."""

Holding = Callable[[Business], AbstractContextManager[None]]


@contextmanager
def open_transaction(business: Business) -> Iterator[None]:
    """Hold a transaction that has drawn the numbers of its rows."""
    with business.engine.begin() as connection:
        business.add_at_once(connection, business.change(connection, aggregate_id(HELD)))
        yield


@contextmanager
def prepared_transaction(business: Business) -> Iterator[None]:
    """Hold a transaction that is prepared, on a connection that is closed."""
    name = uuid4().hex
    with business.engine.connect() as connection:
        business.add_at_once(connection, business.change(connection, aggregate_id(HELD)))
        connection.exec_driver_sql(f"PREPARE TRANSACTION '{name}'")
    try:
        yield
    finally:
        with business.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"COMMIT PREPARED '{name}'")


@contextmanager
def transaction_elsewhere(business: Business) -> Iterator[None]:
    """Hold a transaction that has written, in another database of the server."""
    name = f"other_{uuid4().hex[:12]}"
    with business.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as own:
        own.exec_driver_sql(f"CREATE DATABASE {name}")
        other = create_engine(business.engine.url.set(database=name))
        with other.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE written (id int)")
            yield
        other.dispose()
        own.exec_driver_sql(f"DROP DATABASE {name}")


@pytest.mark.parametrize("holding", [open_transaction, prepared_transaction, transaction_elsewhere])
async def test_others_go_on(scene: OutboxScene, size: Size, report: Report, holding: Holding) -> None:
    """While a transaction is open the events of others are delivered; its own follow, before what waited for it."""
    scene.relay(lease=10.0)
    writer = scene.writer(first_aggregate=HELD + 1, late=0.05)
    await scene.until_progress(1)
    waiting: asyncio.Future[list[Event]] | None = None
    with holding(scene.business):
        if holding is not transaction_elsewhere:
            waiting = asyncio.ensure_future(asyncio.to_thread(scene.business.commit, HELD))
        # As long as the promise names; what must happen meanwhile is asserted by its count.
        await asyncio.sleep(size.hold)
        await scene.until_progress(MEANWHILE)
        assert waiting is None or not waiting.done()
    if waiting is not None:
        await waiting
    await scene.stop(writer)
    await scene.until_drained()
    found = await scene.assert_delivered()
    report(f"open for {size.hold:.0f} s: {found}; {await _latency(scene)}")
    assert scene.times_logged("outbox.rows_found_late") == 0


async def _latency(scene: OutboxScene) -> str:
    """Describe how long after the answer to their COMMIT the events of the writer were in their streams."""
    added = {entry.event_id: entry.added_at for entry in await scene.entries()}
    committed = [line.split() for line in scene.ledger.read(COMMITTED)]
    delays = sorted(added[event_id] - float(at) for event_id, at in committed)
    return f"commit to stream p50 {_percentile(delays, 0.5):.1f} ms, p99 {_percentile(delays, 0.99):.1f} ms"


def _percentile(delays: list[float], share: float) -> float:
    return max(0.0, delays[int(share * (len(delays) - 1))] * 1000)


async def test_commit_right_after_the_read(scene: OutboxScene, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that is committed after a read, and before it is asked who could fill the gap, is in the next batch."""
    late, ids = begin_and_add(scene.business, HELD, 1)
    (newer,) = scene.business.commit(1)
    ask = reader.store._reader._writers

    async def commit_and_ask() -> frozenset[str] | None:
        late.commit()
        late.close()
        return await ask()

    monkeypatch.setattr(reader.store._reader, "_writers", commit_and_ask)
    assert await reader.read_ids() == [newer.id]
    monkeypatch.undo()
    assert await reader.read_ids() == ids


async def test_late_transaction_with_many_rows(scene: OutboxScene, reader: Reader) -> None:
    """More late rows than one batch holds come batch by batch, before newer ones."""
    late, ids = begin_and_add(scene.business, HELD, 1_200)
    (newer,) = scene.business.commit(1)
    assert await reader.read_ids() == [newer.id]
    late.commit()
    late.close()
    found = [event_id for _ in range(8) for event_id in await reader.read_ids()]
    assert found == ids


async def test_control_reading_on(scene: OutboxScene) -> None:
    """Control: a relay that reads on above the highest number never sees a row that was committed late."""
    scene.naive_relay(reads_on=True)
    with open_transaction(scene.business):
        scene.business.commit(1)
        await scene.until_length(1)
    scene.business.commit(2)
    await scene.until_length(2)
    found = await scene.compared()
    assert (found.committed, found.lost) == (3, 1)
