"""Stores events in the transaction of a Django project's database: committed means delivered."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final, Generic

from domainstream.channel import EventPublisherChannel
from domainstream.errors import MissingExtraError, OutboxError
from domainstream.outbox.sql.insert import ROWS_PER_STATEMENT, build_rows, stored_receipts, values_statement
from domainstream.outbox.sql.tables import TABLE_NAME, require_supported
from domainstream.producer.message_builder import MessageBuilder, ServiceEventT_contra, Trace
from domainstream.receipt import Receipt
from domainstream.settings import MessageLimits

try:
    from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
except ModuleNotFoundError:
    raise MissingExtraError("DjangoOutbox", "django") from None

DEFAULT_LIMITS: Final = MessageLimits()
_MISSING: Final = ("no such table", "does not exist")


class DjangoOutbox(Generic[ServiceEventT_contra]):
    """Stores the domain events of one service in its database; `manage.py domainstream_relay` publishes them.

    Usage::

        outbox = DjangoOutbox(channel_for=channel_for, source="coding")

        with transaction.atomic():
            stay.save()
            outbox.add(StayCoded(...))

    Event and data are committed together or not at all. The row is inserted at once, so that savepoints, which are
    nested `atomic` blocks, treat it as they treat the user's own rows. The events of a partition key reach their stream
    in the order in which their transactions were committed, if each one saves the aggregate's own row first.

    Raises `MapperError` when the mapper misses an event class, or maps one to the channel of another event.
    """

    def __init__(
        self,
        *,
        channel_for: Callable[[ServiceEventT_contra], EventPublisherChannel | None],
        source: str,
        limits: MessageLimits = DEFAULT_LIMITS,
        trace: Trace | None = None,
    ) -> None:
        """Store events in the table of the app's migration; the rest is explained at `EventProducer` and `Outbox`."""
        self._builder = MessageBuilder(channel_for=channel_for, source=source, limits=limits, trace=trace)

    def add(self, event: ServiceEventT_contra, *, using: str = DEFAULT_DB_ALIAS) -> Receipt:
        """Store one event in the current transaction of the database `using`; see `add_many`."""
        return self.add_many((event,), using=using)[0]

    def add_many(self, events: Iterable[ServiceEventT_contra], *, using: str = DEFAULT_DB_ALIAS) -> list[Receipt]:
        """Store events by one statement in the current transaction of `using`; return one receipt each, in order.

        A receipt says `stored`, or `not_published` for an event that the mapper maps to None. Async code calls this
        within the function that it passes to `sync_to_async` with the transaction.

        Raises `EventEncodingError`, `MapperError` or an error of the mapper itself, and then stores none of the events;
        `OutboxError` outside of `transaction.atomic` and for a database that is not supported; and Django's
        `DatabaseError`.
        """
        built = build_rows(self._builder.build_many(events))
        rows = [row for _, row in built if row is not None]
        if not rows:
            return stored_receipts(built)
        connection = connections[using]
        require_supported(connection.vendor)
        _require_transaction(connection)
        name = connection.ops.quote_name(TABLE_NAME)
        try:
            with connection.cursor() as cursor:
                for start in range(0, len(rows), ROWS_PER_STATEMENT):
                    cursor.execute(*values_statement(name, "%s", rows[start : start + ROWS_PER_STATEMENT]))
        except DatabaseError as error:
            if any(mark in str(error) for mark in _MISSING):
                migrate = f"python manage.py migrate domainstream --database={using}"
                error.add_note(f"Database {using!r} has no outbox yet; run: {migrate}")
            raise
        return stored_receipts(built)


def _require_transaction(connection: Any) -> None:
    """Raise `OutboxError` unless the caller has begun a transaction.

    That of a `TestCase` does not count: production has none, and a test must find out.
    """
    blocks = connection.atomic_blocks
    if any(not getattr(block, "_from_testcase", False) for block in blocks):
        return
    if not blocks and _is_async():
        raise OutboxError(
            "Django has no transactions in async code, so the event would be committed without what it is about; put "
            "transaction.atomic() and the call into one function, and await it by sync_to_async"
        )
    if blocks or connection.get_autocommit():
        using = "" if connection.alias == DEFAULT_DB_ALIAS else f"using={connection.alias!r}"
        raise OutboxError(
            f"database {connection.alias!r} is outside of a transaction, so the event would be committed without what "
            f"it is about; use: with transaction.atomic({using})" + (", also within a TestCase" if blocks else "")
        )


def _is_async() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
