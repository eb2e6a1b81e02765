"""Opens the database of coding: PostgreSQL or SQLite."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import AsyncAdaptedQueuePool
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from coding.infrastructure_layer.events.coding_outbox import outbox
from coding.infrastructure_layer.persistence.sql_medical_stays import Base
from domainstream.errors import ServerNotFoundError
from domainstream.outbox import begin_immediate


@asynccontextmanager
async def open_database(url: str | None = None) -> AsyncIterator[AsyncEngine]:
    """Open the database at `url`, which defaults to `DATABASE_URL`, and create the tables if there are none.

    Raises `ServerNotFoundError` if neither is set.
    """
    url = url or os.environ.get("DATABASE_URL")
    if not url:
        raise ServerNotFoundError("no database is configured; run: export DATABASE_URL=sqlite+aiosqlite:///coding.db")
    engine = _engine(url)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
            await connection.run_sync(outbox.create_table)
        yield engine
    finally:
        await engine.dispose()


def _engine(url: str) -> AsyncEngine:
    if not url.startswith("sqlite"):
        return create_async_engine(url)
    # SQLite has one writer at a time. Handlers that wait for the connection get it in turn, those at the lock do not.
    engine = create_async_engine(url, poolclass=AsyncAdaptedQueuePool, pool_size=1, max_overflow=0)
    begin_immediate(engine)
    return engine
