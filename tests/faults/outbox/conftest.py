"""Fixtures of the outbox's fault tests: a database beside the server."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from faults.ledger import Ledger
from faults.outbox.business import Business
from faults.outbox.outbox_scene import OutboxScene
from faults.outbox.reading import Reader
from faults.sizes import Size
from redis.asyncio import Redis
from support.postgres import URL_VARIABLE, PostgresServer, postgres_binaries, postgres_server

from domainstream.testing import EmbeddedServer

MISSING = f"no PostgreSQL: set {URL_VARIABLE}, or run: apt-get install postgresql"
MISSING_BINARIES = "no PostgreSQL that a test may kill; run: apt-get install postgresql"


@pytest.fixture(scope="session")
def postgres_server_url() -> Iterator[str]:
    """The URL of the PostgreSQL that most of these tests share, for psycopg; skip where there is none."""
    with ExitStack() as stack:
        binaries = postgres_binaries()
        if URL_VARIABLE in os.environ:
            yield os.environ[URL_VARIABLE]
        elif binaries is None:
            pytest.skip(MISSING)
        else:
            yield stack.enter_context(postgres_server(binaries)).url


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    """A server of the test's own, which waits for the disk at each commit."""
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip(MISSING_BINARIES)
    with postgres_server(binaries, durable=True) as server:
        yield server


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The database, for a sync driver: PostgreSQL, unless the test asks for `sqlite` or for a server of its own."""
    kind = getattr(request, "param", "shared")
    if kind == "sqlite":
        return f"sqlite:///{tmp_path}/business.db"
    if kind == "own":
        return str(request.getfixturevalue("postgres").url)
    return str(request.getfixturevalue("postgres_server_url"))


@pytest.fixture
def business(database_url: str) -> Iterator[Business]:
    """The tables of a test."""
    business = Business(database_url, f"outbox_{uuid4().hex[:12]}")
    business.create()
    yield business
    business.drop()


@pytest.fixture
async def scene(server: EmbeddedServer, business: Business, ledger: Ledger, size: Size) -> AsyncIterator[OutboxScene]:
    """A server and a database without any processes yet."""
    async with Redis.from_url(server.url) as redis:
        scene = OutboxScene(server, redis, ledger, patience=size.patience)
        scene.use(business)
        yield scene
        scene.close()


@pytest.fixture
async def reader(scene: OutboxScene) -> AsyncIterator[Reader]:
    """A relay of this process that publishes nothing."""
    reader = Reader(scene.async_url, scene.business.outbox.table)
    yield reader
    await reader.close()
