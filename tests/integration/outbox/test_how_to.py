"""The service shown in docs/how-to/publish-from-a-transaction.md, run as it stands there on each database."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, assert_never
from uuid import uuid4

import msgspec
import pytest
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.operations.ops import MigrationScript
from fastapi import Depends, FastAPI
from httpx import ASGITransport, AsyncClient
from integration.outbox.conftest import UrlOf
from redis.asyncio import Redis
from sqlalchemy import Connection, create_engine, inspect, select

from domainstream import BaseEvent, EventPayload, EventPublisherChannel, Outcome
from domainstream.outbox import archive_table

HOW_TO: Final = Path(__file__).parents[3] / "docs/how-to/publish-from-a-transaction.md"
CODED: Final = "domain_coding_stay_coded"


class Channel(EventPublisherChannel):
    """The page's channels."""

    DOMAIN_CODING_STAY_CODED = "domain_coding_stay_coded"
    DOMAIN_CODING_WARD_EXTENDED = "domain_coding_ward_extended"


class StayCodedPayload(EventPayload):
    """The codes of a stay."""

    codes: list[str]


class StayCoded(BaseEvent[StayCodedPayload]):
    """The page's event."""

    event_type = "domain_coding_stay_coded"


class BedsAddedPayload(EventPayload):
    """How many."""

    count: int


class BedsAdded(BaseEvent[BedsAddedPayload]):
    """What a ward of the page records."""

    event_type = "domain_coding_ward_extended"


def channel_for(event: StayCoded | BedsAdded) -> Channel | None:
    """Publish every event."""
    match event:
        case StayCoded():
            return Channel.DOMAIN_CODING_STAY_CODED
        case BedsAdded():
            return Channel.DOMAIN_CODING_WARD_EXTENDED
        case _:
            assert_never(event)


def about(message: bytes) -> Any:
    """Return the aggregate of a message's event, and its codes or beds."""
    read = msgspec.json.decode(message)
    return (read["subject"], *read["data"].values())


