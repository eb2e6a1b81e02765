"""Translates the errors of SQLAlchemy and its drivers into ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from domainstream.errors import OutboxError, OutboxUnavailableError
from domainstream.text import described

_MISSING = ("42P01", "no such table", "does not exist")
_MISSING_COLUMN = ("42703", "no such column")
_FORBIDDEN = ("42501", "permission denied")


@contextmanager
def translated_errors(table: str) -> Iterator[None]:
    """Raise ours instead of SQLAlchemy's, with what to do next; `table` is the outbox's.

    Neither statements nor their parameters, which hold messages, are in the error.
    """
    try:
        yield
    except DBAPIError as error:
        raise _translated(error, table) from None
    except (SQLAlchemyError, OSError) as error:  # TimeoutError is an OSError
        raise OutboxUnavailableError(f"the database does not answer: {described(error)}") from None


def _translated(error: DBAPIError, table: str) -> OutboxError:
    reason = described(error.orig) if error.orig is not None else type(error).__name__
    code = getattr(error.orig, "sqlstate", None) or ""
    text = f"{code} {reason}"
    if any(mark in text for mark in _MISSING + _MISSING_COLUMN):
        hint = "create or migrate its tables: domainstream outbox ddl, outbox_table() or create_table()"
        return OutboxError(f"the outbox {table} is not complete ({reason.splitlines()[0]}); {hint}")
    if any(mark in text for mark in _FORBIDDEN):
        hint = "the relay needs SELECT and DELETE on the outbox, and SELECT, INSERT and UPDATE on its relay table"
        return OutboxError(f"the database refuses the relay ({reason.splitlines()[0]}); {hint}")
    return OutboxUnavailableError(f"the database is not ready: {reason.splitlines()[0]}")
