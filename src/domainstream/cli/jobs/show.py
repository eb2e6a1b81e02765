"""`domainstream jobs show`."""

from dataclasses import dataclass
from typing import Annotated, Final

from domainstream.cli.common.command import BullPrefix, argument
from domainstream.cli.common.server_command import RedisServer, server_command
from domainstream.cli.common.terminal import Terminal, data_fields, data_lines
from domainstream.cli.jobs.choice import chosen_queues, job_in
from domainstream.queue.bullmq.inspection import BullMQInspection, JobState
from domainstream.tools.common.errors import NotFoundError
from domainstream.tools.common.formatting import NONE, age, moment
from domainstream.tools.failures import job_record, own_frames

_NEXT: Final = {
    "completed": "nothing; it is done",
    "active": "it is being handled",
    "wait": "it begins when a worker is free",
    "prioritized": "it begins when a worker is free",
    "paused": "it begins when the queue is resumed",
    "waiting-children": "it begins when the jobs that it waits for have ended",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ShowOptions:
    """The options of `jobs show`."""

    queue: Annotated[str, argument()]
    """The queue."""

    job_id: Annotated[str, argument()]
    """The job's id."""

    bull_prefix: BullPrefix
    """The prefix of all BullMQ keys."""


@server_command(ShowOptions)
async def show(server: RedisServer, terminal: Terminal, options: ShowOptions) -> None:
    """Show a job with its event, its failures, and what follows.

    Of each traceback only the lines of your own code are shown; --json has all of it.
    """
    queue, job_id = options.queue, options.job_id
    inspection = BullMQInspection(server.nodes, bull_prefix=options.bull_prefix)
    job = await job_in(inspection, await chosen_queues(server, inspection, queue, options.bull_prefix), job_id)
    if job is None:
        look = f"domainstream jobs ls {queue} --state all --each"
        raise NotFoundError.of("job", job_id, (), where=f"in {queue} at {server.place}", look=look)
    record, now = job_record(job, traces=job.traces, **data_fields(job.data)), await server.streams.now_ms()
    begun = f"; begun {job.starts} times" if job.starts > job.attempts else ""
    facts = {
        "job": f"{job.name} ({job.job_id})",
        "event": f"{record.event_type} {record.event_id}" if record.event_type else NONE,
        "state": job.state,
        "next": _next(job, now),
        "about": record.aggregate_id or NONE,
        "correlation": record.correlation_id or NONE,
        "added": moment(job.added_ms),
        "last began": NONE if job.started_ms is None else moment(job.started_ms),
        "ended": NONE if job.ended_ms is None else moment(job.ended_ms),
        "attempts": f"{job.attempts} of {job.max_attempts}{begun}",
        "reason": job.failed_reason or NONE,
        "traces": [line for trace in job.traces for line in _summary(trace)] or [NONE],
        "data": data_lines(job.data),
    }
    terminal.facts(record, facts)


def _summary(trace: str) -> list[str]:
    """Return the user's own lines of a trace, and the error."""
    lines = [line for line in trace.strip().splitlines() if line]
    error = lines[-1] if lines and lines[0].startswith("Traceback") else "".join(lines[:1])
    return [error, *(f"  at {frame}" for frame in reversed(own_frames(trace)))]


def _next(job: JobState, now: int) -> str:
    if job.state == "failed":
        return f"nothing; once the cause is fixed, run: domainstream jobs retry {job.queue} {job.job_id}"
    if job.state == "delayed":
        at_once = f"domainstream jobs retry {job.queue} {job.job_id} --state delayed"
        return f"it begins in {age((job.due_ms or now) - now)}; to begin at once, run: {at_once}"
    return _NEXT.get(job.state, "unknown: the queue does not list the job in any state")
