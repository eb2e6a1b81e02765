"""`domainstream outbox ddl`."""

from dataclasses import dataclass
from typing import Annotated

import click
from msgspec import Struct

from domainstream.cli.common.command import Debug, SchemaName, TableName, local_command, option
from domainstream.cli.common.terminal import Terminal
from domainstream.outbox.sql.tables import DIALECTS
from domainstream.outbox.sql.tables import ddl as ddl_of


@dataclass(frozen=True, kw_only=True, slots=True)
class DdlOptions:
    """The options of `outbox ddl`."""

    dialect: Annotated[
        str, option("--dialect", type=click.Choice(DIALECTS), required=True, help="The database that runs the SQL.")
    ]
    """`postgresql` or `sqlite`."""

    table: TableName
    """The name of the table of events."""

    schema: SchemaName
    """The table's schema; None for the default one."""

    as_json: Annotated[bool, option("--json", is_flag=True, help="Write the SQL as a JSON object.")]
    """Whether the SQL is a JSON object."""

    debug: Debug
    """Whether an error shows its traceback."""


class DdlRecord(Struct, frozen=True, kw_only=True):
    """The statements, as `--json` writes them."""

    dialect: str
    """`postgresql` or `sqlite`."""

    sql: str
    """The statements, each ended by a semicolon."""


@local_command(DdlOptions)
def ddl(terminal: Terminal, options: DdlOptions) -> None:
    """Print the SQL that creates an outbox's tables.

    For migrations that are written in SQL. The tables are that of the events, that of the relay, and the archive, which
    stays empty unless the relay runs with --archive.
    """
    sql = ddl_of(options.dialect, name=options.table, schema=options.schema)
    if options.as_json:
        terminal.json(DdlRecord(dialect=options.dialect, sql=sql))
    else:
        terminal.text(sql)
