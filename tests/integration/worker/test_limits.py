"""How much a worker takes: concurrency, rate limits, and what is set for the whole queue."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis
from support.working import Diary, Valuation, jobs_of, working

from domainstream.queue.bullmq.scripts import bullmq_module
from domainstream.worker import ReceivedJob
from domainstream.worker.outcomes import AttemptResult, Completed
from domainstream.worker.settings import RateLimit


class Crowd:
    """An attempt that waits until enough of them run at once, and notes how many do."""

    def __init__(self, enough: int) -> None:
        self.most = self.now = 0
        self._enough = enough
        self._are_enough = asyncio.Event()

    async def __call__(self, job: ReceivedJob) -> AttemptResult:
        """Complete a job."""
        self.now += 1
        self.most = max(self.most, self.now)
        if self.now >= self._enough:
            self._are_enough.set()
        await self._are_enough.wait()
        await asyncio.sleep(0.005)
        self.now -= 1
        return Completed()


@asynccontextmanager
async def packages_queue(queue: Valuation) -> AsyncIterator[Any]:
    """Open the queue with the package's own class."""
    async with Redis.from_url(queue.url, decode_responses=True) as client:
        yield bullmq_module().Queue("valuation", {"connection": client, "prefix": queue.prefix})


@pytest.mark.parametrize("concurrency", [1, 2, 7])
async def test_concurrency(queue: Valuation, concurrency: int) -> None:
    """As many attempts run at once as the concurrency allows, and no more."""
    crowd = Crowd(concurrency)
    await queue.add(*jobs_of(60))
    async with working(queue.engine(crowd, concurrency=concurrency)):
        await queue.ended("completed", 60)
    assert crowd.most == concurrency


async def test_rate_limit(queue: Valuation) -> None:
    """Ten in 0.5 s are no more than ten in 0.5 s, for all workers of the queue together."""
    limit, diary = RateLimit(jobs=10, per=timedelta(milliseconds=500)), Diary()
    await queue.add(*jobs_of(60))
    async with (
        working(queue.engine(diary, concurrency=5, rate_limit=limit)),
        working(queue.engine(diary, concurrency=20, rate_limit=limit)),
    ):
        await queue.ended("completed", 60)
    windows = [sorted(diary.times)[number] for number in range(0, 60, 10)]
    # Sixty jobs are six windows, so five of them are full.
    assert windows[-1] - windows[0] > 2.25
    for start in windows:
        # A machine that stalls may start the ten of one window in the next.
        assert sum(start - 0.02 <= at < start + 0.45 for at in diary.times) <= 20


async def test_rate_limit_of_the_queue(queue: Valuation, redis: Redis) -> None:
    """A rate limit set on the queue itself applies to workers without one of their own."""
    await redis.hset(f"{queue.jobs.key}:meta", mapping={"max": 5, "duration": 300})
    diary = Diary()
    await queue.add(*jobs_of(20))
    async with working(queue.engine(diary)):
        await queue.ended("completed", 20)
    assert max(diary.times) - min(diary.times) > 0.85


async def test_long_rate_limit(queue: Valuation, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rate limit that lasts longer than the longest wait of a worker ends in time."""
    monkeypatch.setattr("domainstream.worker.bullmq.round_trip.LONGEST_LIMIT", 0.05)
    await redis.hset(f"{queue.jobs.key}:meta", mapping={"max": 1, "duration": 200})
    diary = Diary()
    await queue.add(*jobs_of(3))
    async with working(queue.engine(diary)):
        await queue.ended("completed", 3)
    assert max(diary.times) - min(diary.times) > 0.35


async def test_global_concurrency(queue: Valuation, redis: Redis) -> None:
    """A queue that allows two active jobs has two, however many workers there are, and comes to its end."""
    await redis.hset(f"{queue.jobs.key}:meta", "concurrency", "2")
    crowd = Crowd(2)
    await queue.add(*jobs_of(40))
    async with working(queue.engine(crowd)), working(queue.engine(crowd)):
        await queue.ended("completed", 40)
    assert crowd.most == 2


async def test_paused_queue(queue: Valuation) -> None:
    """Nothing is taken while the queue is paused, also by a worker that was idle; then everything is, at once."""
    diary = Diary()
    async with packages_queue(queue) as other, working(queue.engine(diary)):
        await other.pause()
        await queue.add(*jobs_of(3))
        await asyncio.sleep(0.2)
        assert diary.ids == []
        await other.resume()
        async with asyncio.timeout(1):
            await diary.handled(3)


async def test_prioritized_jobs_come_first(queue: Valuation) -> None:
    """The engine takes what BullMQ says is next."""
    diary = Diary()
    async with packages_queue(queue) as other:
        for priority in (3, 1, 2):
            await other.add("price-stay", {}, {"priority": priority, "jobId": f"event-{priority}"})
    async with working(queue.engine(diary, concurrency=1)):
        await queue.ended("completed", 3)
    assert diary.ids == ["event-1", "event-2", "event-3"]
