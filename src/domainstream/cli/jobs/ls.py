"""`domainstream jobs ls`."""

from dataclasses import dataclass
from typing import Annotated

import click

from domainstream.cli.common.command import option
from domainstream.cli.common.server_command import RedisServer, server_command
from domainstream.cli.common.terminal import Columns, Terminal
from domainstream.cli.jobs.choice import STATES_OF, JobChoice, open_queue
from domainstream.tools.common.formatting import NONE, age, number, plural
from domainstream.tools.failures import Causes, Newest


@dataclass(frozen=True, kw_only=True, slots=True)
class LsOptions(JobChoice):
    """The options of `jobs ls`."""

    states: Annotated[
        tuple[str, ...],
        option(
            "--state",
            multiple=True,
            type=click.Choice(tuple(STATES_OF)),
            default=("failed", "delayed"),
            show_default="failed and delayed",
            help="Only jobs in this state; may be repeated.",
        ),
    ]
    """The states of the jobs."""

    each: Annotated[bool, option("--each", is_flag=True, help="List every job with its id, not one line per cause.")]
    """Whether jobs are listed one by one."""

    count: Annotated[
        int,
        option(
            "--count", type=click.IntRange(min=1), default=100, show_default=True, help="With --each: list this many."
        ),
    ]
    """How many jobs are listed one by one."""


@server_command(LsOptions)
async def ls(server: RedisServer, terminal: Terminal, options: LsOptions) -> None:
    """List the jobs of a queue, grouped by what failed and where.

    A line is a cause: the state and name of the jobs, the type of their last error, and the innermost line of your own
    code in its traceback. The id in the last column is an example for `domainstream jobs show`. Without --state these
    are the jobs that failed permanently, and those that wait for another attempt.
    """
    queue, causes, newest, jobs = await open_queue(server, options), Causes(), Newest(options.count), 0
    async for job in queue.chosen(*options.states):
        (newest if options.each else causes).add(job)
        jobs += 1
    now = await server.streams.now_ms()
    if not jobs:
        terminal.say(f"No job of {options.queue} is {' or '.join(options.states)} and matches.")
    elif options.each:
        terminal.table(newest.records(), _jobs(now))
        if jobs > options.count:
            terminal.say(f"the last {options.count:,} of {plural(jobs, 'job')}; for more, add: --count {jobs}")
    else:
        terminal.table(causes.largest_first(), _groups(now))
        terminal.say(f"{plural(jobs, 'job')}; to see one, run: domainstream jobs show {options.queue} ID")


def _groups(now: int) -> Columns:
    return {
        "jobs#": lambda group: number(group.jobs),
        "state": lambda group: group.state,
        "job": lambda group: group.job,
        "error": lambda group: group.error or NONE,
        "where": lambda group: group.where or NONE,
        "first": lambda group: age(now - group.first_ms),
        "last": lambda group: age(now - group.last_ms),
        "example": lambda group: group.example,
    }


def _jobs(now: int) -> Columns:
    return {
        "id": lambda job: job.id,
        "state": lambda job: job.state,
        "job": lambda job: job.name,
        "about": lambda job: job.aggregate_id or NONE,
        "attempts#": lambda job: f"{job.attempts}/{job.max_attempts}",
        "error": lambda job: job.error or NONE,
        "last": lambda job: age(now - job.last_ms),
    }
