"""A table full of dead rows, which a long transaction keeps from being removed, does not slow the relay down."""

import json
from typing import Any

import pytest
from faults.conftest import Report
from faults.outbox.outbox_scene import OutboxScene
from faults.outbox.reading import Reader
from faults.sizes import Size
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

pytestmark = pytest.mark.one_server

LIVE = 10
FEW_PAGES = 40
"""Pages that a claim of these rows may read: those of the rows, and a path through the index for each part of it."""

MESSAGE = b"x" * 400


async def test_claim_reads_few_pages(scene: OutboxScene, size: Size, reader: Reader, report: Report) -> None:
    """However many rows are dead, a claim reads the pages of the live ones; a control from the beginning reads all."""
    business, outbox = scene.business, scene.business.outbox.table.name
    with business.engine.connect().execution_options(isolation_level="REPEATABLE READ") as old:
        old.exec_driver_sql("SELECT 1 FROM pg_class LIMIT 1")  # from now on its snapshot needs every row
        with business.engine.begin() as connection:
            connection.execute(
                text(
                    f"INSERT INTO {outbox} (event_id, channel, partition_key, data) "  # noqa: S608 - a name of the test
                    "SELECT 'event-' || number, 'channel', 'key', :data FROM generate_series(1, :rows) AS number"
                ),
                {"rows": size.dead_rows, "data": MESSAGE},
            )
        while await reader.read():
            pass
        assert business.backlog() == 0
        business.commit(0, LIVE)
        position = reader.store._reader.position.highest
        async with reader.engine.connect() as connection:
            pages = await _pages(connection, reader, position)
            control = await _pages(connection, reader, 0)
        found = await reader.read()
    report(f"{size.dead_rows} dead rows: {pages} pages read, {control} from the beginning")
    assert len(found) == LIVE
    assert pages < FEW_PAGES
    assert control > size.dead_rows / 100


async def _pages(connection: AsyncConnection, reader: Reader, highest: int) -> int:
    """Return how many pages a claim reads above a number."""
    statement = reader.store._statements.read_on
    explained = text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement.text}").bindparams(
        *statement._bindparams.values()
    )
    found = await connection.execute(explained, {"highest": highest, "held": [], "count": 500})
    plan: Any = found.scalar_one()
    (root,) = json.loads(plan) if isinstance(plan, str) else plan
    return int(root["Plan"]["Shared Hit Blocks"] + root["Plan"]["Shared Read Blocks"])
