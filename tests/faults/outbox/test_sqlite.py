"""On SQLite, too, what several processes commit is delivered once, in order, however often the relay is killed."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from faults.conftest import Report
from faults.outbox.outbox_scene import OutboxScene
from faults.sizes import Size

pytestmark = [pytest.mark.one_server, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]

WRITERS = 3


async def test_relay_killed_at_random(scene: OutboxScene, size: Size, chance: random.Random, report: Report) -> None:
    """Writers of several processes wait for each other, and a relay that is killed leaves nothing out."""
    writers = [scene.writer(threads=1, first_aggregate=number) for number in range(WRITERS)]
    for _ in range(size.relay_kills):
        relay = scene.relay()
        await scene.until_progress(chance.randint(1, 40))
        relay.kill()
        assert relay.was_killed
    for writer in writers:
        await scene.stop(writer)
    scene.relay()
    await scene.until_drained()
    report(f"{WRITERS} processes, {size.relay_kills} kills: {await scene.assert_delivered()}")


@pytest.fixture
def connections(scene: OutboxScene) -> Iterator[tuple[sqlite3.Connection, sqlite3.Connection]]:
    """Two connections as Python opens them: their transactions begin without the lock."""
    path = scene.business.engine.url.database
    assert path is not None
    with closing(sqlite3.connect(path)) as one, closing(sqlite3.connect(path)) as other:
        yield one, other


async def test_control_transactions_that_begin_deferred(
    scene: OutboxScene, connections: tuple[sqlite3.Connection, sqlite3.Connection]
) -> None:
    """Control: a transaction that reads before it writes fails at once when another one has written meanwhile."""
    update = f"UPDATE {scene.business.aggregates.name} SET version = version + 1"  # noqa: S608 - a name of the test
    one, other = connections
    one.execute("BEGIN")
    one.execute(f"SELECT * FROM {scene.business.aggregates.name}").fetchall()  # noqa: S608 - a name of the test
    other.execute(update)
    other.commit()
    with pytest.raises(sqlite3.OperationalError, match="database is locked"):
        one.execute(update)
