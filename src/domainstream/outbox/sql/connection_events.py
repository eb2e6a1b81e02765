"""Keeps the events of a Core connection's transaction until it commits.

Written last, as those of a session are, and for the same reason. It also needs no await, so that `add` is the same for
sync and async connections. The hooks are those of the engine, from its first event on.
"""

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, RootTransaction, event

from domainstream.errors import OutboxError
from domainstream.outbox.sql.binding import verify_transaction
from domainstream.outbox.sql.insert import Row


class ConnectionEvents:
    """The rows of one outbox in transactions of connections that are not written yet. For many threads."""

    def __init__(self, write: Callable[[Connection, list[Row]], None]) -> None:
        """Write rows with `write`."""
        self._write = write
        self._rows: WeakKeyDictionary[RootTransaction, list[Row]] = WeakKeyDictionary()
        self._marks: WeakKeyDictionary[RootTransaction, dict[str, int]] = WeakKeyDictionary()

    def add(self, connection: Connection, rows: list[Row]) -> None:
        """Keep `rows` for the current transaction of `connection`; raises `OutboxError` if there is none."""
        transaction = connection.get_transaction()
        if transaction is None:
            raise OutboxError("the connection has no transaction; use: with engine.begin() as connection")
        if not (connection.get_nested_transaction() or transaction).is_active:
            raise OutboxError("the connection's transaction has failed or ended; roll back first")
        verify_transaction(connection)
        hooks: dict[str, Callable[..., Any]] = {
            "commit": self._commit,
            "prepare_twophase": self._commit,
            "commit_twophase": self._commit,
            "savepoint": self._savepoint,
            "rollback_savepoint": self._rollback_savepoint,
        }
        if not event.contains(connection.engine, "commit", self._commit):
            for name, hook in hooks.items():
                event.listen(connection.engine, name, hook)
        self._rows.setdefault(transaction, []).extend(rows)

    def _commit(self, connection: Connection, *_: Any) -> None:
        transaction = connection.get_transaction()
        rows = self._rows.pop(transaction, None) if transaction is not None else None
        if rows:
            self._write(connection, rows)

    def _savepoint(self, connection: Connection, name: str) -> None:
        transaction = connection.get_transaction()
        if transaction is not None:
            self._marks.setdefault(transaction, {})[name] = len(self._rows.get(transaction, ()))

    def _rollback_savepoint(self, connection: Connection, name: str, _: Any) -> None:
        transaction = connection.get_transaction()
        rows = self._rows.get(transaction) if transaction is not None else None
        if transaction is not None and rows:
            # A savepoint without a mark began before the first event.
            del rows[self._marks.get(transaction, {}).get(name, 0) :]
