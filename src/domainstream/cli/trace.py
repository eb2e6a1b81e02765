"""`domainstream trace`."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import click

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.command import BullPrefix, DatabaseUrl, SchemaName, TableName, argument, option
from domainstream.cli.common.durations import Duration, Since, StartPoint, entry_id_since
from domainstream.cli.common.server_command import RedisServer, server_command
from domainstream.cli.common.terminal import Columns, Terminal
from domainstream.tools.common.errors import NotFoundError
from domainstream.tools.common.formatting import moment, plural
from domainstream.tools.settled import WaitingEvents, settled_at
from domainstream.tools.timeline import Search, TimelineEntry, timeline_of


@dataclass(frozen=True, kw_only=True, slots=True)
class TraceOptions:
    """The options of `trace`."""

    wanted: Annotated[str, argument(metavar="ID")]
    """The correlation id, the id of any event of the transaction, or the id of an aggregate."""

    since: Annotated[
        StartPoint | None,
        option("--since", type=Since(), help="Look at entries since 2h, 2026-01-31T12:00, or an entry id."),
    ]
    """The first entries to look at; None for all."""

    limit: Annotated[
        int,
        option(
            "--limit",
            type=click.IntRange(min=1),
            default=100_000,
            show_default=True,
            help="How many entries of each stream, and jobs of each queue, are looked at.",
        ),
    ]
    """How many entries of each stream, the newest, and how many jobs of each queue are looked at."""

    all_jobs: Annotated[
        bool,
        option("--all-jobs", is_flag=True, help="Search all jobs, also of events that the streams no longer have."),
    ]
    """Whether all jobs are searched, even if those of the events that were found are known."""

    reasons: Annotated[
        bool, option("--reasons", is_flag=True, help="Show the messages of errors too, which may quote the event.")
    ]
    """Whether the messages of errors are shown."""

    wait: Annotated[
        bool,
        option("--wait", is_flag=True, help="Wait until nothing of this transaction is open."),
    ]
    """Whether the transaction must be settled first."""

    timeout: Annotated[
        timedelta,
        option("--timeout", type=Duration(), default="30s", show_default=True, help="With --wait: how long at most."),
    ]
    """How long is waited."""

    database_url: DatabaseUrl
    """With `wait`: the URL of the database with an outbox; None for none."""

    table: TableName
    """The table of the outbox."""

    schema: SchemaName
    """The table's schema; None for the default one."""

    bull_prefix: BullPrefix
    """The prefix of all BullMQ keys."""