class PageService:
    """The names that the page's blocks define, run in order."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names

    def __getattr__(self, name: str) -> Any:
        return self.names[name]

    async def stored(self) -> list[Any]:
        """Return the aggregate and payload of each stored event."""
        async with self.engine.connect() as connection:
            rows = (await connection.execute(select(self.table.c.data).order_by(self.table.c.id))).scalars().all()
        return [about(bytes(row)) for row in rows]


@pytest.fixture(params=["sqlite", "postgresql"])
def urls(request: pytest.FixtureRequest, postgres_url: UrlOf, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The URLs of a database of the test's own, whose tables have the page's names: for sync and async code."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/page.db", f"sqlite+aiosqlite:///{tmp_path}/page.db"
        return
    name = f"page_{uuid4().hex[:12]}"
    server = create_engine(postgres_url(), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    url = server.url.set(database=name).render_as_string(hide_password=False)
    yield url, url.replace("+psycopg", "+asyncpg")
    with server.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    server.dispose()


@pytest.fixture
async def service(urls: tuple[str, str]) -> AsyncIterator[PageService]:
    """The page's service, with its tables."""
    names: dict[str, Any] = {
        **{each.__name__: each for each in (StayCoded, StayCodedPayload, BedsAdded, BedsAddedPayload, channel_for)},
        "SYNC_DATABASE_URL": urls[0],
        "DATABASE_URL": urls[1],
        "__name__": "page",
    }
    blocks = re.findall(r"^```python\n(.*?)```", HOW_TO.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 11
    for block in blocks:
        exec(compile(block, str(HOW_TO), "exec"), names)  # noqa: S102 - our own page
    service = PageService(names)
    await service.create_tables()
    yield service
    await service.engine.dispose()
    service.sync_engine.dispose()


async def put(app: FastAPI, path: str, body: Any = None) -> tuple[int, Any]:
    """Return status and body of the response to a PUT."""
    transport = ASGITransport(app, raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://test") as client:
        response = await client.put(path, json=body)
    return response.status_code, response.json() if response.status_code == 200 else None


async def test_fastapi_stores_the_event_with_the_data(service: PageService) -> None:
    """The response is sent after the commit, and the receipt says `stored`."""
    status, body = await put(service.app, "/stays/stay-1/codes", ["I21.0"])
    assert (status, body["outcome"]) == (200, Outcome.STORED)
    assert await service.stored() == [("stay-1", ["I21.0"])]


async def test_flask_stores_through_the_same_outbox(service: PageService) -> None:
    """A sync view with a sync session stores its event behind that of the async one."""
    await put(service.app, "/stays/stay-1/codes", ["I21.0"])
    response = await asyncio.to_thread(service.web.test_client().delete, "/stays/stay-1/codes")
    assert response.status_code == 200
    assert response.json["outcome"] == Outcome.STORED
    assert await service.stored() == [("stay-1", ["I21.0"]), ("stay-1", [])]


async def test_failed_request_stores_nothing(service: PageService) -> None:
    """An unknown stay is an error of the transaction, which takes the event with it."""
    response = await asyncio.to_thread(service.web.test_client().delete, "/stays/stay-9/codes")
    assert response.status_code == 500
    assert await service.stored() == []


async def test_aggregates_are_collected_from(service: PageService) -> None:
    """What a ward has recorded is stored with it."""
    await service.open_ward("ward-1")
    assert await service.stored() == [("ward-1", 12)]


async def test_merged_aggregate_gives_its_events_itself(service: PageService) -> None:
    """They are stored with the attributes that `merge` copied."""
    ward = service.Ward(id="ward-1")
    ward.add_beds(3)
    await service.save_ward(ward)
    assert await service.stored() == [("ward-1", 3)]


async def test_core_connection_stores_with_its_statement(service: PageService) -> None:
    """The outbox's transaction stores the event."""
    await service.clear_codes()
    assert await service.stored() == [("all", [])]


async def test_savepoint_takes_its_event_along(service: PageService) -> None:
    """The event of the savepoint that is rolled back is not stored, the one around it is."""
    await service.admit("stay-1")
    assert await service.stored() == [("stay-1", [])]


async def test_relay_publishes_what_is_committed(service: PageService, redis_url: str, redis: Redis) -> None:
    """The page's relay adds each event to its stream once, in order."""
    service.names["REDIS_URL"] = redis_url
    await redis.delete(CODED)
    for code in ("I21.0", "I21.1"):
        await put(service.app, "/stays/stay-1/codes", [code])
    relaying = asyncio.create_task(service.relay_until_stopped())
    entries: list[Any] = []
    while len(entries) < 2:
        last = entries[-1][0] if entries else b"0"
        reply: Any = await redis.xread({CODED: last}, block=10_000)
        entries += reply[0][1]
    relaying.cancel()
    with suppress(asyncio.CancelledError):
        await relaying
    assert [about(fields[b"data"]) for _, fields in entries] == [("stay-1", ["I21.0"]), ("stay-1", ["I21.1"])]


async def test_dependency_reports_a_failed_commit_only_in_the_scope_of_the_function() -> None:
    """FastAPI ends other dependencies after the response, so that a commit in them fails unseen, as the page says."""

    async def session() -> AsyncIterator[None]:
        yield
        raise RuntimeError("the commit failed")

    async def change() -> None: ...

    app = FastAPI()
    endings: dict[str, Any] = {"request": Depends(session), "function": Depends(session, scope="function")}
    for name, dependency in endings.items():
        app.put(f"/{name}", dependencies=[dependency])(change)
    assert [(await put(app, f"/{name}"))[0] for name in endings] == [200, 500]


def test_alembic_writes_the_migration(urls: tuple[str, str]) -> None:
    """The migration that Alembic generates from the page's metadata makes tables which the metadata agrees with."""
    names: dict[str, Any] = {"channel_for": channel_for, "DATABASE_URL": urls[1]}
    [block] = re.findall(r"^```python\n(.*?)```", HOW_TO.read_text(), re.DOTALL | re.MULTILINE)[:1]
    exec(compile(block, str(HOW_TO), "exec"), names)  # noqa: S102 - our own page
    metadata = names["Base"].metadata
    archive_table(names["table"])
    engine = create_engine(urls[0])
    with engine.begin() as connection:
        script = generated(connection, metadata)
        assert "sa.Identity(always=True)" in script
        assert "autovacuum_vacuum_threshold" in script
        migrate(connection, script)
        columns = {column["name"] for column in inspect(connection).get_columns("domainstream_outbox")}
        assert columns == {"id", "event_id", "channel", "partition_key", "data", "created_at"}
        assert "pass" in generated(connection, metadata)
    engine.dispose()


def generated(connection: Connection, metadata: Any) -> str:
    """Return the body of the migration that Alembic generates."""
    script: MigrationScript = produce_migrations(MigrationContext.configure(connection), metadata)
    assert script.upgrade_ops is not None
    return render_python_code(script.upgrade_ops, migration_context=MigrationContext.configure(connection))


def migrate(connection: Connection, script: str) -> None:
    """Run the body of a migration."""
    imports = "import sqlalchemy as sa\nfrom sqlalchemy import Text\n"
    names = {"op": Operations(MigrationContext.configure(connection))}
    source = imports + "\n".join(line.removeprefix("    ") for line in script.splitlines())
    exec(compile(source, "migration", "exec"), names)  # noqa: S102 - what Alembic generated
