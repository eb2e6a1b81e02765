"""`domainstream outbox discard`."""

from dataclasses import dataclass
from typing import Annotated

import click
from msgspec import Struct

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.command import Yes, option
from domainstream.cli.common.database_command import database_command, next_command
from domainstream.cli.common.terminal import Terminal, confirm
from domainstream.outbox.sql.database import OutboxDatabase
from domainstream.outbox.sql.repair import RowChoice
from domainstream.tools.common.errors import NotFoundError
from domainstream.tools.common.formatting import plural


@dataclass(frozen=True, kw_only=True, slots=True)
class DiscardOptions:
    """The options of `outbox discard`."""

    channel: Annotated[str | None, option("--channel", help="Only events of this channel.")]
    """The channel; None for any."""

    event_ids: Annotated[
        tuple[str, ...], option("--event", metavar="ID", multiple=True, help="Only this event; may be repeated.")
    ]
    """The ids of the events; empty for any."""

    dry_run: Annotated[bool, option("--dry-run", is_flag=True, help="Only report what would be done.")]
    """Whether nothing is deleted."""

    yes: Yes
    """Whether no confirmation is asked for."""


class DiscardOutcome(Struct, frozen=True, kw_only=True):
    """What was discarded, or would be."""

    table: str
    """The table of the outbox."""

    chosen: int
    """How many events were chosen."""

    discarded: int
    """How many of them were deleted; 0 for a dry run."""

    noted: int
    """How many a relay has noted for publishing; they are left alone. 0 for a dry run."""

    dry_run: bool
    """Whether nothing was deleted."""


@database_command(DiscardOptions)
async def discard(database: OutboxDatabase, terminal: Terminal, options: DiscardOptions) -> int:
    """Delete events that are not published yet.

    They are never published: what they say happened stays unknown to other services. Choose them by --channel, by
    --event, or by both. Events that are stored while this waits for confirmation are kept, and those that a relay
    has noted for publishing are left alone.

    Exit code 5: a relay has noted some of them for publishing, or has published them meanwhile.
    """
    if options.channel is None and not options.event_ids:
        raise click.UsageError("say which events: --channel CHANNEL, or --event ID")
    table, choice = database.name, RowChoice(channel=options.channel, event_ids=options.event_ids)
    counted = await database.repair.count(choice)
    if not counted.rows:
        raise await _not_found(database, options)
    words = f"{plural(counted.rows, 'event')} of {table}"
    if options.dry_run:
        outcome = DiscardOutcome(table=table, chosen=counted.rows, discarded=0, noted=0, dry_run=True)
        terminal.line(outcome, f"{words} would be discarded")
        return exits.OK
    confirm(f"Permanently delete {words} at {database.place}? They are never published.", yes=options.yes)
    done = await database.repair.discard(choice, last_id=counted.last_id)
    outcome = DiscardOutcome(table=table, chosen=counted.rows, discarded=done.rows, noted=done.noted, dry_run=False)
    terminal.line(outcome, f"{done.rows:,} of {words} discarded")
    published = counted.rows - done.rows - done.noted
    if done.noted:
        left = f"{plural(done.noted, 'event')} left alone, because a relay has noted them for publishing"
        terminal.warn(f"{left}; once it is done, run again to discard what is left")
    if published > 0:
        terminal.warn(f"{plural(published, 'event')} had been published meanwhile")
    return exits.PARTIAL if done.noted or published > 0 else exits.OK


async def _not_found(database: OutboxDatabase, options: DiscardOptions) -> NotFoundError:
    look = next_command("status")
    if options.event_ids:
        named = ", ".join(options.event_ids[:3])
        return NotFoundError.of("event", named, (), where=f"in {database.name}", look=look)
    known = (await database.inspection.status()).channels
    where = f"with events in {database.name}"
    return NotFoundError.of("channel", str(options.channel), known, where=where, look=look)
