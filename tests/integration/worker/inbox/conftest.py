"""The databases that inboxes are tested on."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from support.consuming import until
from support.inboxes import Ledger
from support.postgres import URL_VARIABLE, postgres_binaries, postgres_server

from domainstream.worker.inbox.sql import inbox_table

UrlOf = Callable[[], str]


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[UrlOf]:
    """Return the URL of PostgreSQL, started when it is first asked for; skip where there is none."""
    with ExitStack() as stack:
        started: list[str] = []

        def url() -> str:
            if not started:
                started.append(os.environ.get(URL_VARIABLE) or _start(stack))
            return started[0]

        yield url


def _start(stack: ExitStack) -> str:
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip(f"no PostgreSQL: set {URL_VARIABLE}, or run: apt-get install postgresql")
    return stack.enter_context(postgres_server(binaries)).url


@pytest.fixture(params=["sqlite", "postgresql"])
async def ledger(request: pytest.FixtureRequest, postgres_url: UrlOf, tmp_path: Path) -> AsyncIterator[Ledger]:
    """An empty ledger in a database of each kind."""
    kind: str = request.param
    url = f"sqlite+aiosqlite:///{tmp_path}/ledger.db" if kind == "sqlite" else postgres_url()
    engine = create_async_engine(url)
    metadata, suffix = MetaData(), uuid4().hex[:12]
    payments = Table(f"payments_{suffix}", metadata, Column("id", Integer, primary_key=True), Column("event_id", Text))
    inbox = inbox_table(metadata, name=f"inbox_{suffix}")
    await until(lambda: _answers(engine))
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield Ledger(engine, payments, inbox)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
    await engine.dispose()


async def _answers(engine: AsyncEngine) -> bool:
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    except OperationalError:
        return False
    return True
