"""A queue whose jobs are handled in order by our own programs, and what a person does with them by BullMQ."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from bullmq import Job as BullMQJob
from bullmq import Queue as BullMQQueue
from msgspec.structs import replace
from support.consuming import until
from support.ordered_queue import QUEUE, OrderedQueue
from support.working import Diary, Valuation, job_of, working

from domainstream.queue import Job, JobSettings, RoutedEntry
from domainstream.queue.bullmq.job_adder import BullMQJobAdder
from domainstream.queue.port import ChannelEpoch
from domainstream.stream import Delivery
from domainstream.worker.context import ReceivedJob
from domainstream.worker.outcomes import AttemptResult, Failed

ONE_ATTEMPT = JobSettings(attempts=1, priority=1)
LATER = JobSettings(attempts=2, backoff=timedelta(hours=1), jitter=0, priority=1)


class Failing(Diary):
    """An attempt that fails some jobs, for as long as they are among `broken`, and records which were handled."""

    def __init__(self, *broken: str) -> None:
        super().__init__()
        self.broken = set(broken)

    async def __call__(self, job: ReceivedJob) -> AttemptResult:
        """Fail a job permanently, or complete it."""
        if job.id in self.broken:
            return Failed("ValueError: broken", "ValueError: broken")
        return await super().__call__(job)


class WorkedQueue(OrderedQueue):
    """Adds jobs as a subscriber does, and handles them by a worker, until a condition is true."""

    @property
    def valuation(self) -> Valuation:
        """The same queue as what opens workers, and adds jobs without order."""
        return Valuation(self.url, self.bull_prefix, self.jobs)

    async def add(self, key: str, *job_ids: str, settings: JobSettings = ONE_ATTEMPT) -> None:
        """Add jobs with one key, as a subscriber does."""
        jobs = [self._job(job_id, settings, key) for job_id in job_ids]
        entries = [
            RoutedEntry(Delivery("channel", f"{number}-1", job.data), (job,)) for number, job in enumerate(jobs, 1)
        ]
        epoch = ChannelEpoch(mark="mark", epoch=0, queues=[QUEUE], is_ordered=False)
        adder = BullMQJobAdder.from_url(self.url, group="group", bull_prefix=self.bull_prefix, on_failure=self.rules)
        await adder.add("channel", entries, epoch)
        await adder.close()

    async def handle(self, *broken: str, until_done: Callable[[list[str]], Any]) -> list[str]:
        """Work until `until_done` is true of the ids that were handled, and return them; the `broken` ones fail."""
        attempt = Failing(*broken)
        async with working(self.valuation.engine(attempt)):
            await until(lambda: until_done(attempt.ids))
        return attempt.ids

    async def hold(self, key: str, *job_ids: str) -> None:
        """Add jobs with one key, of which the first fails permanently."""
        await self.add(key, *job_ids)
        async with working(self.valuation.engine(Failing(job_ids[0]))):
            await until(lambda: self.redis.zscore(self.key("failed"), job_ids[0]))

    async def remove(self, job_id: str) -> None:
        """Remove a job as BullMQ does it for a person."""
        async with self._bullmq() as queue:
            job = await BullMQJob.fromId(queue, job_id)
            assert job
            await job.remove()

    async def clean(self, state: str) -> None:
        """Remove all jobs in a state as BullMQ does it for a person."""
        async with self._bullmq() as queue:
            await queue.clean(0, 0, state)

    async def ids(self, state: str) -> list[str]:
        """Return the ids of the jobs in a state, sorted."""
        return sorted(await self.jobs.ids(state))

    @asynccontextmanager
    async def _bullmq(self) -> AsyncIterator[BullMQQueue]:
        queue = BullMQQueue(QUEUE, {"connection": self.url, "prefix": self.bull_prefix})
        try:
            yield queue
        finally:
            await queue.close()

    def _job(self, job_id: str, settings: JobSettings, key: str) -> Job:
        return replace(job_of(job_id=job_id, data=b'{"x":1}', settings=settings), order_key=key)


def completed(job_ids: Sequence[str]) -> Callable[[list[str]], bool]:
    """Return a condition that is true once these jobs were handled."""
    return lambda handled: set(job_ids) <= set(handled)
