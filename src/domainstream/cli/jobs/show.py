"""`domainstream jobs show`."""

from dataclasses import dataclass
from typing import Annotated, Final

from domainstream.cli.common.command import BullPrefix, argument
from domainstream.cli.common.server_command import RedisServer, server_command
from domainstream.cli.common.terminal import Terminal, data_fields, data_lines
from domainstream.cli.jobs.choice import chosen_queues, job_in
from domainstream.queue.bullmq.inspection import BullMQInspection, JobState
from domainstream.queue.bullmq.order import BullMQOrder
from domainstream.tools.common.errors import NotFoundError
from domainstream.tools.common.formatting import NONE, age, moment
from domainstream.tools.failures import JobRecord, job_record
from domainstream.tools.traces import own_frames

_NEXT: Final = {
    "completed": "nothing; it is done",
    "active": "it is being handled",
    "wait": "it begins when a worker is free",
    "prioritized": "it begins when a worker is free",
    "paused": "it begins when the queue is resumed",
    "waiting-children": "it begins when the jobs that it waits for have ended",
}

_NEXT_IN_ORDER: Final = "it begins when the job before it is done"
_NEXT_BY_SUBSCRIBER: Final = "it begins when a running subscriber looks after its queue: the job before it was removed"


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
    place = await _order(BullMQOrder(server.nodes, bull_prefix=options.bull_prefix), job)
    record = job_record(job, traces=job.traces, **place, **data_fields(job.data))
    now = await server.streams.now_ms()
    begun = f"; begun {job.starts} times" if job.starts > job.attempts else ""
    facts = {
        "job": f"{job.name} ({job.job_id})",
        "event": f"{record.event_type} {record.event_id}" if record.event_type else NONE,
        "state": job.state,
        "next": _next(record, job, now),
        **_order_facts(record),
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


async def _order(order: BullMQOrder, job: JobState) -> dict[str, str]:
    """Return the fields of the record that say where the job is in its order; none if it has none."""
    place = await order.place_of(job.queue, job.job_id)
    if place is None:
        return {}
    held = (await order.key(job.queue, place.key)).held
    return {
        "order_key": place.key,
        "waits_for": place.waits_for,
        "waits_for_it": place.waits_for_it,
        "held_by": held.job_id if held else "",
    }


def _order_facts(record: JobRecord) -> dict[str, str]:
    if not record.order_key:
        return {}
    held = "" if record.held_by in ("", record.id) else f", which {record.held_by} holds"
    key, before, behind = f"{record.order_key}{held}", record.waits_for, record.waits_for_it
    facts = {"order key": key, "waits for": before, "waited for by": behind}
    return {name: text for name, text in facts.items() if text}


def _next(record: JobRecord, job: JobState, now: int) -> str:
    if job.state == "failed":
        behind = (
            f"; those behind it wait: see domainstream order ls {job.queue}" if record.held_by == job.job_id else ""
        )
        return f"nothing; once the cause is fixed, run: domainstream jobs retry {job.queue} {job.job_id}{behind}"
    if job.state == "delayed":
        at_once = f"domainstream jobs retry {job.queue} {job.job_id} --state delayed"
        return f"it begins in {age((job.due_ms or now) - now)}; to begin at once, run: {at_once}"
    if job.state == "waiting-children" and record.order_key:
        return _NEXT_IN_ORDER if record.waits_for else _NEXT_BY_SUBSCRIBER
    return _NEXT.get(job.state, "unknown: the queue does not list the job in any state")
