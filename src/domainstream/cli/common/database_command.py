"""Builds a click command from a coroutine function that works on an outbox, and connects it to its database."""

import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click
from click.core import ParameterSource

from domainstream.bootstrap.relay import database_of
from domainstream.cli.common.async_command import SharedOptions, async_command
from domainstream.cli.common.command import DatabaseUrl, SchemaName, TableName
from domainstream.cli.common.terminal import Terminal
from domainstream.errors import ServerNotFoundError
from domainstream.outbox.sql.database import OutboxDatabase

OptionsT = TypeVar("OptionsT")


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseOptions(SharedOptions):
    """The options of every command that connects to the database of an outbox."""

    database_url: DatabaseUrl
    """The database's URL; None if none is configured."""

    table: TableName
    """The name of the table of events."""

    schema: SchemaName
    """The table's schema; None for the default one."""


def database_command(
    options: type[OptionsT],
) -> Callable[[Callable[[OutboxDatabase, Terminal, OptionsT], Awaitable[int | None]]], click.Command]:
    """Make a command that opens the outbox and awaits the function with it, a `Terminal` and its `options`.

    Adds `DatabaseOptions`; the command exits with the code that the function returns.
    """

    def build(work: Callable[[OutboxDatabase, Terminal, OptionsT], Awaitable[int | None]]) -> click.Command:
        return async_command(
            work,
            options,
            DatabaseOptions,
            lambda shared: open_database(shared.database_url, table=shared.table, schema=shared.schema),
        )

    return build


def next_command(name: str) -> str:
    """Return another command of the group of the one that runs, for the same outbox, quoted for a shell."""
    context = click.get_current_context()
    group, _, _ = context.command_path.rpartition(" ")
    words = [name]
    for parameter in ("table", "schema"):
        if context.get_parameter_source(parameter) is ParameterSource.COMMANDLINE:
            words += [f"--{parameter}", context.params[parameter]]
    return f"{group} {shlex.join(words)}"


@asynccontextmanager
async def open_database(url: str | None, *, table: str, schema: str | None) -> AsyncIterator[OutboxDatabase]:
    """Yield the outbox for the duration of a block; raise `ServerNotFoundError` where no database is."""
    database = OutboxDatabase.from_url(database_of(url), table=table, schema=schema)
    try:
        _require_file(database)
        yield database
    finally:
        await database.close()


def _require_file(database: OutboxDatabase) -> None:
    """Raise `ServerNotFoundError` where SQLite has no file yet, which it would create."""
    if database.file is not None and not Path(database.file).exists():
        raise ServerNotFoundError(f"there is no database {database.file}; correct --database-url or DATABASE_URL")
