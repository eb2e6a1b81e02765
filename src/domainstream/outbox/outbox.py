"""Stores events in the caller's transaction, for a relay to publish: committed means delivered."""

from collections.abc import Callable, Iterable
from typing import Any, Generic

from sqlalchemy import Connection, MetaData, Table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session, async_sessionmaker
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from domainstream.channel import EventPublisherChannel
from domainstream.errors import OutboxError
from domainstream.event import BaseEvent
from domainstream.outbox.sql.connection_events import ConnectionEvents
from domainstream.outbox.sql.insert import Row, build_rows, insert_rows, stored_receipts
from domainstream.outbox.sql.session_events import PullEvents, SessionEvents
from domainstream.outbox.sql.session_hooks import ensure_hooks, listen, listen_to
from domainstream.outbox.sql.tables import archive_table, outbox_table, relay_table
from domainstream.outbox.sql.take_all import Database, take_all
from domainstream.producer import OutgoingMessage
from domainstream.producer.message_builder import MessageBuilder, ServiceEventT_contra, Trace
from domainstream.receipt import Receipt
from domainstream.settings import MessageLimits

DEFAULT_LIMITS = MessageLimits()

AnySession = Session | AsyncSession | scoped_session[Any] | async_scoped_session[Any]
AnyConnection = Connection | AsyncConnection
Sessions = sessionmaker[Any] | async_sessionmaker[Any] | scoped_session[Any] | async_scoped_session[Any] | type[Session]


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
        trace: Trace | None = None,
        notify: bool = False,
    ) -> None:
        """Store events in `table`, by default `domainstream_outbox`; the rest is explained at `EventProducer`.

        Where OpenTelemetry is installed, the current span's context is stored with each event, unless `trace` returns
        another one.

        With `notify`, PostgreSQL wakes a relay that has `RelaySettings(wake="notify")` when events are committed.
        """
        self.table = outbox_table(MetaData()) if table is None else table
        """The table that holds the events."""
        self._builder = MessageBuilder(channel_for=channel_for, source=source, limits=limits, trace=trace)
        self._notify = notify
        self._connections = ConnectionEvents(self._insert)
        self._sessions = SessionEvents(self.table, self._rows, self._insert, self._connections.add)
        listen()

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

        A receipt says `stored`, or `not_published` for an event that the mapper maps to None. `session` may also be a
        Core connection. The rows are written right before the commit, after the flush, with one statement. Nothing is
        awaited, so that sync code uses it as well. A session with several binds stores them where
        `session.execute(insert(outbox.table))` would, and must name `outbox.table` among its `binds`.

        Raises `EventEncodingError`, `MapperError` or an error of the mapper itself, and then stores none of the events;
        `OutboxError` for a database that is not supported, a transaction that has failed, AUTOCOMMIT, a session that
        has several binds and none for the outbox, and a connection outside of a transaction.
        """
        built = build_rows(self._builder.build_many(events))
        rows = [row for _, row in built if row is not None]
        if isinstance(session, scoped_session | async_scoped_session):
            session = session()
        if rows and isinstance(session, Session | AsyncSession):
            sync = session if isinstance(session, Session) else session.sync_session
            ensure_hooks(sync)
            self._sessions.add(sync, rows)
        elif rows:
            self._connections.add(_sync_connection(session), rows)
        return stored_receipts(built)

    def collect(self, sessions: Sessions, pull_events: PullEvents) -> None:
        """Take the events that aggregates keep, before each commit of the sessions that `sessions` makes.

        `pull_events` gets every object that the session holds, returns its events, and leaves it without them; it
        returns nothing for objects that are not aggregates. It is called at each flush, savepoint and commit, and at a
        rollback, when nothing can be loaded: keep events in an attribute that is not mapped.

        An aggregate's events share the fate of its attributes. After a rollback, also that of a commit which failed, a
        new aggregate still has both, and can be added again; one that was loaded has lost both, and must be changed
        again. An event without a change counts as well, if the aggregate is not garbage before the commit: sessions
        refer weakly to what is unchanged.

        Events of an object that no session holds are **not** taken. `session.merge(aggregate)` changes another object,
        and `bulk_save_objects` none, while the events stay with the given one: add them yourself, by
        `outbox.add_many(session, aggregate.pull_events())`.
        """
        session_class = _session_class(sessions)
        listen_to(session_class)
        self._sessions.collect(session_class, pull_events)

    def _rows(self, events: Iterable[Any]) -> list[tuple[BaseEvent[Any], Row]]:
        return [(event, row) for event, row in build_rows(self._builder.build_many(events)) if row is not None]

    async def take_all(self, database: Database) -> list[OutgoingMessage]:
        """Delete the stored events, and return their messages in order; for tests, which `EventFlow.relay` does it for.

        An engine takes what is committed; a connection takes what it sees, and leaves the commit to the caller.
        """
        return await take_all(database, self.table)

    def _insert(self, connection: Connection, rows: list[Row]) -> None:
        insert_rows(connection, self.table, rows, notify=self._notify)


def _session_class(sessions: Any) -> type[Session]:
    """Return the class of the sessions that `sessions` makes, and of no others."""
    if isinstance(sessions, scoped_session | async_scoped_session):
        sessions = sessions.session_factory
    if not isinstance(sessions, async_sessionmaker):
        sync: type[Session] = sessions.class_ if isinstance(sessions, sessionmaker) else sessions
        return sync
    # An async session makes a sync one underneath, of this class.
    sync_class = sessions.kw.get("sync_session_class") or sessions.class_.sync_session_class
    own: type[Session] = type(sync_class.__name__, (sync_class,), {})
    sessions.configure(sync_session_class=own)
    return own


def _sync_connection(connection: Any) -> Connection:
    opened: Connection | None = connection.sync_connection if isinstance(connection, AsyncConnection) else connection
    if opened is None:
        raise OutboxError("the connection is not open; use: async with engine.begin() as connection")
    return opened
