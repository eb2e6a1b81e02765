"""Stores events in the caller's transaction, for a relay to publish: committed means delivered."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Generic
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, MetaData, Table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_scoped_session, async_sessionmaker
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from domainstream.channel import EventPublisherChannel
from domainstream.errors import OutboxError
from domainstream.event import BaseEvent
from domainstream.outbox.sql.insert import Row, insert_rows
from domainstream.outbox.sql.session_events import SessionEvents
from domainstream.outbox.sql.tables import archive_table, outbox_table, relay_table
from domainstream.producer.message_builder import MessageBuilder, ServiceEventT_contra
from domainstream.receipt import Outcome, Receipt
from domainstream.settings import MessageLimits

DEFAULT_LIMITS = MessageLimits()

AnySession = Session | AsyncSession | scoped_session[Any] | async_scoped_session[Any]
AnyConnection = Connection | AsyncConnection
PullEvents = Callable[[Any], Iterable[BaseEvent[Any]]]
"""Takes the events that an aggregate has kept, and leaves it without them."""


class Outbox(Generic[ServiceEventT_contra]):
    """Stores the domain events of one service in its database; `OutboxRelay` publishes them.

    Usage::

        outbox = Outbox(channel_for=channel_for, source="coding")

        async with session.begin():
            session.add(stay)
            outbox.add(session, StayCoded(...))

    Event and data are committed together or not at all. Savepoints, rollbacks and repeated commits treat an event as
    they treat the user's own rows. The events of a partition key reach their stream in the order in which their
    transactions were committed, if each transaction changes the aggregate's own row.

    Raises `MapperError` when the mapper misses an event class, or maps one to the channel of another event.
    """

    def __init__(
        self,
        *,
        channel_for: Callable[[ServiceEventT_contra], EventPublisherChannel | None],
        source: str,
        table: Table | None = None,
        limits: MessageLimits = DEFAULT_LIMITS,
        trace: Callable[[], Mapping[str, str] | None] = lambda: None,
        notify: bool = False,
    ) -> None:
        """Store events in `table`, by default `domainstream_outbox`; the rest is explained at `EventProducer`.

        With `notify`, PostgreSQL wakes a relay that has `RelaySettings(wake="notify")` when events are committed.
        """
        self.table = outbox_table(MetaData()) if table is None else table
        """The table that holds the events."""
        self._builder = MessageBuilder(channel_for=channel_for, source=source, limits=limits, trace=trace)
        self._notify = notify
        self._pull_events: list[PullEvents] = []
        self._events = SessionEvents(self._insert, self._collect_from)
        self._open: WeakKeyDictionary[Connection, list[Row]] = WeakKeyDictionary()

    def create_table(self, connection: Connection) -> None:
        """Create the outbox's tables unless they exist; for services without migrations."""
        own = outbox_table(MetaData(), name=self.table.name, schema=self.table.schema)
        for table in (self.table, relay_table(own), archive_table(own)):
            table.create(connection, checkfirst=True)

    def add(self, session: AnySession | AnyConnection, event: ServiceEventT_contra) -> Receipt:
        """Store one event in the current transaction of `session`; see `add_many`."""
        return self.add_many(session, (event,))[0]

    def add_many(self, session: AnySession | AnyConnection, events: Iterable[ServiceEventT_contra]) -> list[Receipt]:
        """Store events in the current transaction of `session`, and return one receipt each, in order.

        A receipt says `stored`, or `not_published` for an event that the mapper maps to None. The rows of a session are
        written right before its commit; those of a Core connection at once, or before the commit of
        `outbox.transaction`. Nothing is awaited, so that sync code uses it as well.

        Raises `EventEncodingError`, `MapperError` or an error of the mapper itself, and then stores none of the events;
        `OutboxError` for a database that is not supported and for a connection outside of a transaction.
        """
        mapped = self._builder.build_many(events)
        rows: list[Row] = [
            (message.event_id, message.channel, event.partition_key or event.aggregate_id, message.data)
            for event, message in mapped
            if message is not None
        ]
        if rows:
            self._keep(session, rows)
        return [
            Receipt(event_id=event.id, outcome=Outcome.NOT_PUBLISHED)
            if message is None
            else Receipt(event_id=event.id, outcome=Outcome.STORED, channel=message.channel)
            for event, message in mapped
        ]

    def collect(
        self, sessions: sessionmaker[Any] | async_sessionmaker[Any] | type[Session], pull_events: PullEvents
    ) -> None:
        """Take the events that aggregates keep, before each commit of the sessions that `sessions` makes.

        `pull_events` gets every object that the session holds, returns its events, and leaves it without them; it
        returns nothing for objects that are not aggregates.
        """
        self._pull_events.append(pull_events)
        self._events.watch(_sync_sessions(sessions))

    @asynccontextmanager
    async def transaction(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        """Begin a transaction of a Core connection; events that are added to it are written before its commit."""
        async with engine.begin() as connection:
            rows = self._open[_sync_connection(connection)] = []
            yield connection
            if rows:
                await connection.run_sync(self._insert, rows)

    @contextmanager
    def sync_transaction(self, engine: Engine) -> Iterator[Connection]:
        """Begin a transaction of a sync Core connection; see `transaction`."""
        with engine.begin() as connection:
            rows = self._open[connection] = []
            yield connection
            if rows:
                self._insert(connection, rows)

    def _keep(self, session: Any, rows: list[Row]) -> None:
        if isinstance(session, scoped_session | async_scoped_session):
            session = session()
        if isinstance(session, AsyncSession | Session):
            self._events.add(session.sync_session if isinstance(session, AsyncSession) else session, rows)
            return
        is_async = isinstance(session, AsyncConnection)
        connection: Connection = _sync_connection(session) if is_async else session
        kept = self._open.get(connection)
        if kept is not None:
            kept += rows
        elif is_async:
            raise OutboxError("an AsyncConnection cannot insert at once; use: async with outbox.transaction(engine)")
        elif not connection.in_transaction():
            raise OutboxError("the connection has no transaction; use: with engine.begin() as connection")
        else:
            self._insert(connection, rows)

    def _insert(self, connection: Connection, rows: list[Row]) -> None:
        insert_rows(connection, self.table, rows, notify=self._notify)

    def _collect_from(self, session: Session) -> None:
        held = [*session.new, *session.identity_map.values(), *session.deleted]
        events: list[Any] = [event for pull in self._pull_events for aggregate in held for event in pull(aggregate)]
        if events:
            self.add_many(session, events)


def _sync_sessions(sessions: Any) -> Any:
    """Return what SQLAlchemy's events are listened to at: an async sessionmaker makes sync sessions underneath."""
    if not isinstance(sessions, async_sessionmaker):
        return sessions
    sync_class = sessions.kw.get("sync_session_class") or sessions.class_.sync_session_class
    # A class of its own, so that other sessionmakers of the same class are left alone.
    own: type[Session] = type(f"{sync_class.__name__}OfOutbox", (sync_class,), {})
    sessions.configure(sync_session_class=own)
    return own


def _sync_connection(connection: AsyncConnection) -> Connection:
    if connection.sync_connection is None:
        raise OutboxError("the connection is not open; use: async with outbox.transaction(engine) as connection")
    return connection.sync_connection
