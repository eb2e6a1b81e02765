"""A worker that waits: picks up what comes, when it comes."""

import asyncio
import time
from datetime import timedelta
from itertools import pairwise

import pytest
from redis.asyncio import Redis
from support.consuming import until
from support.working import Diary, Valuation, job_of, jobs_of, working

from domainstream.queue import JobSettings
from domainstream.redis.link import RedisLink
from domainstream.worker import ReceivedJob
from domainstream.worker.attempt_result import AttemptResult, Completed

PROMPT = 0.05
EXACT = 0.02


async def test_job_is_picked_up_at_once_after_any_idle_time(queue: Valuation, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many waits have run out before, without ever leaving the connection."""
    monkeypatch.setattr("domainstream.worker.bullmq.marker_listener.LONGEST_WAIT", 0.2)
    closed: list[RedisLink] = []
    close = RedisLink.close

    async def noted(link: RedisLink) -> None:
        closed.append(link)
        await close(link)

    monkeypatch.setattr(RedisLink, "close", noted)
    diary, took = Diary(), []
    async with working(queue.engine(diary)):
        for number in range(5):
            await asyncio.sleep(0.3)
            begun = time.time()
            await queue.add(job_of(job_id=f"event-{number}"))
            await diary.handled(number + 1)
            took.append(diary.times[-1] - begun)
        assert closed == []
    assert sorted(took)[2] < PROMPT


async def test_delayed_jobs_are_exact(queue: Valuation) -> None:
    """An idle worker begins a delayed job within 20 ms of its time, never before."""
    diary, added = Diary(), []
    async with working(queue.engine(diary)):
        for number in range(7):
            settings = JobSettings(delay=timedelta(milliseconds=130 + 37 * number))
            added.append(time.time())
            await queue.add(job_of(job_id=f"event-{number}", settings=settings))
            await diary.handled(number + 1)
    waits = [at - begun for at, begun in zip(diary.times, added, strict=True)]
    late = [wait - 0.130 - 0.037 * number for number, wait in enumerate(waits)]
    assert min(late) > -0.002
    assert sorted(late)[3] < EXACT


async def test_a_later_job_with_an_earlier_time(queue: Valuation) -> None:
    """A worker that waits for a delayed job gets one that is due before it."""
    diary = Diary()
    async with working(queue.engine(diary)):
        await queue.add(job_of(job_id="event-late", settings=JobSettings(delay=timedelta(milliseconds=400))))
        await asyncio.sleep(0.1)
        await queue.add(job_of(job_id="event-early", settings=JobSettings(delay=timedelta(milliseconds=100))))
        await queue.ended("completed", 2)
    assert diary.ids == ["event-early", "event-late"]


async def test_jobs_that_one_worker_cannot_hold_wake_another(queue: Valuation) -> None:
    """A worker that is full leaves the marker to one that is idle."""
    going_on = asyncio.Event()
    begun: list[str] = []

    async def attempt(job: ReceivedJob) -> AttemptResult:
        begun.append(job.id)
        await going_on.wait()
        return Completed()

    async with (
        working(queue.engine(attempt, concurrency=1)),
        working(queue.engine(attempt, concurrency=1)),
        working(queue.engine(attempt, concurrency=1)),
    ):
        await asyncio.sleep(0.1)
        async with asyncio.timeout(1):
            await queue.add(*jobs_of(3))
            await until(lambda: len(begun) == 3)
        going_on.set()
        await queue.ended("completed", 3)


async def test_idle_worker_hardly_asks(queue: Valuation, redis: Redis) -> None:
    """It costs the server a command now and then, not a loop."""
    async with working(queue.engine(Diary())):
        await queue.add(job_of())
        await queue.ended("completed")
        await asyncio.sleep(0.1)
        before = (await redis.info("commandstats"))["cmdstat_bzpopmin"]["calls"]
        await asyncio.sleep(0.5)
        assert (await redis.info("commandstats"))["cmdstat_bzpopmin"]["calls"] - before <= 1


async def test_jobs_keep_their_order(queue: Valuation) -> None:
    """One at a time, jobs are handled in the order in which they were added."""
    diary = Diary()
    await queue.add(*jobs_of(30))
    async with working(queue.engine(diary, concurrency=1)):
        await queue.ended("completed", 30)
    numbers = [int(job_id.partition("-")[2]) for job_id in diary.ids]
    assert all(one < other for one, other in pairwise(numbers))
