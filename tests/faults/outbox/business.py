"""The data of a service with an outbox: aggregates with versions, and a row for each change, beside the events.

What is committed is what these rows say, also when the answer to a COMMIT was lost.
"""

from contextlib import closing
from dataclasses import dataclass
from typing import Final

from faults.publishing import Event, channel_for
from sqlalchemy import Connection, Engine, Integer, MetaData, Text, bindparam, create_engine, func, select, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool
from sqlalchemy.schema import Column, Table
from support.consuming import CalculatedPayload, EvaluatedPayload, OptimizationEvaluated, PricingCalculated

from domainstream.outbox import Outbox, begin_immediate, outbox_table, relay_table

AGGREGATES: Final = 20
"""Few, so that transactions wait for each other."""

BUSY_TIMEOUT: Final = 60
"""Seconds that a writer waits for SQLite's lock."""


class Business:
    """The tables of one test."""

    def __init__(self, url: str, name: str) -> None:
        """Name them after `name`; `url` names a sync driver."""
        metadata = MetaData()
        self.aggregates = Table(
            f"aggregates_{name}", metadata, Column("id", Text, primary_key=True), Column("version", Integer)
        )
        """What events are about."""
        self.effects = Table(
            *(f"effects_{name}", metadata),
            *(Column("event_id", Text, primary_key=True), Column("aggregate", Text), Column("version", Integer)),
        )
        """What each transaction changed."""
        self.metadata = metadata
        self.outbox = Outbox(channel_for=channel_for, source="coding", table=outbox_table(MetaData(), name=name))
        """The outbox, whose table has the name of the test."""
        self.engine = open_engine(url)
        """For the test, and for sync writers."""

    def create(self) -> None:
        """Create the tables."""
        if self.engine.dialect.name == "sqlite":
            with closing(self.engine.raw_connection()) as raw:  # not possible within a transaction
                raw.cursor().execute("PRAGMA journal_mode=wal")
        with self.engine.begin() as connection:
            self.outbox.create_table(connection)
            self.metadata.create_all(connection)
            rows = [{"id": aggregate_id(number), "version": 0} for number in range(AGGREGATES)]
            connection.execute(self.aggregates.insert(), rows)

    def drop(self) -> None:
        """Drop the tables, and close the connections."""
        own = self.outbox.table
        with self.engine.begin() as connection:
            self.metadata.drop_all(connection)
            for table in (own, relay_table(outbox_table(MetaData(), name=own.name))):
                table.drop(connection)
        self.engine.dispose()

    def change(self, session: Session | Connection, aggregate: str, events: int = 1) -> list[Event]:
        """Change an aggregate and return the events about it, which are not added to the outbox yet."""
        update = self.aggregates.update().where(self.aggregates.c.id == aggregate)
        raised = update.values(version=self.aggregates.c.version + events).returning(self.aggregates.c.version)
        last = int(session.execute(raised).scalar_one())
        made = [event_of(aggregate, version) for version in range(last - events + 1, last + 1)]
        rows = [{"event_id": each.id, "aggregate": aggregate, "version": version_of(each)} for each in made]
        session.execute(self.effects.insert(), rows)
        return made

    def add_at_once(self, connection: Connection, events: list[Event]) -> None:
        """Add events to the outbox as rows with numbers, which otherwise are drawn right before the commit."""
        self.outbox.add_many(connection, events)
        self.outbox._connections._write_kept(connection)

    def commit(self, number: int, events: int = 1) -> list[Event]:
        """Change an aggregate in a transaction of its own; they take turns with `number`."""
        with Session(self.engine) as session, session.begin():
            made = self.change(session, aggregate_id(number % AGGREGATES), events)
            self.outbox.add_many(session, made)
        return made

    def committed(self) -> dict[str, "Effect"]:
        """Return what is committed, by event id."""
        with self.engine.connect() as connection:
            return {
                row.event_id: Effect(row.aggregate, row.version) for row in connection.execute(select(self.effects))
            }

    def backlog(self) -> int:
        """Return how many rows the outbox has."""
        with self.engine.connect() as connection:
            return int(connection.execute(select(func.count()).select_from(self.outbox.table)).scalar_one())

    def lease(self) -> tuple[str | None, int]:
        """Return which relay has the lease, and its epoch."""
        name = self.outbox.table.name
        query = text(f"SELECT owner, epoch FROM {name}_relay WHERE name = :name")  # noqa: S608 - a name of the test
        with self.engine.connect() as connection:
            row = connection.execute(query.bindparams(bindparam("name", name))).first()
        return (None, 0) if row is None else (row.owner, row.epoch)


@dataclass(frozen=True)
class Effect:
    """A change that was committed."""

    aggregate: str
    """What was changed."""

    version: int
    """Which change it was; they were committed in this order."""


def begin_and_add(business: Business, number: int, events: int) -> tuple[Connection, list[str]]:
    """Begin a transaction, and insert events that are not committed yet."""
    connection = business.engine.connect()
    connection.begin()
    added = business.change(connection, aggregate_id(number), events)
    business.add_at_once(connection, added)
    return connection, [event.id for event in added]


def aggregate_id(number: int) -> str:
    """Return the id of an aggregate."""
    return f"stay-{number}"


def event_of(aggregate: str, version: int) -> Event:
    """Return an event about a version; the aggregates take turns between two channels."""
    if int(aggregate.partition("-")[2]) % 2:
        return PricingCalculated(aggregate_id=aggregate, payload=CalculatedPayload(price=version))
    return OptimizationEvaluated(aggregate_id=aggregate, payload=EvaluatedPayload(score=float(version)))


def version_of(made: Event) -> int:
    """Return the version that an event is about."""
    return made.payload.price if isinstance(made, PricingCalculated) else int(made.payload.score)


def open_engine(url: str) -> Engine:
    """Open a database for sync code; SQLite's transactions begin with its lock, so that they wait for each other."""
    if not url.startswith("sqlite"):
        return create_engine(url, pool_size=20)
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT}, poolclass=QueuePool)
    begin_immediate(engine)
    return engine
