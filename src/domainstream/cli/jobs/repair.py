"""`domainstream jobs retry` and `domainstream jobs rm`."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import click
from msgspec import Struct

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.command import Yes, argument, option
from domainstream.cli.common.server_command import RedisServer, server_command
from domainstream.cli.common.terminal import Terminal, confirm
from domainstream.cli.jobs.choice import JobChoice, open_queue
from domainstream.queue.bullmq.repair import BullMQRepair
from domainstream.tools.common.errors import NotFoundError
from domainstream.tools.common.formatting import plural

Action = Callable[[str, Sequence[str]], Awaitable[int]]
"""Changes the jobs of a queue that have these ids, and returns how many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RepairOptions(JobChoice):
    """The options of `jobs retry` and `jobs rm`."""

    job_ids: Annotated[tuple[str, ...], argument(nargs=-1, metavar="[ID]...")]
    """The ids of the jobs; empty to choose them by the other options."""

    all: Annotated[bool, option("--all", is_flag=True, help="All jobs in the state.")]
    """Whether all jobs in the state are meant."""

    state: Annotated[
        str,
        option(
            "--state",
            type=click.Choice(("failed", "delayed")),
            default="failed",
            show_default=True,
            help="The state of the jobs.",
        ),
    ]
    """The state of the jobs."""

    dry_run: Annotated[bool, option("--dry-run", is_flag=True, help="Only report what would be done.")]
    """Whether nothing is changed."""

    yes: Yes
    """Whether no confirmation is asked for."""


class RepairOutcome(Struct, frozen=True, kw_only=True):
    """What was done, or would be."""

    queue: str
    """The queue's name."""

    done: str
    """`retried` or `removed`."""

    chosen: int
    """How many jobs were chosen."""

    changed: int
    """How many of them were changed; the others had changed their state meanwhile. 0 for a dry run."""

    dry_run: bool
    """Whether nothing was changed."""


@server_command(RepairOptions)
async def retry(server: RedisServer, terminal: Terminal, options: RepairOptions) -> int:
    """Start failed jobs again, or delayed jobs now.

    Fix the cause first. Name the jobs, or choose them with --error, --job, --since, --key or --all. Failed jobs get all
    their attempts again; delayed jobs keep those that they have left. The event of a job cannot be edited, because an
    event is a fact that others have read too: publish a correction instead.

    Exit code 5: some of the jobs that were named had changed their state.
    """
    repair = BullMQRepair(server.nodes, bull_prefix=options.bull_prefix)
    action = repair.retry if options.state == "failed" else repair.promote
    return await _repair(server, terminal, options, action, "retried", "Retry")


@server_command(RepairOptions)
async def rm(server: RedisServer, terminal: Terminal, options: RepairOptions) -> int:
    """Delete jobs permanently.

    Name the jobs, or choose them with --error, --job, --since, --key or --all. Their events stay in their streams, for
    as long as those keep them.

    Exit code 5: some of the jobs that were named had changed their state.
    """
    repair = BullMQRepair(server.nodes, bull_prefix=options.bull_prefix)
    # The question may be answered long after the jobs were chosen: those that have begun again meanwhile must stay.
    action = repair.remove_failed if options.state == "failed" else repair.remove_delayed
    return await _repair(server, terminal, options, action, "removed", "Permanently delete")


async def _repair(
    server: RedisServer, terminal: Terminal, options: RepairOptions, action: Action, done: str, question: str
) -> int:
    queue, chosen = options.queue, await _chosen(server, options)
    count = sum(map(len, chosen.values()))
    words = f"{plural(count, f'{options.state} job')} of {queue}"
    if options.dry_run:
        outcome = RepairOutcome(queue=queue, done=done, chosen=count, changed=0, dry_run=True)
        terminal.line(outcome, f"{words} would be {done}")
        return exits.OK
    if count:
        confirm(f"{question} {words} at {server.place}?", yes=options.yes)
    changed = sum([await action(each, job_ids) for each, job_ids in chosen.items()])
    outcome = RepairOutcome(queue=queue, done=done, chosen=count, changed=changed, dry_run=False)
    terminal.line(outcome, f"{changed:,} of {words} {done}")
    if changed < count:
        terminal.warn(f"{plural(count - changed, 'job')} had changed their state meanwhile")
    # Of jobs chosen by what they have in common, it does not matter which of them began by themselves.
    return exits.PARTIAL if options.job_ids and changed < count else exits.OK


async def _chosen(server: RedisServer, options: RepairOptions) -> dict[str, list[str]]:
    """Return the ids of the chosen jobs, by their BullMQ queue.

    Raises a usage error for no choice or a contradictory one.
    """
    filters = (options.error, options.job, options.since, options.key)
    filtered = any(value is not None for value in filters)
    if sum((bool(options.job_ids), filtered, options.all)) != 1:
        raise click.UsageError("name the jobs, or choose them with --error, --job, --since and --key, or add: --all")
    queue = await open_queue(server, options)
    chosen: dict[str, list[str]] = {}
    if not options.job_ids:
        async for job in queue.chosen(options.state):
            chosen.setdefault(job.queue, []).append(job.job_id)
        return chosen
    missing = []
    for job_id in dict.fromkeys(options.job_ids):
        named = await queue.job(job_id)
        if named is not None and named.state == options.state:
            chosen.setdefault(named.queue, []).append(job_id)
        else:
            missing.append(job_id)
    if missing:
        where = f"with the state {options.state} in {options.queue} at {server.place}"
        look = f"domainstream jobs ls {options.queue} --state {options.state} --each"
        raise NotFoundError.of("job", ", ".join(missing[:3]), (), where=where, look=look)
    return chosen
