"""A queue whose jobs are handled in order, and what a person does with them."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from bullmq import Job as BullMQJob
from bullmq import Queue as BullMQQueue
from msgspec.structs import replace
from redis.asyncio import Redis
from support.consuming import BullJobs, until
from support.working import Diary, Valuation, job_of, working

from domainstream.queue import Job, JobSettings, RoutedEntry
from domainstream.queue.bullmq.gate_keeper import GateKeeper
from domainstream.queue.bullmq.job_adder import BullMQJobAdder
from domainstream.queue.port import ChannelEpoch, NewlyHeld
from domainstream.queue.settings import OnFailure
from domainstream.redis.call_lane import CallLanes
from domainstream.stream import Delivery
from domainstream.worker.context import ReceivedJob
from domainstream.worker.outcomes import AttemptResult, Failed

QUEUE = "valuation"
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


class Ordered:
    """The queue `valuation` of a test, whose jobs are handled in order."""

    def __init__(self, url: str, redis: Redis, prefix: str, *, on_failure: OnFailure = "hold") -> None:
        """Work on the queue at `url`; `prefix` begins all keys of BullMQ."""
        self.valuation = Valuation(url, prefix, BullJobs(redis, prefix, QUEUE))
        self.redis = redis
        self.url = url
        self.prefix = prefix
        self.rules: dict[str, OnFailure] = {QUEUE: on_failure}
        self.logged: list[NewlyHeld] = []

    def key(self, name: str) -> str:
        """Return a key of the queue."""
        return f"{self.valuation.jobs.key}:{name}"

    async def add(self, key: str, *job_ids: str, settings: JobSettings = ONE_ATTEMPT) -> None:
        """Add jobs with one key, as a subscriber does."""
        jobs = [self._job(job_id, settings, key) for job_id in job_ids]
        entries = [
            RoutedEntry(Delivery("channel", f"{number}-1", job.data), (job,)) for number, job in enumerate(jobs, 1)
        ]
        epoch = ChannelEpoch(mark="mark", epoch=0, queues=[QUEUE], is_ordered=False)
        adder = BullMQJobAdder.from_url(self.url, group="group", bull_prefix=self.prefix, on_failure=self.rules)
        await adder.add("channel", entries, epoch)
        await adder.close()

    async def tend(self) -> None:
        """Look after what was removed, as a subscriber does every second."""
        lanes = CallLanes(self.url)
        await GateKeeper(lanes, self.rules, bull_prefix=self.prefix, on_held=self.logged.append).run_once()
        await lanes.close()

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
        return sorted(await self.valuation.jobs.ids(state))

    async def left(self) -> list[str]:
        """Return the names of all keys of the order, without the queue's prefix."""
        prefix = self.key("order:")
        return sorted([key.decode().removeprefix(prefix) async for key in self.redis.scan_iter(match=f"{prefix}*")])

    @asynccontextmanager
    async def _bullmq(self) -> AsyncIterator[BullMQQueue]:
        queue = BullMQQueue(QUEUE, {"connection": self.url, "prefix": self.prefix})
        try:
            yield queue
        finally:
            await queue.close()

    def _job(self, job_id: str, settings: JobSettings, key: str) -> Job:
        return replace(job_of(job_id=job_id, data=b'{"x":1}', settings=settings), order_key=key)


def completed(job_ids: Sequence[str]) -> Callable[[list[str]], bool]:
    """Return a condition that is true once these jobs were handled."""
    return lambda handled: set(job_ids) <= set(handled)
