"""The connection that a relay keeps, and the statements that it sends to the driver as they are.

A relay asks the same few statements again and again, most often to learn that there is nothing to do. Taking a
connection out of the pool each time, and SQLAlchemy's way from a statement to the driver, cost more than the database
does. SQLAlchemy still opens the connection and writes the statements for the dialect, once each.

Each statement commits by itself or runs in `transaction`, so an idle connection holds neither snapshot nor lock. After
any error the connection is dropped, and the next call opens another one.

A pooler may change the server between transactions. Outside of them only the simple protocol is used, and statements
are prepared only on a connection that reaches its server directly. They are prepared once it is open, before any lock
is taken: between preparing and running a statement asyncpg leaves the server waiting in a state to which none of its
timeouts applies, so a relay that is suspended right there would keep its locks until it wakes up.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from sqlalchemy import TextClause, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_BEGIN: Final = {
    # A snapshot for each statement: numbers that were skipped are judged by what is seen before and after a read.
    "postgresql": "BEGIN ISOLATION LEVEL READ COMMITTED",
    # SQLite would refuse to turn a reader into a writer once another one has written.
    "sqlite": "BEGIN IMMEDIATE",
}

_BACKEND: Final = text("SELECT pg_backend_pid()")

Record = Sequence[Any]
"""The values of a row, in the order of the columns."""


class KeptConnection:
    """One connection to the database of an outbox, opened when it is needed. For one task."""

    def __init__(self, engine: AsyncEngine, statements: Iterable[TextClause], *, seconds: float) -> None:
        """Connect through `engine`; break a connection on which connecting or a transaction takes more than `seconds`.

        What waits on such a connection then fails as it does when the network breaks. One to SQLite is left alone:
        there is no network, and the driver's own timeout ends the wait for another writer.
        `statements` are those that will be run, so that they can be prepared.
        """
        self.errors = driver_errors(engine)
        """What the driver raises."""
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._statements = list(statements)
        self._seconds = seconds
        self._connection: AsyncConnection | None = None
        self._driver: Any = None
        self._is_asyncpg = engine.driver == "asyncpg"
        # Psycopg reads messages as text otherwise, which takes twice the bytes.
        self._options = {"binary": True} if engine.driver == "psycopg" else {}
        self._prepared: dict[str, Any] | None = None
        self._compiled: dict[TextClause, tuple[str, list[str] | None, dict[str, Any]]] = {}

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Run what is inside as one transaction."""
        async with self._guarded():
            await self._driver.execute(_BEGIN[self._engine.dialect.name])
            yield
            await self._driver.execute("COMMIT")

    async def fetch(self, statement: TextClause, **parameters: Any) -> Sequence[Record]:
        """Run a statement within `transaction`, and return its rows; none if it returns none."""
        query, names, preset = self._compile(statement)
        values = preset | parameters
        bound: Any = values if names is None else [values[name] for name in names]
        if self._is_asyncpg:
            return await self._fetch_by_asyncpg(query, bound)
        cursor = await self._driver.execute(query, bound, **self._options)
        return [] if cursor.description is None else await cursor.fetchall()

    async def has_row(self, query: str) -> bool:
        """Return whether a query without parameters finds anything; outside of `transaction`."""
        async with self._guarded():
            found = await self._driver.execute(query)
            if self._is_asyncpg:  # which returns the command tag of the simple protocol
                return bool(found != "SELECT 0")
            return await found.fetchone() is not None

    async def close(self) -> None:
        """Close the connection; the next call opens another one."""
        connection, self._connection, self._driver = self._connection, None, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                await connection.invalidate()
                await connection.close()

    @asynccontextmanager
    async def _guarded(self) -> AsyncIterator[None]:
        """Connect if necessary; close the connection when the time is up or anything fails."""
        try:
            await self._connect()
            watch = asyncio.get_running_loop().call_later(self._seconds, cut, self._driver)
            try:
                yield
            finally:
                watch.cancel()
        except BaseException:
            if self._driver is not None:
                cut(self._driver)
            await self.close()
            raise

    async def _connect(self) -> None:
        if self._connection is None:
            async with asyncio.timeout(self._seconds):
                self._connection = await self._engine.connect()
                self._driver = (await self._connection.get_raw_connection()).driver_connection

                await self._prepare_if_direct()

    async def _prepare_if_direct(self) -> None:
        """Have statements prepared unless a pooler is in between, which shows by a process id that it has made up."""
        self._prepared = None
        if self._engine.dialect.name != "postgresql":
            return
        await self._driver.execute("BEGIN")
        (row,) = await self.fetch(_BACKEND)
        await self._driver.execute("COMMIT")
        known = self._driver.get_server_pid() if self._is_asyncpg else self._driver.info.backend_pid
        if row[0] != known:
            return
        if self._is_asyncpg:
            queries = [self._compile(statement)[0] for statement in self._statements]
            self._prepared = {query: await self._driver.prepare(query) for query in queries}
        else:
            self._driver.prepare_threshold = 0

    async def _fetch_by_asyncpg(self, query: str, parameters: Sequence[Any]) -> Sequence[Record]:
        if self._prepared is None:
            rows: Sequence[Record] = await self._driver.fetch(query, *parameters)
        else:
            rows = await self._prepared[query].fetch(*parameters)
        return rows

    def _compile(self, statement: TextClause) -> tuple[str, list[str] | None, dict[str, Any]]:
        """Return a statement as the driver takes it, the order of its parameters, and those that it brings along."""
        compiled = self._compiled.get(statement)
        if compiled is None:
            made: Any = statement.compile(dialect=self._engine.dialect)
            compiled = self._compiled[statement] = (str(made), made.positiontup, dict(made.params))
        return compiled


def driver_errors(engine: AsyncEngine) -> tuple[type[Exception], ...]:
    """Return what a driver raises that SQLAlchemy does not translate: that of asyncpg also while it connects."""
    dbapi: Any = engine.dialect.loaded_dbapi
    if engine.driver == "asyncpg":
        return (dbapi.asyncpg.PostgresError, dbapi.asyncpg.InterfaceError, dbapi.asyncpg.InternalClientError)
    return (dbapi.Error,)


def cut(driver: Any) -> None:
    """Break a connection at once: a server that hangs does not answer a goodbye."""
    if hasattr(driver, "terminate"):  # asyncpg
        driver.terminate()
    elif hasattr(driver, "pgconn") and not driver.closed:  # psycopg: whatever waits for the socket reads its end
        with suppress(OSError), socket.socket(fileno=os.dup(driver.fileno())) as same:
            same.shutdown(socket.SHUT_RDWR)
