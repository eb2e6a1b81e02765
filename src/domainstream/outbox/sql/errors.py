"""Translates the errors of SQLAlchemy and its drivers into ours."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from domainstream.errors import OutboxError, OutboxUnavailableError
from domainstream.text import described

_MISSING = ("42P01", "3F000", "no such table")  # not "does not exist", which also a missing role or database is
_MISSING_COLUMN = ("42703", "no such column")
_FORBIDDEN = ("42501", "permission denied")
_UNKNOWN = re.compile(r'(database|role) ".*" does not exist')
_RELAY_NEEDS = (
    "the relay needs SELECT and DELETE on the outbox, SELECT, INSERT and UPDATE on its relay table, and, with "
    "archive=True, INSERT on the archive"
)


@contextmanager
def translated_errors(
    table: str, driver_errors: tuple[type[Exception], ...] = (), *, needs: str = _RELAY_NEEDS
) -> Iterator[None]:
    """Raise ours instead of SQLAlchemy's and the driver's, with what to do next.

    `table` is the outbox's, `needs` names the privileges that the work needs.

    Neither statements nor their parameters, which hold messages, are in the error.
    """
    try:
        yield
    except DBAPIError as error:
        raise _translated(error.orig, table, needs) from None
    except driver_errors as error:
        raise _translated(error, table, needs) from None
    except (SQLAlchemyError, OSError) as error:  # TimeoutError is an OSError
        raise OutboxUnavailableError(f"the database does not answer: {described(error)}") from None


@contextmanager
def hidden_parameters(table: str) -> Iterator[None]:
    """Raise `OutboxError` for a table that users have to create or to grant; other errors as they are.

    Users repeat a transaction by the class of its error, such as that of a deadlock. The parameters are taken out,
    because they hold messages.
    """
    try:
        yield
    except DBAPIError as error:
        reason = described(error.orig) if error.orig is not None else type(error).__name__
        text = f"{getattr(error.orig, 'sqlstate', None) or ''} {reason}"
        if any(mark in text for mark in _MISSING + _MISSING_COLUMN):
            raise _incomplete(table, reason) from None
        if any(mark in text for mark in _FORBIDDEN):
            problem = f"the database refuses to store events ({reason.splitlines()[0]})"
            raise OutboxError(f"{problem}; the service needs INSERT on the outbox {table}") from None
        error.hide_parameters, error.params = True, None
        raise


def _incomplete(table: str, reason: str) -> OutboxError:
    hint = "create or migrate its tables: outbox_table(), create_table(), domainstream outbox ddl, manage.py migrate"
    return OutboxError(f"the outbox {table} is not complete ({reason.splitlines()[0]}); {hint}")


def _translated(error: BaseException | None, table: str, needs: str) -> OutboxError:
    reason = "the connection failed" if error is None else described(error)
    code = getattr(error, "sqlstate", None) or ""
    text = f"{code} {reason}"
    if _UNKNOWN.search(text):
        problem = f"the database of the outbox {table} cannot be used ({reason.splitlines()[0]})"
        return OutboxError(f"{problem}; create it, or correct the URL")
    if any(mark in text for mark in _MISSING + _MISSING_COLUMN):
        return _incomplete(table, reason)
    if any(mark in text for mark in _FORBIDDEN):
        return OutboxError(f"the database refuses it ({reason.splitlines()[0]}); {needs}")
    return OutboxUnavailableError(f"the database is not ready: {reason.splitlines()[0]}")
