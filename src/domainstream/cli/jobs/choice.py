"""What the commands on jobs share: the queue, its states, and the choice of jobs."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Final

from domainstream.cli.common.command import BullPrefix, argument, option
from domainstream.cli.common.durations import Duration
from domainstream.cli.common.server_command import RedisServer
from domainstream.queue.bullmq.inspection import BullMQInspection, JobState
from domainstream.queue.bullmq.partitions import existing_queues
from domainstream.queue.bullmq.queue_states import STATES
from domainstream.queue.partitions import by_queue
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
    """The BullMQ queues of a choice, and which of their jobs are meant."""

    def __init__(self, inspection: BullMQInspection, choice: JobChoice, queues: Sequence[str], *, now_ms: int) -> None:
        """Look at `queues` through `inspection`; `now_ms` is the server's clock."""
        self.filter = JobFilter(
            job=choice.job,
            error=choice.error,
            since_ms=0 if choice.since is None else now_ms - round(choice.since.total_seconds() * 1000),
            key=choice.key,
        )
        """Which jobs are meant."""
        self.queues = queues
        """The names of the BullMQ queues: one, or those of the partitions."""
        self._inspection = inspection

    async def chosen(self, *words: str) -> AsyncIterator[JobState]:
        """Yield the jobs that are meant and in the states that these words of `--state` name."""
        states = [state for word in words for state in STATES_OF[word]]
        for queue in self.queues:
            async for job in self._inspection.jobs(queue, states=states):
                if self.filter.matches(job):
                    yield job

    async def job(self, job_id: str) -> JobState | None:
        """Return the job with this id, wherever it is; None if no queue has it."""
        return await job_in(self._inspection, self.queues, job_id)


async def open_queue(server: RedisServer, choice: JobChoice) -> QueueJobs:
    """Return the chosen queue; raise `NotFoundError` if there is no such queue."""
    inspection = BullMQInspection(server.nodes, bull_prefix=choice.bull_prefix)
    queues = await chosen_queues(server, inspection, choice.queue, choice.bull_prefix)
    return QueueJobs(inspection, choice, queues, now_ms=await server.streams.now_ms())


async def job_in(inspection: BullMQInspection, queues: Sequence[str], job_id: str) -> JobState | None:
    """Return the job with this id in the first of these BullMQ queues that has it; None if none has."""
    for queue in queues:
        if (job := await inspection.job(queue, job_id)) is not None:
            return job
    return None


async def chosen_queues(
    server: RedisServer, inspection: BullMQInspection, queue: str, bull_prefix: str
) -> Sequence[str]:
    """Return the BullMQ queues that a name means: that queue, and its partitions.

    Raises `NotFoundError` if there is none.
    """
    queues = await existing_queues(server.nodes, queue, bull_prefix=bull_prefix)
    if not queues:
        names = by_queue(await inspection.queues())
        where = f"at {server.place} below the prefix {bull_prefix}"
        raise NotFoundError.of("queue", queue, names, where=where, look="domainstream queues")
    return queues
