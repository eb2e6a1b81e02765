"""Keeps the events of a session's transactions until they are committed, as the session keeps the user's own rows.

SQLAlchemy calls `before_commit` for the release of a savepoint as well, and `after_transaction_end` for every end. So
the events are kept per (nested) transaction: a released savepoint passes them to its parent, one that is rolled back
drops them, and the outermost commit writes what is left, after the flush.

Writing last is what gives the order per aggregate: a row's number is drawn while the transaction holds the locks of the
aggregates that it changed, so two transactions that change one aggregate draw theirs in the order of their commits.
"""

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, event
from sqlalchemy.orm import Session, SessionTransaction

from domainstream.outbox.sql.insert import Row

Write = Callable[[Connection, list[Row]], None]


class SessionEvents:
    """The rows of all sessions of one outbox that are not written yet. For many threads, as sessions are: one each."""

    def __init__(self, write: Write, before: Callable[[Session], None]) -> None:
        """Write rows with `write`; call `before` ahead of each outermost commit, which may add more."""
        self._write = write
        self._before = before
        self._rows: WeakKeyDictionary[Session, dict[SessionTransaction, list[Row]]] = WeakKeyDictionary()
        self._released: WeakKeyDictionary[SessionTransaction, bool] = WeakKeyDictionary()

    def add(self, session: Session, rows: list[Row]) -> None:
        """Keep `rows` for the innermost transaction of `session`, which begins one if there is none."""
        self.watch(session)
        transaction = session.get_nested_transaction() or session.get_transaction() or session.begin()
        self._rows[session].setdefault(transaction, []).extend(rows)

    def watch(self, target: Any) -> None:
        """Listen to the ends of transactions of a session; also of a `sessionmaker`, for all its sessions."""
        if isinstance(target, Session):
            if target in self._rows:
                return
            self._rows[target] = {}
        hooks: dict[str, Callable[..., None]] = {
            "before_commit": self._before_commit,
            "after_transaction_end": self._ended,
        }
        for name, hook in hooks.items():
            if not event.contains(target, name, hook):
                event.listen(target, name, hook)

    def _before_commit(self, session: Session) -> None:
        nested = session.get_nested_transaction()
        if nested is not None:
            self._released[nested] = True
            return
        self._before(session)
        transaction = session.get_transaction()
        rows = self._rows.get(session, {}).pop(transaction, []) if transaction is not None else []
        if rows:
            session.flush()
            self._write(session.connection(), rows)

    def _ended(self, session: Session, transaction: SessionTransaction) -> None:
        rows = self._rows.get(session, {}).pop(transaction, [])
        if rows and transaction.parent is not None and self._released.pop(transaction, False):
            self._rows[session].setdefault(transaction.parent, []).extend(rows)
