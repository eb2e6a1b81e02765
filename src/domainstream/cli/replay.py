"""`domainstream replay`."""

from datetime import datetime, timedelta
from typing import Any

import click

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.confirm import ask
from domainstream.cli.common.durations import Since, entry_id_since
from domainstream.cli.common.options import bull_prefix_option, yes_option
from domainstream.cli.common.redis_server import RedisServer
from domainstream.cli.common.server_command import server_command
from domainstream.cli.common.terminal import Terminal
from domainstream.errors import ServerError
from domainstream.queue.bullmq.inspection import BullMQInspection
from domainstream.queue.names import name_problem
from domainstream.tools.common.suggestions import did_you_mean
from domainstream.tools.replay import Replay, ReplayOutcome, replay_events


def _name(_context: click.Context, option: click.Parameter, value: str) -> str:
    problem = name_problem("job" if option.name == "job" else "queue", value)
    if problem:
        raise click.BadParameter(problem)
    return value


@click.command()
@click.argument("channel")
@click.option("--since", type=Since(), required=True, help="From then on: 2h, 2026-01-31T12:00, or an entry's id.")
@click.option("--to", "queue", metavar="QUEUE", required=True, callback=_name, help="The queue that gets the jobs.")
@click.option("--job", metavar="NAME", required=True, callback=_name, help="What the jobs are called.")
@click.option("--again", is_flag=True, help="Also what the queue has a job of: it is handled once more.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be done.")
@bull_prefix_option
@yes_option
@server_command
async def replay(
    server: RedisServer, terminal: Terminal, *, channel: str, since: timedelta | datetime | str, **rest: Any
) -> int:
    """Make jobs of a channel's events once more, for one queue: after a loss, or for a consumer that is new.

    Events that the queue still has a job of, completed ones included, are passed over, unless --again is there. Groups
    are left as they are. Exit code 5: some entries can never become a job, or the server refused in between.
    """
    await server.require_channel(channel)
    chosen = {name: rest[name] for name in ("queue", "job", "again", "bull_prefix")}
    plan = await _plan(server, channel, since, **chosen)
    await _tell_new_queue(server, terminal, plan)
    outcome = await _counted(server, plan)
    if rest["dry_run"] or not outcome.added:
        outcome.dry_run = rest["dry_run"]
        return _told(terminal, outcome)
    question = f"Add {outcome.added:,} jobs {plan.job} to the queue {plan.queue} at {server.place}?"
    ask(question, yes=rest["yes"])
    outcome = ReplayOutcome(channel=channel, queue=plan.queue, job=plan.job, dry_run=False)
    try:
        await replay_events(server, plan, outcome)
    except ServerError as error:
        if not outcome.added:
            raise
        terminal.warn(str(error))
        _told(terminal, outcome)
        return exits.PARTIAL
    return _told(terminal, outcome)


async def _plan(
    server: RedisServer,
    channel: str,
    since: timedelta | datetime | str,
    *,
    queue: str,
    job: str,
    again: bool,
    bull_prefix: str,
) -> Replay:
    now = await server.streams.now_ms()
    state = await server.streams.stream(channel)
    return Replay(
        channel=channel,
        since=entry_id_since(since, now_ms=now),
        # What comes while we work belongs to the groups that read it.
        until=state.last_id if state else "0-0",
        queue=queue,
        job=job,
        bull_prefix=bull_prefix,
        mark=f"replay-{now}" if again else "",
    )


async def _counted(server: RedisServer, plan: Replay) -> ReplayOutcome:
    outcome = ReplayOutcome(channel=plan.channel, queue=plan.queue, job=plan.job, dry_run=True)
    await replay_events(server, plan, outcome)
    return outcome


async def _tell_new_queue(server: RedisServer, terminal: Terminal, plan: Replay) -> None:
    known = await BullMQInspection(server.client, bull_prefix=plan.bull_prefix).queues()
    if plan.queue not in known:
        terminal.warn(f"The queue {plan.queue} never had a job.{did_you_mean(plan.queue, known)}")


def _told(terminal: Terminal, outcome: ReplayOutcome) -> int:
    would = "would be" if outcome.dry_run else "were"
    words = f"{outcome.added:,} of {outcome.events:,} events {would} added to {outcome.queue} as {outcome.job}"
    passed_over = f"{outcome.known:,} that the queue has, {outcome.unreadable:,} that cannot be read"
    terminal.line(outcome, f"{words}; passed over: {passed_over}")
    return exits.PARTIAL if outcome.unreadable else exits.OK
