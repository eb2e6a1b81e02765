"""Opens the database of an outbox for its relay, and prepares SQLite for programs that share it."""

from importlib.util import find_spec
from typing import Any, Final

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from domainstream.errors import ConfigurationError
from domainstream.outbox.sql.tables import require_supported

CONNECT_TIMEOUT: Final = 5
"""Seconds until a connection is given up."""

RELAY_APPLICATION: Final = "domainstream-relay"
"""How PostgreSQL's `pg_stat_activity` shows the connections."""

_DRIVERS: Final = {"postgresql": ("asyncpg", "psycopg"), "sqlite": ("aiosqlite",)}
_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "asyncpg": {
        "timeout": CONNECT_TIMEOUT,
        # What has a name on one server does not exist on the next one that a pooler chooses. No cache, no names.
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": str,
    },
    "psycopg": {"connect_timeout": CONNECT_TIMEOUT, "prepare_threshold": None},
    "aiosqlite": {"timeout": CONNECT_TIMEOUT},
}


def open_engine(url: str, *, application: str = RELAY_APPLICATION) -> AsyncEngine:
    """Return an engine for a URL of SQLAlchemy or libpq, such as `postgresql://user@host/database`.

    PostgreSQL shows its connections as those of `application`. A URL for a driver that cannot await gets one that can:
    asyncpg or psycopg 3 for PostgreSQL, aiosqlite for SQLite.
    Raises `ConfigurationError` for an invalid URL and where no such driver is installed, `OutboxError` for a database
    that is not supported.
    """
    parts = _parsed(url)
    backend = parts.get_backend_name()
    if backend == "postgres":  # as libpq and many hosts write it
        backend = "postgresql"
    require_supported(backend)
    drivers = _DRIVERS[backend]
    named = parts.drivername.partition("+")[2]
    driver = named if named in drivers and find_spec(named) else next(filter(find_spec, drivers), None)
    if driver is None:
        raise ConfigurationError(
            "The database URL cannot be used:", [f"no driver is installed; run: pip install {drivers[0]}"]
        )
    # One connection for the relay's turns, and one to listen for commits.
    pool: dict[str, Any] = {} if backend == "sqlite" else {"pool_size": 2, "max_overflow": 0}
    options = dict(_OPTIONS[driver])
    if driver == "asyncpg":
        options["server_settings"] = {"application_name": application}
    elif driver == "psycopg":
        options["application_name"] = application
    return create_async_engine(parts.set(drivername=f"{backend}+{driver}"), connect_args=options, **pool)


def begin_immediate(engine: Engine | AsyncEngine) -> None:
    """Let each transaction of a SQLite engine begin as a writer, and wait for others; other databases need nothing.

    Python's driver begins a transaction at its first change only, so what it has read before may be out of date, and
    the change of another process is lost. A plain BEGIN fails instead, at once, whatever the timeout. Savepoints have
    no transaction around them either. Call this right after creating the engine; it applies to new connections.
    """
    sync_engine = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    if sync_engine.dialect.name != "sqlite":
        return

    def leave_begin_to_sqlalchemy(connection: Any, _record: Any) -> None:
        connection.isolation_level = None

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(sync_engine, "connect", leave_begin_to_sqlalchemy)
    event.listen(sync_engine, "begin", begin)


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        problem = "it is not a URL; write postgresql://user:password@host:5432/database or sqlite:///file.db"
        raise ConfigurationError("The database URL cannot be used:", [problem]) from None
