"""Locks are renewed while handlers run, whatever the event loop does, and jobs of dead workers are retried."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from support.consuming import PATIENCE, BullJobs, until
from support.working import Diary, Valuation, job_of, working

from domainstream.lifecycle import Lifecycle
from domainstream.testing import EmbeddedServer
from domainstream.testing.fault_proxy import FaultProxy
from domainstream.worker import ReceivedJob
from domainstream.worker.bullmq.lock_renewer import LockRenewer
from domainstream.worker.bullmq.scripts import guardian_script
from domainstream.worker.outcomes import AttemptResult, Completed

LOCK = timedelta(milliseconds=900)
STALLED_INTERVAL = timedelta(milliseconds=300)


def locked(queue: Valuation) -> bool:
    """Return whether event-1 is locked, without the event loop."""
    with BlockingRedis.from_url(queue.url) as redis:
        return bool(redis.exists(f"{queue.jobs.key}:event-1:lock"))


async def blocked(queue: Valuation) -> bool:
    """Let a handler block the event loop for longer than a lock lasts; return whether the other job is locked."""
    going_on = asyncio.Event()
    still_locked: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def attempt(job: ReceivedJob) -> AttemptResult:
        if job.id == "event-1":
            await going_on.wait()
            return Completed()
        time.sleep(3 * LOCK.total_seconds())  # noqa: ASYNC251 - what is tested
        still_locked.set_result(locked(queue))
        going_on.set()
        return Completed()

    await queue.add(job_of(), job_of(job_id="event-2"))
    async with working(queue.engine(attempt, lock=LOCK)):
        async with asyncio.timeout(PATIENCE):
            return await still_locked


async def test_handler_that_blocks_the_event_loop_costs_no_job_its_lock(queue: Valuation) -> None:
    """A handler that blocks the event loop does not keep the locks of the jobs beside it from being renewed."""
    assert await blocked(queue)


async def test_control_without_the_renewer_the_lock_is_lost(queue: Valuation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: without the renewer, a handler that blocks the event loop costs the job beside it its lock."""

    def start(renewer: LockRenewer, lifecycle: Lifecycle, on_lost: Callable[[object], None]) -> None:
        """Do nothing."""

    monkeypatch.setattr(LockRenewer, "start", start)
    assert not await blocked(queue)


async def test_lock_is_renewed_until_the_last_handler_has_ended(queue: Valuation) -> None:
    """A job that takes long completes while its worker closes, and no other worker gets it."""
    started, going_on = asyncio.Event(), asyncio.Event()

    async def attempt(job: ReceivedJob) -> AttemptResult:
        started.set()
        await going_on.wait()
        return Completed()

    await queue.add(job_of())
    other = Diary()
    async with working(queue.engine(attempt, lock=LOCK, stalled_interval=STALLED_INTERVAL)) as stopping:
        await started.wait()
        stopping.set()
        async with working(queue.engine(other, lock=LOCK, stalled_interval=STALLED_INTERVAL)):
            await asyncio.sleep(4 * LOCK.total_seconds())
            going_on.set()
            await queue.ended("completed")
    assert other.ids == []
    assert ("stc" in await queue.jobs.fields("event-1")) is False


async def test_full_memory_costs_no_job_its_lock() -> None:
    """A server that takes no more jobs lets locks be renewed: a handler that takes long does not run twice."""
    started, going_on = asyncio.Event(), asyncio.Event()
    attempts: list[str] = []

    async def attempt(job: ReceivedJob) -> AttemptResult:
        attempts.append(job.id)
        started.set()
        await going_on.wait()
        return Completed()

    with EmbeddedServer() as server:
        async with Redis.from_url(server.url) as redis:
            queue = Valuation(server.url, "bull", BullJobs(redis, "bull", "valuation"))
            await queue.add(job_of())
            async with working(queue.engine(attempt, lock=LOCK, stalled_interval=STALLED_INTERVAL)):
                await started.wait()
                await redis.config_set("maxmemory", "1")
                await asyncio.sleep(3 * LOCK.total_seconds())
                assert locked(queue)
                await redis.config_set("maxmemory", "0")
                await asyncio.sleep(3 * STALLED_INTERVAL.total_seconds())
                going_on.set()
                await queue.ended("completed")
    assert attempts == ["event-1"]


async def abandon(queue: Valuation, redis: Redis) -> None:
    """Leave event-1 active and without a lock, as a worker that dies does."""
    await queue.add(job_of())
    key = queue.jobs.key
    await redis.lmove(f"{key}:wait", f"{key}:active")
    await redis.delete(f"{key}:marker")


async def test_jobs_of_dead_workers_are_retried(
    queue: Valuation, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """The second search finds a job that is active without a lock, and a worker handles it, even one that was idle."""
    await abandon(queue, redis)
    async with working(queue.engine(Diary(), stalled_interval=STALLED_INTERVAL)):
        await queue.ended("completed")
    assert (await queue.jobs.fields("event-1"))["stc"] == b"1"
    assert "worker.job_stalled queue=valuation job=event-1" in caplog.text


@pytest.mark.parametrize(("crashes", "state"), [(9, "completed"), (10, "failed")])
async def test_job_whose_workers_keep_dying_fails_in_the_end(
    queue: Valuation, redis: Redis, crashes: int, state: str
) -> None:
    """A job is moved back to wait ten times; then it fails without another attempt."""
    await abandon(queue, redis)
    await redis.hset(f"{queue.jobs.key}:event-1", "stc", str(crashes))
    diary = Diary()
    async with working(queue.engine(diary, stalled_interval=STALLED_INTERVAL)):
        await queue.ended(state)
    assert diary.ids == (["event-1"] if state == "completed" else [])


@pytest.mark.parametrize(
    ("answer", "logged"),
    [
        (b"-LOADING Redis is loading the dataset in memory", "BusyLoadingError"),
        (b"-MISCONF Redis is configured to save RDB snapshots, but is unable to", "ResponseError: MISCONF"),
        (b"-NOREPLICAS Not enough good replicas to write.", "ResponseError: NOREPLICAS"),
    ],
    ids=["loading", "misconf", "noreplicas"],
)
async def test_renewal_that_fails_is_repeated_before_the_lock_expires(
    queue: Valuation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, answer: bytes, logged: str
) -> None:
    """A server that is not ready for a renewal is asked again soon, so that the job keeps its lock and completes."""
    caplog.set_level(logging.DEBUG, "domainstream.worker")
    monkeypatch.setattr("domainstream.worker.bullmq.lock_renewer.RETRY_PAUSE", 0.02)
    started, going_on = asyncio.Event(), asyncio.Event()

    async def attempt(job: ReceivedJob) -> AttemptResult:
        started.set()
        await going_on.wait()
        return Completed()

    await queue.add(job_of())
    async with FaultProxy(queue.url) as proxy, working(queue.engine(attempt, url=proxy.url, lock=LOCK)):
        await started.wait()
        proxy.answer(guardian_script("extendLocks").sha.encode(), answer, answer)
        await until(lambda: proxy.faults == 2)
        await asyncio.sleep(2 * LOCK.total_seconds())  # longer than a lock lasts that is not renewed
        going_on.set()
        await queue.ended("completed")
    assert caplog.text.count(f"worker.locks_delayed queue=valuation reason={logged}") == 2
