"""Keeps the events of a Core connection's transaction until it commits.

Written last, as those of a session are, and for the same reason. It also needs no await, so that `add` is the same for
sync and async connections.

The hooks are those of the engine, from its first event on. That alone is not safe with threads: SQLAlchemy shows a hook
as registered before it calls it, and when threads open the first connections of an engine at the same time, it may
attach one to hooks of the engine that it then replaces. Such a connection gets the hooks itself.
"""

from collections.abc import Callable
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import Connection, Engine, RootTransaction, event

from domainstream.errors import OutboxError
from domainstream.outbox.sql.binding import verify_transaction
from domainstream.outbox.sql.insert import Row


class ConnectionEvents:
    """The rows of one outbox in transactions of connections that are not written yet. For many threads."""

    def __init__(self, write: Callable[[Connection, list[Row]], None]) -> None:
        """Write rows with `write`."""
        self._write = write
        # With each row the number of the savepoint that it was added in: they count up within a connection, so a
        # savepoint that is rolled back takes the first row of its own number or a higher one, and all after it.
        self._kept: WeakKeyDictionary[RootTransaction, list[tuple[int, Row]]] = WeakKeyDictionary()
        self._engines: WeakSet[Engine] = WeakSet()
        self._listening = Lock()

    def add(self, connection: Connection, rows: list[Row]) -> None:
        """Keep `rows` for the current transaction of `connection`; raises `OutboxError` if there is none."""
        transaction, nested = connection.get_transaction(), connection.get_nested_transaction()
        if transaction is None:
            raise OutboxError("the connection has no transaction; use: with engine.begin() as connection")
        if not (nested or transaction).is_active:
            raise OutboxError("the connection's transaction has failed or ended; roll back first")
        verify_transaction(connection)
        self._listen(connection)
        number = 0 if nested is None else _number(getattr(nested, "_savepoint"))  # noqa: B009 (SQLAlchemy's, private)
        self._kept.setdefault(transaction, []).extend((number, row) for row in rows)

    def _listen(self, connection: Connection) -> None:
        engine = connection.engine
        if engine not in self._engines:
            with self._listening:
                self._add_hooks(engine)
                self._engines.add(engine)
        if self._commit not in connection.dispatch.commit:
            self._add_hooks(connection)

    def _add_hooks(self, target: Engine | Connection) -> None:
        hooks: dict[str, Callable[..., None]] = {
            "commit": self._commit,
            "prepare_twophase": self._write_kept,
            "commit_twophase": self._commit_twophase,
            "rollback_savepoint": self._rollback_savepoint,
        }
        for name, hook in hooks.items():
            event.listen(target, name, hook)

    def _commit(self, connection: Connection) -> None:
        try:
            self._write_kept(connection)
        except BaseException:
            # SQLAlchemy takes the transaction for ended, and would give the connection back to its pool with it open,
            # unless that is broken.
            if not connection.invalidated:
                connection.dialect.do_rollback(connection.connection)
            raise

    def _commit_twophase(self, connection: Connection, xid: Any, is_prepared: bool) -> None:
        try:
            self._write_kept(connection)
        except BaseException:
            if not connection.invalidated:  # as above
                connection.dialect.do_rollback_twophase(connection, xid, is_prepared)
            raise

    def _write_kept(self, connection: Connection, *_: Any) -> None:
        transaction = connection.get_transaction()
        kept = self._kept.pop(transaction, None) if transaction is not None else None
        if kept:
            self._write(connection, [row for _, row in kept])

    def _rollback_savepoint(self, connection: Connection, name: str, _: Any) -> None:
        transaction = connection.get_transaction()
        kept = self._kept.get(transaction, []) if transaction is not None else []
        number = _number(name)
        del kept[next((index for index, (own, _) in enumerate(kept) if own >= number), len(kept)) :]


def _number(savepoint: str) -> int:
    """Return the number in a name that SQLAlchemy gave to a savepoint, such as `sa_savepoint_3`."""
    return int(savepoint.rpartition("_")[2])
