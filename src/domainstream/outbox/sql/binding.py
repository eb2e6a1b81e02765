"""Verifies that an event is stored in one transaction with the data that it is about."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine, Insert
from sqlalchemy.exc import UnboundExecutionError
from sqlalchemy.orm import Session

from domainstream.errors import OutboxError
from domainstream.outbox.sql.tables import require_supported

AUTOCOMMIT = "AUTOCOMMIT"
_SAY_WHERE = "say where the outbox is: binds={outbox.table: engine}"


def verify_binding(session: Session, statement: Insert) -> None:
    """Raise `OutboxError` unless it is clear where `statement` goes, and the database can have an outbox.

    A session with one bind is clear. One with several must name the outbox's table among its `binds`, or choose by a
    `get_bind` of its own: a default could commit the event apart from its data.
    """
    try:
        bind = session.get_bind(clause=statement)
    except UnboundExecutionError:
        raise OutboxError(f"the session is not bound to a database for the outbox; {_SAY_WHERE}") from None
    binds: Mapping[Any, Engine | Connection] = getattr(session, "binds", None) or {}
    if binds and statement.table not in binds and type(session).get_bind is Session.get_bind:
        engines = {bind.engine, *(each.engine for each in binds.values())}
        if len(engines) > 1:
            raise OutboxError(f"the session is bound to {len(engines)} databases; {_SAY_WHERE}")
    require_supported(bind.dialect.name)
    options = bind.get_execution_options() | (session.execution_options or {})
    level = options.get("isolation_level", getattr(bind.dialect, "_on_connect_isolation_level", None))
    if level == AUTOCOMMIT:
        raise autocommit_error()


def verify_transaction(connection: Connection) -> None:
    """Raise `OutboxError` for a connection that commits each statement, as SQLAlchemy or the driver was set to."""
    require_supported(connection.dialect.name)
    driver: Any = connection.connection.driver_connection
    if connection.get_execution_options().get("isolation_level") == AUTOCOMMIT:
        raise autocommit_error()
    if connection.dialect.name == "postgresql":
        commits_each = getattr(connection.connection.dbapi_connection, "autocommit", False) is True
    else:
        # Without an isolation level Python's driver begins no transaction by itself; an event hook may have.
        manual = driver.isolation_level is None or getattr(driver, "autocommit", False) is True
        commits_each = manual and not driver.in_transaction
    if commits_each:
        raise autocommit_error()


def autocommit_error() -> OutboxError:
    """Return what is raised for AUTOCOMMIT."""
    return OutboxError(
        "the connection commits each statement by itself (AUTOCOMMIT), so an event could be stored without what it is "
        "about; use a transaction: engine.begin() or session.begin(), without isolation_level='AUTOCOMMIT'"
    )
