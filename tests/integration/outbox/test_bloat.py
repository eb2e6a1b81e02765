"""A table full of dead rows that no vacuum can remove: the relay reads past them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.outbox.conftest import Store, UrlOf
from sqlalchemy import Connection, Select, Text, cast, delete, func, insert, literal, select, text
from support.coding import created

from domainstream.outbox import SqlOutboxStore
from domainstream.outbox.sql.engine import open_engine
from domainstream.publisher import BatchIdentity

DEAD = 50_000
PAGES = 40
"""Pages that a look or a claim may touch; the dead rows fill thousands."""


@pytest.fixture
def database(postgres_url: UrlOf, tmp_path: Path) -> Iterator[Store]:
    """An outbox in PostgreSQL."""
    url = postgres_url()
    store = Store(url, url.replace("psycopg", "asyncpg"))
    yield store
    store.close()


def touched(connection: Connection, query: Select[Any]) -> int:
    """Return how many pages a query reads."""
    written = query.compile(connection, compile_kwargs={"literal_binds": True})
    plan: Any = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {written}").scalar()
    return int(plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"])


async def test_claims_do_not_read_dead_rows(database: Store) -> None:
    """Rows that a long transaction keeps from being removed cost a claim nothing; control: reading from the start."""
    table = database.outbox.table
    engine = open_engine(database.async_url)
    store = SqlOutboxStore(engine, table)
    lease = await store.take_over("relay")
    assert lease is not None
    identity = BatchIdentity("producer", 1)
    with database.engine.connect() as reader:
        reader.execution_options(isolation_level="REPEATABLE READ")
        reader.execute(text("SELECT count(*) FROM pg_class"))  # takes the snapshot that vacuum has to respect
        with database.engine.begin() as connection:
            database.outbox.add(connection, created())
        with database.engine.begin() as connection:
            number = func.generate_series(1, DEAD).column_valued("number")
            dead = select(cast(number, Text), literal("dead"), literal("key"), literal(b"x" * 400))
            columns = ["event_id", "channel", "partition_key", "data"]
            connection.execute(insert(table).from_select(columns, dead))
            connection.execute(delete(table).where(table.c.channel == "dead"))
        claim = await store.next_batch(lease, None, identity)  # the scan at a takeover reads them all, once
        assert claim.batch is not None
        last = claim.batch.rows[-1].row_id
        with database.engine.begin() as connection:
            database.outbox.add(connection, created())
        claim = await store.next_batch(lease, None, identity)
        assert claim.batch is not None
        await store.next_batch(lease, None, identity)  # the numbers that were skipped are looked at once more
        position = store._reader.position
        assert position.highest > last + DEAD
        assert not position.gaps
        with database.engine.begin() as connection:
            database.outbox.add(connection, created())
        with database.engine.connect() as connection:
            query = select(table.c.id, table.c.data).order_by(table.c.id).limit(500)
            reading_on = touched(connection, query.where(table.c.id > position.highest))
            from_the_start = touched(connection, query)
    await store.close()
    await engine.dispose()
    assert reading_on <= PAGES
    assert from_the_start > 10 * PAGES
