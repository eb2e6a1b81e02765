"""Keeps the events of a session's transaction until it commits, as the session keeps the user's own rows.

Writing last is what gives the order per aggregate: a row's number is drawn while the transaction holds the locks of the
aggregates that it changed, so two transactions that change one aggregate draw theirs in the order of their commits.

SQLAlchemy calls `before_commit` for the release of a savepoint as well, and does not say for which transaction. So all
rows of a session are kept in one list, in which a savepoint marks where it began: rolling it back cuts the list there,
releasing it does nothing, and the outermost commit writes what is left. Where the outermost commit finds savepoints
open, SQLAlchemy releases them first; the call that was not for one of them is counted, and made up for after the last.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from weakref import ReferenceType, WeakKeyDictionary, ref

from sqlalchemy import Connection, Table, insert, inspect
from sqlalchemy.exc import MissingGreenlet
from sqlalchemy.orm import InstanceState, Session, SessionTransaction

from domainstream.errors import OutboxError
from domainstream.event import BaseEvent
from domainstream.outbox.sql.binding import verify_binding
from domainstream.outbox.sql.insert import Row

Event = BaseEvent[Any]
PullEvents = Callable[[Any], Iterable[Event]]
"""Takes the events that an aggregate has kept, and leaves it without them."""

WriteRows = Callable[[Connection, list[Row]], None]

BuildRows = Callable[[Iterable[Event]], list[tuple[Event, Row]]]
"""Returns the events that leave the service, with their rows."""


class SessionEvents:
    """The events of one outbox in sessions. For many threads, as sessions are: one each."""

    def __init__(self, table: Table, build: BuildRows, write: WriteRows, write_last: WriteRows) -> None:
        """Write rows with `write`, where `session.execute(insert(table))` would; `build` makes those of aggregates.

        `write_last` writes them when the connection commits.
        """
        self.build = build
        self.given_back: WeakKeyDictionary[InstanceState[Any], list[Event]] = WeakKeyDictionary()
        """Events to be taken again: those of new aggregates whose transaction was rolled back, because they may be
        added again, and those of which one could not be kept."""
        self._write = write
        self._write_last = write_last
        self._statement = insert(table)

    def add(self, session: Session, rows: list[Row]) -> None:
        """Keep `rows` for the current transaction of `session`, which begins one if there is none."""
        if session.get_transaction() is None and not session.autobegin:
            raise OutboxError("the session has no transaction; use: with session.begin()")
        root = session.get_transaction() or session.begin()
        if not (session.get_nested_transaction() or root).is_active:
            raise OutboxError(
                "the session's transaction has failed or ended, so the event would be lost; roll back first, or add "
                "the event before the commit"
            )
        self.verify(session)
        work_of(session, root).keep(session, [_Kept(self, row, None, None) for row in rows])

    def collect(self, sessions: type[Session], pull_events: PullEvents) -> None:
        """Take the events of aggregates in `sessions`, a class of sessions."""
        collectors.setdefault(sessions, []).append((self, pull_events))

    def verify(self, session: Session) -> None:
        """Raise `OutboxError` unless `session` can store rows together with its data."""
        verify_binding(session, self._statement)

    def write(self, session: Session, rows: list[Row], *, last: bool) -> None:
        """Insert `rows` in the transaction of `session`; with `last`, when its connection commits."""
        connection = session.connection(bind_arguments={"clause": self._statement})
        (self._write_last if last else self._write)(connection, rows)

    def pull(self, aggregate: Any, pull_events: PullEvents) -> list[Event]:
        """Take the events of an aggregate."""
        events = [*pull_events(aggregate)]
        if self.given_back:
            events[:0] = self.given_back.pop(inspect(aggregate), ())
        return events

    def give_back(self, state: InstanceState[Any], events: Iterable[Event]) -> None:
        """Let the next `pull` return these events, which are older than those that were given back before."""
        self.given_back[state] = [*events, *self.given_back.get(state, ())]


class _Kept(NamedTuple):
    """A row that is not written yet, with the event and the aggregate that it was taken from, if any."""

    outbox: SessionEvents
    row: Row
    aggregate: ReferenceType[Any] | None
    event: Event | None


class Work:
    """What one outermost transaction has kept. Refers to no session, so that an abandoned one is freed."""

    def __init__(self, collectors: list[tuple[SessionEvents, PullEvents]]) -> None:
        self.kept: list[_Kept] = []
        self.written: list[_Kept] = []
        """Events of aggregates that were written, until the commit has succeeded."""
        self.marks: dict[int, int] = {}
        """How many rows were kept when each open savepoint began, by its `id`."""
        self.commits = 0
        """Calls of `before_commit` while savepoints were open that no end of a savepoint has answered."""
        self.is_written = False
        self.is_committed = False
        self._collectors = collectors
        self._taken: set[str] = set()

    def keep(self, session: Session, kept: list[_Kept]) -> None:
        """Keep rows; those that hooks add while the transaction commits are left to the connection.

        A hook may add them before the changes that they are about are flushed, and no hook is called after that.
        """
        self.kept += kept
        if self.is_written and kept:
            try:
                self.write(session, last=True)
            except MissingGreenlet:
                self.is_written = False  # The commit failed in another hook, and the caller goes on: it will commit.

    def write(self, session: Session, *, last: bool = False) -> None:
        """Write what was kept, with one statement for each outbox; with `last`, when the connection commits."""
        rows: dict[SessionEvents, list[Row]] = {}
        for each in self.kept:
            rows.setdefault(each.outbox, []).append(each.row)
        for outbox, those in rows.items():
            outbox.write(session, those, last=last)
        self.written += (each for each in self.kept if each.aggregate is not None)
        self.kept.clear()

    def collect(self, session: Session, aggregates: Iterable[Any]) -> None:
        """Take the events of these aggregates."""
        if not self._collectors:
            return
        pulled: list[tuple[SessionEvents, Any, list[Event]]] = []
        try:
            for aggregate in list(aggregates):
                for outbox, pull_events in self._collectors:
                    if events := outbox.pull(aggregate, pull_events):
                        pulled.append((outbox, aggregate, events))
            found = [
                _Kept(outbox, row, ref(aggregate), each)
                for outbox, aggregate, events in pulled
                for each, row in outbox.build(events)
            ]
            self._verify(session, found)
        except BaseException:
            for outbox, aggregate, events in reversed(pulled):
                outbox.give_back(inspect(aggregate), events)
            raise
        self._taken.update(each.row[0] for each in found)
        self.keep(session, found)

    def _verify(self, session: Session, found: list[_Kept]) -> None:
        taken = set(self._taken)
        for event_id, *_ in (each.row for each in found):
            if event_id in taken:
                raise OutboxError(
                    f"pull_events returned the event {event_id} twice; it must leave the aggregate without the "
                    "events that it returns"
                )
            taken.add(event_id)
        for outbox in {each.outbox for each in found}:
            outbox.verify(session)

    def finish(self, session: Session) -> None:
        """Flush, take the events of aggregates, and write all rows.

        Without any, the session is left as it is, because others' hooks may look at what it is about to flush.
        """
        if self.kept or self._collectors:
            session.flush()
            self.collect(session, session.identity_map.values())
            session.flush()
        if self.kept:
            self.write(session)
        self.is_written = True

    def undo(self, session: Session, mark: int | None) -> None:
        """Drop what was kept since a savepoint's `mark`, or at all, and the events of aggregates that lost changes.

        A new aggregate keeps its attributes when its transaction is rolled back, and so its events.
        """
        undone = self.written + self.kept if mark is None else self.kept[mark:]
        del self.kept[mark or 0 :]
        for outbox, row, aggregate, own in reversed(undone):
            self._taken.discard(row[0])
            owner = aggregate() if aggregate is not None else None
            if owner is not None and own is not None and (state := inspect(owner)).transient:
                outbox.give_back(state, [own])
        if self._collectors:
            for persistent in session.identity_map.values():
                for outbox, pull_events in self._collectors:
                    outbox.pull(persistent, pull_events)


works: WeakKeyDictionary[SessionTransaction, Work] = WeakKeyDictionary()
"""What each outermost transaction has kept."""

collectors: WeakKeyDictionary[type[Session], list[tuple[SessionEvents, PullEvents]]] = WeakKeyDictionary()
"""Which outboxes take the events of aggregates, by class of sessions."""


def work_of(session: Session, root: SessionTransaction) -> Work:
    """Return the work of the outermost transaction `root`; begin it if it has none."""
    work = works.get(root)
    if work is None:
        own = [each for kind in type(session).__mro__ for each in collectors.get(kind, ())] if collectors else []
        work = works[root] = Work(own)
        nested = session.get_nested_transaction()
        while nested is not None:  # savepoints that began before there was an outbox
            work.marks[id(nested)] = 0
            nested = nested.parent
    return work