@server_command(TraceOptions)
async def trace(server: RedisServer, terminal: Terminal, options: TraceOptions) -> int:
    """Trace a transaction or an aggregate across streams, dead letters and queues.

    ID is a correlation id, which all events of a business transaction share (by default it is the id of the first one),
    the id of any of its events, or the id of an aggregate. Everything that is still stored about it is listed in the
    order in which it happened; for a job that failed, with the error and the line of your own code.

    Entries are found by the index that publishers keep; a stream that others write to is searched, up to --limit
    entries. Of large queues, the jobs of the events that were found are shown; to search all, add --all-jobs. What is
    past its retention is missing.

    With --wait, ID is a correlation id, and its transaction is shown once nothing of it is open: no row in the outbox
    of --database-url, no entry that a group has not acknowledged, no job that is neither completed nor failed.

    Exit code 1, with --wait: a job has failed permanently, there is a dead letter, or the time is over.
    """
    wanted = options.wanted
    code = await _wait(server, terminal, options) if options.wait else exits.OK
    since = entry_id_since(options.since, now_ms=await server.streams.now_ms())
    searches: list[Search] = []

    async def entries_of(wanted: str) -> list[TimelineEntry]:
        searches.append(Search(wanted, limit=options.limit, report=report, all_jobs=options.all_jobs))
        return await timeline_of(
            server.nodes,
            searches[-1],
            since=since,
            prefix=server.prefix,
            bull_prefix=options.bull_prefix,
            reasons=options.reasons,
        )

    def report(number: int, place: str) -> None:
        terminal.say(f"{number:,} entries and jobs searched, now {place} ...")

    timeline = await entries_of(wanted)
    transactions = {entry.correlation_id for entry in timeline}
    if any(entry.event_id == wanted for entry in timeline) and len(transactions) == 1 and wanted not in transactions:
        (transaction,) = transactions
        terminal.say(f"The event {wanted} belongs to {transaction}:")
        timeline = await entries_of(transaction)
    if cut := searches[-1].cut:
        terminal.warn(f"Only {options.limit:,} were searched of {_some(cut)}. To search more, raise --limit.")
    if not timeline:
        raise NotFoundError(
            f"nothing {server.where}, or in queues below {options.bull_prefix}, belongs to {wanted}. Perhaps its "
            "retention is over. To see recent events with their ids, run: domainstream streams tail CHANNEL"
        )
    terminal.table(timeline, _columns(timeline))
    if wanted not in transactions and all(entry.aggregate_id == wanted for entry in timeline):
        of, last = plural(len(transactions), "transaction"), timeline[-1].correlation_id
        terminal.say(f"{wanted} is an aggregate, with events of {of}; to see the last, run: domainstream trace {last}")
    if unsearched := searches[-1].unsearched:
        terminal.say(
            f"Other jobs in {_some(unsearched)} were not searched, such as those of events "
            "that no stream has any longer. To search them too, add --all-jobs"
        )
    for entry in [entry for entry in timeline if entry.what == "failed"][-1:]:
        terminal.say(f"To see all of the last failure, run: domainstream jobs show {entry.queue} {entry.job_id}")
    return code


async def _wait(server: RedisServer, terminal: Terminal, options: TraceOptions) -> int:
    """Wait until the transaction is settled, and return the exit code."""
    async with AsyncExitStack() as stack:
        outboxes: list[WaitingEvents] = []
        if options.database_url:
            from domainstream.outbox.sql.database import OutboxDatabase

            database = OutboxDatabase.from_url(options.database_url, table=options.table, schema=options.schema)
            stack.push_async_callback(database.close)
            # The variable DATABASE_URL may be that of a service without an outbox.
            if await database.inspection.exists():
                outboxes.append(database.inspection)
        found = await settled_at(
            server, options.wanted, bull_prefix=options.bull_prefix, outboxes=outboxes, timeout=options.timeout
        )
    if found.failed or found.dead_letters:
        failed, dead = plural(len(found.failed), "job"), plural(found.dead_letters, "dead letter")
        terminal.warn(f"{options.wanted} is settled, with {failed} that failed permanently, and {dead}.")
        return exits.FAILED
    return exits.OK


def _some(places: Sequence[str]) -> str:
    return ", ".join(places[:3]) + (", ..." if len(places) > 3 else "")


def _columns(timeline: Sequence[TimelineEntry]) -> Columns:
    began = timeline[0].time_ms
    columns: Columns = {
        "time": lambda entry: moment(entry.time_ms),
        "after#": lambda entry: f"{entry.time_ms - began:,} ms",
        "": lambda entry: entry.what,
        "where": _where,
        "event": lambda entry: entry.event_id,
        "about": lambda entry: entry.aggregate_id,
    }
    if not any(entry.error for entry in timeline):
        return columns
    return {**columns, "error": _error}


def _where(entry: TimelineEntry) -> str:
    if entry.channel:
        return f"{entry.channel} {entry.entry_id}"
    attempt = f", attempt {entry.attempts}" if entry.attempts and entry.attempts > 1 else ""
    return f"queue {entry.queue}: {entry.job}{attempt}"


def _error(entry: TimelineEntry) -> str:
    at = f" at {entry.where}" if entry.where else ""
    message = entry.reason.removeprefix(f"{entry.error}: ")
    return f"{entry.error}{at}" + (f": {message}" if message else "")
