"""Idle workers start jobs as soon as they are added or due, without polling."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import pairwise
from statistics import median
from typing import Any

import pytest
from redis.asyncio import Redis
from support.consuming import until
from support.working import Diary, Valuation, job_of, jobs_of, working

from domainstream.queue import JobSettings
from domainstream.redis.link import Arguments, RedisLink
from domainstream.worker import ReceivedJob
from domainstream.worker.outcomes import AttemptResult, Completed

PROMPT = 0.05
EXACT = 0.02
ROUNDS = 3
"""A busy machine is late now and then; a worker that polls, or that has a coarse clock, is late in every round."""

WAKE_UPS = 5
"""Steps of the processes between adding a job and starting it."""


class MarkerWaits:
    """Counts how often the workers of a test wait for a marker."""

    def __init__(self) -> None:
        self.begun = 0
        """Waits that have begun."""
        self.timed_out = 0
        """Waits that ended without a marker."""

    async def idle(self, workers: int = 1) -> None:
        """Wait until this number of waits have begun."""
        await until(lambda: self.begun >= workers)

    async def one_timed_out(self) -> None:
        """Wait until a wait, from now on, ends without a marker."""
        before = self.timed_out
        await until(lambda: self.timed_out > before)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> MarkerWaits:
    """Counts the waits of this test."""
    waits, ask = MarkerWaits(), RedisLink.ask

    async def counted(link: RedisLink, command: Arguments, *, seconds: float) -> object:
        if command[0] != "BZPOPMIN":
            return await ask(link, command, seconds=seconds)
        waits.begun += 1
        reply = await ask(link, command, seconds=seconds)
        waits.timed_out += reply is None
        return reply

    monkeypatch.setattr(RedisLink, "ask", counted)
    return waits


async def test_job_is_picked_up_at_once_after_any_idle_time(
    queue: Valuation, waits: MarkerWaits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many waits have timed out before, a new job starts at once, and the connections stay open."""
    monkeypatch.setattr("domainstream.worker.bullmq.loops.LONGEST_WAIT", 0.2)
    closed: list[RedisLink] = []
    close = RedisLink.close

    async def noted(link: RedisLink) -> None:
        closed.append(link)
        await close(link)

    monkeypatch.setattr(RedisLink, "close", noted)
    diary = Diary()

    async def pick_up() -> float:
        await waits.one_timed_out()
        number, begun = len(diary.ids), time.time()
        await queue.add(job_of(job_id=f"event-{number}"))
        await diary.handled(number + 1)
        return diary.times[-1] - begun

    async with working(queue.engine(diary)):
        assert await prompt_in_a_round(queue, pick_up, count=5, limit=PROMPT)
        assert closed == []


async def prompt_in_a_round(
    queue: Valuation, lateness: Callable[[], Awaitable[float]], *, count: int, limit: float
) -> bool:
    """Return whether the median of `count` measurements is below a limit in one of the rounds.

    The limit is for an idle machine: it is longer by some wake-ups of a plain client, each measured at the same time.
    """
    for _ in range(ROUNDS):
        measured = [(await lateness(), await wake_up(queue.jobs.redis, f"{queue.jobs.key}:peer")) for _ in range(count)]
        late, peer = (median(values) for values in zip(*measured, strict=True))
        if late < limit + WAKE_UPS * peer:
            return True
    return False


async def wake_up(redis: Redis, key: str) -> float:
    """Return the seconds that a client which blocks takes to hear what another one adds."""
    pop: Any = redis.bzpopmin
    hearing: asyncio.Task[Any] = asyncio.create_task(pop(key))
    await asyncio.sleep(0.01)
    begun = time.time()
    await redis.zadd(key, {"member": 0})
    await hearing
    return time.time() - begun


async def test_delayed_jobs_are_exact(queue: Valuation) -> None:
    """An idle worker starts a delayed job within 20 ms of its time, never before."""
    diary, late = Diary(), list[float]()

    async def start_late() -> float:
        number = len(late)
        delay = timedelta(milliseconds=130 + 37 * (number % 7))
        added = time.time()
        await queue.add(job_of(job_id=f"event-{number}", settings=JobSettings(delay=delay)))
        await diary.handled(number + 1)
        late.append(diary.times[-1] - added - delay.total_seconds())
        return late[-1]

    async with working(queue.engine(diary)):
        assert await prompt_in_a_round(queue, start_late, count=7, limit=EXACT)
    assert min(late) > -0.002


async def test_job_that_is_added_later_and_due_earlier_starts_first(queue: Valuation, waits: MarkerWaits) -> None:
    """A worker that waits for a delayed job starts one that is due before it."""
    diary = Diary()
    async with working(queue.engine(diary)):
        await waits.idle()
        before = waits.begun
        await queue.add(job_of(job_id="event-late", settings=JobSettings(delay=timedelta(milliseconds=400))))
        await until(lambda: waits.begun > before)  # the worker knows the late job, and waits again
        await queue.add(job_of(job_id="event-early", settings=JobSettings(delay=timedelta(milliseconds=100))))
        await queue.ended("completed", 2)
    assert diary.ids == ["event-early", "event-late"]


async def test_jobs_that_one_worker_cannot_hold_wake_another(queue: Valuation, waits: MarkerWaits) -> None:
    """A worker that is full puts the marker back for one that is idle."""
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
        await waits.idle(workers=3)
        async with asyncio.timeout(1):
            await queue.add(*jobs_of(3))
            await until(lambda: len(begun) == 3)
        going_on.set()
        await queue.ended("completed", 3)


async def test_idle_worker_does_not_poll(queue: Valuation, redis: Redis, waits: MarkerWaits) -> None:
    """An idle worker costs the server one blocking command at a time, not a loop of commands."""
    async with working(queue.engine(Diary())):
        await waits.idle()
        begun = waits.begun
        await queue.add(job_of())
        await queue.ended("completed")
        await until(lambda: waits.begun > begun)
        before = (await redis.info("commandstats"))["cmdstat_bzpopmin"]["calls"]
        await asyncio.sleep(0.5)  # the time in which it must not ask
        assert (await redis.info("commandstats"))["cmdstat_bzpopmin"]["calls"] - before <= 1


async def test_jobs_keep_their_order(queue: Valuation) -> None:
    """A worker that runs one job at a time handles them in the order in which they were added."""
    diary = Diary()
    await queue.add(*jobs_of(30))
    async with working(queue.engine(diary, concurrency=1)):
        await queue.ended("completed", 30)
    numbers = [int(job_id.partition("-")[2]) for job_id in diary.ids]
    assert all(earlier < later for earlier, later in pairwise(numbers))
