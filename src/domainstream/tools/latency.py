"""How long events took until they were handled, by the times in the newest jobs that have ended."""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from domainstream.queue.bullmq.inspection import PAGE, BullMQInspection, JobState
from domainstream.tools.common.percentiles import percentile
from domainstream.tools.failures import message_of

ENDED: Final = ("completed", "failed")
"""The states of jobs that have ended."""


class Percentiles(Struct, frozen=True, kw_only=True):
    """Three percentiles of a time in milliseconds; each is None if no job says it."""

    p50: float | None
    """What half of the jobs did not exceed."""

    p95: float | None
    """What 95 % of the jobs did not exceed."""

    p99: float | None
    """What 99 % of the jobs did not exceed."""

    @classmethod
    def of(cls, values: Sequence[float]) -> "Percentiles":
        """Return the percentiles of these values."""
        p50, p95, p99 = (percentile(values, percent) for percent in (50, 95, 99))
        return cls(p50=p50, p95=p95, p99=p99)


class JobTimes(Struct, frozen=True, kw_only=True):
    """The times of one job that has ended, in milliseconds since 1970."""

    queue: str
    """Its queue."""

    job: str
    """Its name."""

    state: str
    """`completed` or `failed`."""

    occurred_ms: int | None
    """When its event occurred; None for data that is not an event."""

    added_ms: int
    """When it was added to the queue."""

    started_ms: int
    """When its last attempt began."""

    ended_ms: int
    """When its last attempt ended."""


class HandlerLatency(Struct, frozen=True, kw_only=True):
    """How long the jobs of one name in one queue took."""

    queue: str
    """The queue."""

    job: str
    """The jobs' name."""

    completed: int
    """How many completed jobs were read."""

    failed: int
    """How many failed jobs were read."""

    total: Percentiles
    """From the event until its last attempt ended."""

    to_queue: Percentiles
    """From the event until its job was added."""

    to_start: Percentiles
    """From then until its last attempt began: earlier attempts are part of it."""

    handling: Percentiles
    """What the last attempt took."""

    oldest_ms: int
    """When the first of these jobs ended, in milliseconds since 1970."""


async def read_latency(jobs: BullMQInspection, queues: Iterable[str], *, most: int) -> list[HandlerLatency]:
    """Return the latency of each handler by the newest `most` completed and as many failed jobs of each queue."""
    times: list[JobTimes] = []
    for queue in queues:
        for state in ENDED:
            times += [each for job in await _newest(jobs, queue, state, most) if (each := times_of(job))]
    return latencies_of(times)


def times_of(job: JobState) -> JobTimes | None:
    """Return the times of a job; None if it does not say when it began and ended."""
    if job.started_ms is None or job.ended_ms is None:
        return None
    message = message_of(job)
    return JobTimes(
        queue=job.queue,
        job=job.name,
        state=job.state,
        occurred_ms=round(message.time.timestamp() * 1000) if message else None,
        added_ms=job.added_ms,
        started_ms=job.started_ms,
        ended_ms=job.ended_ms,
    )


def latencies_of(times: Iterable[JobTimes]) -> list[HandlerLatency]:
    """Return the latency of each handler, the slowest first by the 95th percentile of the whole."""
    handlers: dict[tuple[str, str], list[JobTimes]] = {}
    for each in times:
        handlers.setdefault((each.queue, each.job), []).append(each)
    found = [_latency(queue, job, own) for (queue, job), own in handlers.items()]
    return sorted(found, key=lambda one: (-(one.total.p95 or 0), one.queue, one.job))


def _latency(queue: str, job: str, times: Sequence[JobTimes]) -> HandlerLatency:
    # The clocks of publishers, subscribers and workers differ; a difference below zero is theirs.
    events = [(each, each.occurred_ms) for each in times if each.occurred_ms is not None]
    failed = sum(each.state == "failed" for each in times)
    return HandlerLatency(
        queue=queue,
        job=job,
        completed=len(times) - failed,
        failed=failed,
        total=Percentiles.of([max(0, each.ended_ms - occurred) for each, occurred in events]),
        to_queue=Percentiles.of([max(0, each.added_ms - occurred) for each, occurred in events]),
        to_start=Percentiles.of([max(0, each.started_ms - each.added_ms) for each in times]),
        handling=Percentiles.of([max(0, each.ended_ms - each.started_ms) for each in times]),
        oldest_ms=min(each.ended_ms for each in times),
    )


async def _newest(jobs: BullMQInspection, queue: str, state: str, most: int) -> list[JobState]:
    found: list[JobState] = []
    while len(found) < most:
        count = min(PAGE, most - len(found))
        found += (page := await jobs.newest(queue, state, start=len(found), count=count))
        if len(page) < count:
            break
    return found
