"""The databases and drivers that the outbox is tested on."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, MetaData, Table, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from support.coding import channel_for
from support.postgres import URL_VARIABLE, postgres_binaries, postgres_server

from domainstream.event import BaseEvent
from domainstream.outbox import Outbox, begin_immediate, outbox_table

UrlOf = Callable[[], str]


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[UrlOf]:
    """Return the URL of PostgreSQL for psycopg, started when it is first asked for; skip where there is none."""
    with ExitStack() as stack:
        started: list[str] = []

        def url() -> str:
            if not started:
                binaries = postgres_binaries()
                if URL_VARIABLE not in os.environ and binaries is None:
                    pytest.skip(f"no PostgreSQL: set {URL_VARIABLE}, or run: apt-get install postgresql")
                given = os.environ.get(URL_VARIABLE)
                started.append(given or stack.enter_context(postgres_server(binaries)).url)  # type: ignore[arg-type]
            return started[0]

        yield url


class Stays(DeclarativeBase):
    """The models of the sample service."""


class Stay(Stays):
    """An aggregate that keeps its events."""

    __tablename__ = "stays"

    id: Mapped[str] = mapped_column(primary_key=True)
    changes: Mapped[int] = mapped_column(default=0)

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self.events: list[BaseEvent[Any]] = []

    def pull_events(self) -> list[BaseEvent[Any]]:
        """Take the events; an object that was loaded has none until it changes."""
        events, self.events = getattr(self, "events", []), []
        return events


class Store:
    """A database with an outbox of the test's own."""

    def __init__(self, url: str, async_url: str) -> None:
        self.engine: Engine = create_engine(url)
        """For sync code."""
        self.async_url = async_url
        """For async code."""
        name = uuid4().hex[:12]
        self.outbox = Outbox(
            channel_for=channel_for, source="coding", table=outbox_table(MetaData(), name=f"outbox_{name}")
        )
        """The outbox."""
        begin_immediate(self.engine)
        with self.engine.begin() as connection:
            self.outbox.create_table(connection)
            Stays.metadata.create_all(connection)

    def stored(self, table: Table | None = None, *, connection: Connection | None = None) -> list[str]:
        """Return the ids of the stored events, in the order of their rows, as `connection` or a new one sees them."""
        columns = (self.outbox.table if table is None else table).c
        with ExitStack() as stack:
            seen = connection or stack.enter_context(self.engine.connect())
            return list(seen.execute(select(columns.event_id).order_by(columns.id)).scalars())

    def close(self) -> None:
        """Drop the tables."""
        with self.engine.begin() as connection:
            self.outbox.table.drop(connection)
            Stays.metadata.drop_all(connection)
        self.engine.dispose()


@pytest.fixture(params=["sqlite+aiosqlite", "postgresql+psycopg", "postgresql+asyncpg"])
def store(request: pytest.FixtureRequest, postgres_url: UrlOf, tmp_path: Path) -> Iterator[Store]:
    """A store on each database, with each async driver."""
    if request.param == "sqlite+aiosqlite":
        made = Store(f"sqlite:///{tmp_path}/store.db", f"sqlite+aiosqlite:///{tmp_path}/store.db")
    else:
        url = postgres_url()
        made = Store(url, url.replace("postgresql+psycopg", request.param))
    yield made
    made.close()
