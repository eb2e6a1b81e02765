"""`domainstream trace`."""

from datetime import datetime, timedelta

import click

from domainstream.cli.common.durations import Since, entry_id_since
from domainstream.cli.common.errors import NotFoundError
from domainstream.cli.common.formatting import moment, printable
from domainstream.cli.common.options import bull_prefix_option
from domainstream.cli.common.redis_server import RedisServer
from domainstream.cli.common.server_command import server_command
from domainstream.cli.common.tables import Columns
from domainstream.cli.common.terminal import Terminal
from domainstream.tools.timeline import Step, story_of


@click.command()
@click.argument("correlation_id")
@click.option("--since", type=Since(), help="Look at entries from then on: 2h, 2026-01-31T12:00, or an entry's id.")
@bull_prefix_option
@server_command
async def trace(
    server: RedisServer,
    terminal: Terminal,
    *,
    correlation_id: str,
    since: timedelta | datetime | str | None,
    bull_prefix: str,
) -> None:
    """Tell the whole story of a business transaction across channels, dead letters and queues, ordered by time.

    CORRELATION_ID is what its events share, which is the id of the first of them where nobody chose another; the id of
    any of its events will do too. What streams and queues do not keep any more is not told.
    """
    start = entry_id_since(since, now_ms=await server.streams.now_ms())
    steps = await story_of(server, correlation_id, since=start, bull_prefix=bull_prefix)
    transactions = {step.correlation_id for step in steps}
    if len(transactions) == 1 and correlation_id not in transactions:
        (meant,) = transactions
        terminal.say(f"The event {correlation_id} belongs to {printable(meant)}:")
        steps = await story_of(server, meant, since=start, bull_prefix=bull_prefix)
    if not steps:
        raise NotFoundError(
            f"nothing {server.where}, or in queues below {bull_prefix}, belongs to {correlation_id}. Perhaps its "
            "retention is over. To see recent events with their ids, type: domainstream streams tail CHANNEL"
        )
    began = steps[0].time_ms
    columns: Columns = {
        "time": lambda step: moment(step.time_ms),
        "after#": lambda step: f"{step.time_ms - began:,} ms",
        "": lambda step: step.what,
        "where": _where,
        "event": lambda step: printable(step.event_id),
        "about": lambda step: printable(step.aggregate_id),
    }
    terminal.table(steps, columns)


def _where(step: Step) -> str:
    if step.channel:
        return printable(f"{step.channel} {step.entry_id}")
    tries = f", try {step.attempts}" if step.attempts and step.attempts > 1 else ""
    return printable(f"queue {step.queue}: {step.job}{tries}")
