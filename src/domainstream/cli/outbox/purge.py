"""`domainstream outbox purge`."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from msgspec import Struct

from domainstream.cli.common.command import Yes, option
from domainstream.cli.common.database_command import database_command
from domainstream.cli.common.durations import Duration
from domainstream.cli.common.terminal import Terminal, confirm
from domainstream.outbox.sql.database import OutboxDatabase
from domainstream.tools.common.formatting import age, plural


@dataclass(frozen=True, kw_only=True, slots=True)
class PurgeOptions:
    """The options of `outbox purge`."""

    older_than: Annotated[
        timedelta, option("--older-than", type=Duration(), required=True, help="Published longer ago, such as 30d.")
    ]
    """How long ago they were published."""

    yes: Yes
    """Whether no confirmation is asked for."""


class PurgeOutcome(Struct, frozen=True, kw_only=True):
    """The result of a purge."""

    table: str
    """The table of the outbox."""

    purged: int
    """How many archived events were deleted."""


@database_command(PurgeOptions)
async def purge(database: OutboxDatabase, terminal: Terminal, options: PurgeOptions) -> None:
    """Delete old events from the archive.

    Afterwards they cannot be replayed. The outbox itself is left alone: its relay deletes what is published.
    """
    table = database.name
    old = age(round(options.older_than.total_seconds() * 1000))
    counted = plural(await database.archive.count_older(options.older_than), "event")
    archive = f"the archive of {table} at {database.place}"
    confirm(f"Permanently delete {counted} that {archive} has had for more than {old}?", yes=options.yes)
    purged = await database.archive.purge(options.older_than)
    terminal.line(
        PurgeOutcome(table=table, purged=purged), f"{plural(purged, 'event')} deleted from the archive of {table}"
    )
