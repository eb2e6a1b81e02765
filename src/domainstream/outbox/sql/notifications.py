"""Listens to PostgreSQL's notifications of committed events, which an `Outbox` sends that has `notify=True`.

A listener needs a connection of its own that stays with one process of the server: a pooler that changes it between
transactions delivers no notifications, and the relay finds the rows when its pause is over.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import Any, Final

from sqlalchemy import Table
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from domainstream.errors import ConfigurationError
from domainstream.outbox.sql.connection import cut, driver_errors
from domainstream.retrying import LoggedBackoff
from domainstream.telemetry import Signal, emit
from domainstream.text import described

CHECK_EVERY: Final = 30.0
"""Seconds without a notification after which the connection is checked."""

ANSWER_TIMEOUT: Final = 10.0
"""Seconds until a connection that does not answer is given up."""


class NotificationListener:
    """Hears of events that are committed to one outbox. Implements `CommitListener`."""

    def __init__(self, engine: AsyncEngine, table: Table) -> None:
        """Listen through a connection of `engine`, which the caller disposes of.

        Raises `ConfigurationError` for a database without notifications.
        """
        if engine.dialect.name != "postgresql":
            problem = f'only PostgreSQL has notifications, not {engine.dialect.name}; use wake="poll", the default'
            raise ConfigurationError("RelaySettings cannot be used:", [problem])
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._channel = table.name  # as `insert_rows` notifies it

    async def listen(self, on_commit: Callable[[], None]) -> None:
        """Call `on_commit` after commits until cancelled; see `CommitListener.listen`."""
        backoff = LoggedBackoff(
            lambda pause, error: emit(Signal.OUTBOX_LISTENING_LOST, pause_s=round(pause, 3), reason=error)
        )
        failures: tuple[type[Exception], ...] = (SQLAlchemyError, OSError, *driver_errors(self._engine))
        while True:
            try:
                await self._listen_on_one_connection(on_commit, backoff)
            except failures as error:  # TimeoutError is an OSError
                await backoff.pause(ConnectionError(described(error).partition("\n")[0]))

    async def _listen_on_one_connection(self, on_commit: Callable[[], None], backoff: LoggedBackoff) -> None:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            connection = await self._engine.connect()
        driver: Any = None
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                driver = (await connection.get_raw_connection()).driver_connection
                lost = asyncio.Event()
                if hasattr(driver, "add_listener"):  # asyncpg
                    driver.add_termination_listener(lambda _: lost.set())
                    await driver.add_listener(self._channel, lambda *_: on_commit())
                else:
                    await driver.execute(f'LISTEN "{self._channel.replace(chr(34), chr(34) * 2)}"')
            backoff.reset()
            on_commit()  # whatever was committed before the server listened
            while True:
                await _hear(driver, lost, on_commit)
                async with asyncio.timeout(ANSWER_TIMEOUT):
                    await driver.execute("SELECT 1")
        finally:
            if driver is not None:
                cut(driver)
            with suppress(SQLAlchemyError):
                await connection.invalidate()
                await connection.close()


async def _hear(driver: Any, lost: asyncio.Event, on_commit: Callable[[], None]) -> None:
    """Listen until the connection has to be checked. Raises `ConnectionError` when asyncpg has lost it."""
    if hasattr(driver, "notifies"):  # psycopg
        async with aclosing(driver.notifies(timeout=CHECK_EVERY)) as notifications:
            async for _ in notifications:
                on_commit()
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(CHECK_EVERY):
            await lost.wait()
        raise ConnectionError("the database has closed the connection")
