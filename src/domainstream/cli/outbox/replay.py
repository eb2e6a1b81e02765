"""`domainstream outbox replay`."""

from dataclasses import dataclass
from typing import Annotated

import click
from msgspec import Struct

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.command import Yes, option
from domainstream.cli.common.database_command import database_command
from domainstream.cli.common.durations import Since, StartPoint, entry_id_since
from domainstream.cli.common.terminal import Terminal, confirm
from domainstream.outbox.sql.archive import SentChoice
from domainstream.outbox.sql.database import OutboxDatabase
from domainstream.tools.common.errors import NotFoundError
from domainstream.tools.common.formatting import plural


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayOptions:
    """The options of `outbox replay`."""

    since: Annotated[
        StartPoint | None,
        option("--since", type=Since(), help="Published since 2h ago, or since 2026-01-31T12:00."),
    ]
    """From when on they were published; None for the oldest."""

    until: Annotated[
        StartPoint | None,
        option("--until", type=Since(), help="Published until 1h ago, or until 2026-01-31T13:00; default: now."),
    ]
    """Until when they were published; None for now."""

    channel: Annotated[str | None, option("--channel", help="Only events of this channel.")]
    """The channel; None for any."""

    event_ids: Annotated[
        tuple[str, ...], option("--event", metavar="ID", multiple=True, help="Only this event; may be repeated.")
    ]
    """The ids of the events; empty for any."""

    dry_run: Annotated[bool, option("--dry-run", is_flag=True, help="Only report what would be done.")]
    """Whether nothing is stored."""

    yes: Yes
    """Whether no confirmation is asked for."""


class ReplayOutcome(Struct, frozen=True, kw_only=True):
    """What was stored again, or would be."""

    table: str
    """The table of the outbox."""

    chosen: int
    """How many events of the archive were chosen."""

    stored: int
    """How many were stored in the outbox again; 0 for a dry run."""

    dry_run: bool
    """Whether nothing was stored."""


@database_command(ReplayOptions)
async def replay(database: OutboxDatabase, terminal: Terminal, options: ReplayOptions) -> int:
    """Publish events of the archive again.

    For streams that have lost entries. It needs a relay that runs with --archive. The events are stored in the outbox
    again, and published after those that it holds. They keep their event ids: a queue that still has an event's job
    skips it, and so does a handler with an inbox; others handle it again. Events that wait in the outbox are left out.
    """
    if options.since is None and not options.event_ids:
        raise click.UsageError("say which events: --since 2h, or --event ID")
    choice = await _choice(database, options)
    table, chosen = database.name, await database.archive.count(choice)
    words = f"{plural(chosen, 'event')} of {table}"
    if not chosen and await database.archive.is_empty():
        raise NotFoundError(
            f"the archive of {table} at {database.place} is empty; to fill it, run the relay with --archive"
        )
    if options.dry_run or not chosen:
        outcome = ReplayOutcome(table=table, chosen=chosen, stored=0, dry_run=options.dry_run)
        terminal.line(outcome, f"{words} would be published again")
        return exits.OK
    risk = "Queues and inboxes that know their ids skip them; other consumers handle them again."
    confirm(f"Publish {words} at {database.place} again? {risk}", yes=options.yes)
    stored = await database.archive.replay(choice)
    outcome = ReplayOutcome(table=table, chosen=chosen, stored=stored, dry_run=False)
    terminal.line(outcome, f"{plural(stored, 'event')} stored in {table} again")
    return exits.OK


async def _choice(database: OutboxDatabase, options: ReplayOptions) -> SentChoice:
    now_ms = await database.archive.now_ms()

    def moment(point: StartPoint | None, default: int) -> int:
        return default if point is None else int(entry_id_since(point, now_ms=now_ms).partition("-")[0])

    return SentChoice(
        since_ms=moment(options.since, 0),
        until_ms=moment(options.until, now_ms),
        channel=options.channel,
        event_ids=options.event_ids,
    )
