"""`domainstream jobs retry` and `domainstream jobs rm`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import click
from msgspec import Struct

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.command import Yes, argument, option
from domainstream.cli.common.server_command import RedisServer, server_command
from domainstream.cli.common.terminal import Terminal, confirm
from domainstream.cli.jobs.choice import JobChoice, QueueJobs, open_queue
from domainstream.queue.bullmq.inspection import JobState
from domainstream.queue.bullmq.repair import BullMQRepair
from domainstream.tools.common.errors import NotFoundError
from domainstream.tools.common.formatting import plural


@dataclass(frozen=True, kw_only=True, slots=True)
class RepairOptions(JobChoice):
    """The options of `jobs retry` and `jobs rm`."""

    job_ids: Annotated[tuple[str, ...], argument(nargs=-1, metavar="[ID]...")]
    """The ids of the jobs; empty to choose them by the other options."""

    all: Annotated[bool, option("--all", is_flag=True, help="All jobs in the state.")]
    """Whether all jobs in the state are meant."""

    state: Annotated[
        str,
        option("--state", type=click.Choice(("failed", "delayed")), default="failed", show_default=True),
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
    event is a fact that others have read too: publish a correction instead. Exit code 5: some jobs had changed their
    state.
    """
    jobs = await _chosen(server, options)
    repair = BullMQRepair(server.client, bull_prefix=options.bull_prefix)
    return await _repair(server, terminal, options, jobs, "retried", "Retry")


@server_command(RepairOptions)
async def rm(server: RedisServer, terminal: Terminal, options: RepairOptions) -> int:
    """Delete jobs permanently.

    Name the jobs, or choose them with --error, --job, --since, --key or --all. Their events stay in their streams, for
    as long as those keep them. Exit code 5: some jobs had changed their state.
    """
    jobs = await _chosen(server, options)
    return await _repair(server, terminal, options, jobs, "removed", "Permanently delete")
