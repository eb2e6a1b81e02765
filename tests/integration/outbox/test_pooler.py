"""The outbox and its relay through a transaction pooler, which gives each transaction another process of the server."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from integration.outbox.conftest import Store, UrlOf
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import create_async_engine
from support.coding import created
from support.pgbouncer import pgbouncer_binary, pooled

from domainstream.event import read_message
from domainstream.outbox import OutboxRelay

CALLERS_OPTIONS: dict[str, dict[str, Any]] = {
    "postgresql+psycopg": {"prepare_threshold": None},
    "postgresql+asyncpg": {
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: f"__asyncpg_{uuid4()}__",
    },
}
"""What SQLAlchemy's documentation tells its users to set for a pooler."""

STREAM = "domain_coding_medical_stay_created"


@pytest.fixture(scope="module")
def pooled_url(postgres_url: UrlOf) -> Iterator[str]:
    """The URL of PostgreSQL through PgBouncer."""
    binary = pgbouncer_binary()
    if binary is None:
        pytest.skip("no PgBouncer: run: apt-get install pgbouncer")
    with pooled(postgres_url(), binary) as url:
        yield url


@pytest.fixture(params=list(CALLERS_OPTIONS))
def pooled_store(
    request: pytest.FixtureRequest, postgres_url: UrlOf, pooled_url: str, tmp_path: Path
) -> Iterator[Store]:
    """An outbox whose async URL goes through the pooler."""
    store = Store(postgres_url(), pooled_url.replace("postgresql+psycopg", request.param))
    yield store
    store.close()


async def test_events_pass_through_a_transaction_pooler(
    pooled_store: Store, redis: Redis, redis_url: str, stream_prefix: str
) -> None:
    """Events that are stored through the pooler are published, once and in order, by a relay that reads through it."""
    events = [created(f"stay-{number}") for number in range(60)]
    table = pooled_store.outbox.table
    driver = pooled_store.async_url.partition(":")[0]
    engine = create_async_engine(pooled_store.async_url, connect_args=CALLERS_OPTIONS[driver])
    relays = [
        OutboxRelay.from_url(redis_url, database_url=pooled_store.async_url, table=table, prefix=stream_prefix)
        for _ in range(2)
    ]
    running = [asyncio.create_task(relay.run()) for relay in relays]
    for event in events:
        async with engine.begin() as connection:
            pooled_store.outbox.add(connection, event)
    found: list[str] = []
    last = "0"
    while len(found) < len(events):
        reply: Any = await redis.xread({f"{stream_prefix}{STREAM}": last}, block=1000)
        for _, entries in reply or ():
            found += [read_message(fields[b"data"]).id for _, fields in entries]
            last = entries[-1][0]
    for relay, task in zip(relays, running, strict=True):
        await relay.close()
        await task
    await engine.dispose()
    assert found == [event.id for event in events]
    assert not pooled_store.stored()
