"""`domainstream replay`."""

from dataclasses import dataclass
from typing import Annotated

import click

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.command import BullPrefix, Yes, argument, option
from domainstream.cli.common.durations import Since, StartPoint, entry_id_since
from domainstream.cli.common.server_command import RedisServer, server_command
from domainstream.cli.common.terminal import Terminal, confirm
from domainstream.errors import ServerError
from domainstream.queue.bullmq.inspection import BullMQInspection
from domainstream.queue.job import name_problem
from domainstream.tools.common.formatting import did_you_mean
from domainstream.tools.replay import Replay, ReplayOutcome, replay_events


def _name(_context: click.Context, option: click.Parameter, value: str) -> str:
    problem = name_problem("job" if option.name == "job" else "queue", value)
    if problem:
        raise click.BadParameter(problem)
    return value


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayOptions:
    """The options of `replay`."""

    channel: Annotated[str, argument()]
    """The channel whose events are replayed."""

    since: Annotated[
        StartPoint,
        option("--since", type=Since(), required=True, help="Start at 2h ago, 2026-01-31T12:00, or an entry id."),
    ]
    """Where to start."""

    queue: Annotated[
        str, option("--to", metavar="QUEUE", required=True, callback=_name, help="The queue that gets the jobs.")
    ]
    """The queue that gets the jobs."""

    job: Annotated[str, option("--job", metavar="NAME", required=True, callback=_name, help="The jobs' name.")]
    """The jobs' name."""

    again: Annotated[
        bool, option("--again", is_flag=True, help="Also events that the queue has a job for: they run again.")
    ]
    """Whether events that the queue has a job for get another one."""

    dry_run: Annotated[bool, option("--dry-run", is_flag=True, help="Only report what would be done.")]
    """Whether nothing is added."""

    bull_prefix: BullPrefix
    """The prefix of all BullMQ keys."""

    yes: Yes
    """Whether no confirmation is asked for."""


@server_command(ReplayOptions)
async def replay(server: RedisServer, terminal: Terminal, options: ReplayOptions) -> int:
    """Re-enqueue a channel's events as jobs.

    The jobs go to one queue, after a loss or for a new consumer. Events that the queue still has a job for, even a
    completed one, are skipped unless --again is given. Consumer groups are not changed.

    Exit code 5: some entries can never become a job, or the server rejected a batch.
    """
    await server.require_channel(options.channel)
    plan = await _plan(server, options)
    known = await BullMQInspection(server.client, bull_prefix=plan.bull_prefix).queues()
    if plan.queue not in known:
        terminal.warn(f"The queue {plan.queue} never had a job.{did_you_mean(plan.queue, known)}")
    # The dry run counts the jobs, so that the question can say how many.
    outcome = _outcome(plan, dry_run=True)
    await replay_events(server.client, plan, outcome)
    if options.dry_run or not outcome.added:
        outcome.dry_run = options.dry_run
        return _report(terminal, outcome)
    confirm(f"Add {outcome.added:,} jobs {plan.job} to the queue {plan.queue} at {server.place}?", yes=options.yes)
    outcome = _outcome(plan, dry_run=False)
    try:
        await replay_events(server.client, plan, outcome)
    except ServerError as error:
        if not outcome.added:
            raise
        terminal.warn(str(error))
        _report(terminal, outcome)
        return exits.PARTIAL
    return _report(terminal, outcome)


async def _plan(server: RedisServer, options: ReplayOptions) -> Replay:
    now = await server.streams.now_ms()
    state = await server.streams.stream(options.channel)
    return Replay(
        channel=options.channel,
        since=entry_id_since(options.since, now_ms=now),
        # Entries that are added meanwhile belong to the groups that read them.
        until=state.last_id if state else "0-0",
        queue=options.queue,
        job=options.job,
        prefix=server.prefix,
        bull_prefix=options.bull_prefix,
        mark=f"replay-{now}" if options.again else "",
    )


def _outcome(plan: Replay, *, dry_run: bool) -> ReplayOutcome:
    return ReplayOutcome(channel=plan.channel, queue=plan.queue, job=plan.job, dry_run=dry_run)


def _report(terminal: Terminal, outcome: ReplayOutcome) -> int:
    would = "would be" if outcome.dry_run else "were"
    added = f"{outcome.added:,} of {outcome.events:,} events {would} added to {outcome.queue} as {outcome.job}"
    terminal.line(
        outcome, f"{added}; skipped: {outcome.known:,} already in the queue, {outcome.unreadable:,} unreadable"
    )
    return exits.PARTIAL if outcome.unreadable else exits.OK
