"""What the commands on jobs share: the queue, its states, and the choice of jobs."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Final

from domainstream.cli.common.command import BullPrefix, argument, option
from domainstream.cli.common.durations import Duration
from domainstream.cli.common.server_command import RedisServer
from domainstream.queue.bullmq.inspection import STATES, BullMQInspection, JobState
from domainstream.tools.common.errors import NotFoundError
from domainstream.tools.failures import JobFilter

STATES_OF: Final = {
    "failed": ("failed",),
    "delayed": ("delayed",),
    "waiting": ("wait", "paused", "prioritized"),
    "active": ("active",),
    "completed": ("completed",),
    "all": STATES,
}
"""BullMQ's states by the words of `--state`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobChoice:
    """The options that choose jobs of a queue."""

    queue: Annotated[str, argument()]
    """The queue."""

    error: Annotated[str | None, option("--error", metavar="TYPE", help="Only jobs whose last error has this type.")]
    """The type of their last error; None for any."""

    job: Annotated[str | None, option("--job", metavar="NAME", help="Only jobs of this name.")]
    """Their name; None for any."""

    since: Annotated[
        timedelta | None, option("--since", type=Duration(), help="Only jobs that failed in this time, such as 2h.")
    ]
    """How long ago they failed, began or were added at the most; None for any time."""

    key: Annotated[str | None, option("--key", metavar="AGGREGATE", help="Only jobs about this aggregate.")]
    """The id of the aggregate that their events are about; None for any."""

    bull_prefix: BullPrefix
    """The prefix of all BullMQ keys."""


class QueueJobs:
    """The queue of a choice, and which of its jobs are meant."""

    def __init__(self, inspection: BullMQInspection, choice: JobChoice, *, now_ms: int) -> None:
        """Look at `choice.queue` through `inspection`; `now_ms` is the server's clock."""
        self.inspection = inspection
        """The inspection of the queues."""
        self.filter = JobFilter(
            job=choice.job,
            error=choice.error,
            since_ms=0 if choice.since is None else now_ms - round(choice.since.total_seconds() * 1000),
            key=choice.key,
        )
        """Which jobs are meant."""
        self._queue = choice.queue

    async def chosen(self, *words: str) -> AsyncIterator[JobState]:
        """Yield the jobs that are meant and in the states that these words of `--state` name."""
        states = [state for word in words for state in STATES_OF[word]]
        async for job in self.inspection.jobs(self._queue, states=states):
            if self.filter.matches(job):
                yield job


async def open_queue(server: RedisServer, choice: JobChoice) -> QueueJobs:
    """Return the chosen queue; raise `NotFoundError` if there is no such queue."""
    inspection = BullMQInspection(server.nodes, bull_prefix=choice.bull_prefix)
    await require_queue(server, inspection, choice.queue, choice.bull_prefix)
    return QueueJobs(inspection, choice, now_ms=await server.streams.now_ms())


async def require_queue(server: RedisServer, inspection: BullMQInspection, queue: str, bull_prefix: str) -> None:
    """Raise `NotFoundError` unless there is a queue of this name."""
    if not await inspection.has(queue):
        names = await inspection.queues()
        where = f"at {server.place} below the prefix {bull_prefix}"
        raise NotFoundError.of("queue", queue, names, where=where, look="domainstream queues")
