"""`domainstream trace`."""

from dataclasses import dataclass
from typing import Annotated

from domainstream.cli.common.command import BullPrefix, argument, option
from domainstream.cli.common.durations import Since, StartPoint, entry_id_since
from domainstream.cli.common.server_command import RedisServer, server_command
from domainstream.cli.common.terminal import Columns, Terminal
from domainstream.tools.common.errors import NotFoundError
from domainstream.tools.common.formatting import moment
from domainstream.tools.timeline import TimelineEntry, timeline_of


@dataclass(frozen=True, kw_only=True, slots=True)
class TraceOptions:
    """The options of `trace`."""

    correlation_id: Annotated[str, argument()]
    """The correlation id, or the id of any event of the transaction."""

    since: Annotated[
        StartPoint | None,
        option("--since", type=Since(), help="Look at entries since 2h, 2026-01-31T12:00, or an entry id."),
    ]
    """The first entries to look at; None for all."""

    bull_prefix: BullPrefix
    """The prefix of all BullMQ keys."""


@server_command(TraceOptions)
async def trace(server: RedisServer, terminal: Terminal, options: TraceOptions) -> None:
    """Trace a correlation id across streams, dead letters and queues.

    Everything that is still stored about the business transaction is listed in the order in which it happened.
    CORRELATION_ID is shared by all events of the transaction; by default it is the id of the first one. The id of any
    of its events works too. Entries and jobs past their retention are missing.
    """
    meant = options.correlation_id
    since = entry_id_since(options.since, now_ms=await server.streams.now_ms())

    async def entries_of(correlation_id: str) -> list[TimelineEntry]:
        return await timeline_of(
            server.client, correlation_id, since=since, prefix=server.prefix, bull_prefix=options.bull_prefix
        )

    timeline = await entries_of(meant)
    transactions = {entry.correlation_id for entry in timeline}
    if len(transactions) == 1 and meant not in transactions:
        (transaction,) = transactions
        terminal.say(f"The event {meant} belongs to {transaction}:")
        timeline = await entries_of(transaction)
    if not timeline:
        raise NotFoundError(
            f"nothing {server.where}, or in queues below {options.bull_prefix}, belongs to {meant}. Perhaps its "
            "retention is over. To see recent events with their ids, run: domainstream streams tail CHANNEL"
        )
    began = timeline[0].time_ms
    columns: Columns = {
        "time": lambda entry: moment(entry.time_ms),
        "after#": lambda entry: f"{entry.time_ms - began:,} ms",
        "": lambda entry: entry.what,
        "where": _where,
        "event": lambda entry: entry.event_id,
        "about": lambda entry: entry.aggregate_id,
    }
    terminal.table(timeline, columns)


def _where(entry: TimelineEntry) -> str:
    if entry.channel:
        return f"{entry.channel} {entry.entry_id}"
    attempt = f", attempt {entry.attempts}" if entry.attempts and entry.attempts > 1 else ""
    return f"queue {entry.queue}: {entry.job}{attempt}"
